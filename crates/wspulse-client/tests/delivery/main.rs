//! What the client sends and hears, whatever becomes of its links.

mod ends_throw_away;
mod exactly_once;
mod lockstep;
mod outbox;
mod several_codecs;
#[path = "../support/mod.rs"]
mod support;
mod vectors;
