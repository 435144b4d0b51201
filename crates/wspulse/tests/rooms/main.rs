//! What a room is told reaches its members, and in time.

mod audiences;
mod broadcasts;
mod fair_turns;
mod followers;
mod history;
mod idle_runtimes;
mod large_rooms;
mod lent_transports;
mod memberships;
mod named_rooms;
mod names;
mod presence;
mod presence_in_codecs;
mod several_codecs;
#[path = "../support/mod.rs"]
mod support;
mod turns_of_the_quiet;
mod users;
