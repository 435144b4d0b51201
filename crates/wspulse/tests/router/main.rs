//! What the event router does, one behaviour per test.

mod chain;
mod errors;
mod handlers;
mod recovery;
mod replies;
mod serving;
mod setup;
#[path = "../support/mod.rs"]
mod support;
