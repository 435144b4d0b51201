//! A session outlives its transports, whoever comes back to it, and when.

mod announced;
mod another_room;
mod client_scenarios;
mod connection_handle;
mod cuts;
mod duplicate_ids;
mod expiry;
mod heartbeat;
mod late_first_handshakes;
mod late_handshakes;
mod races;
mod reauthorize;
mod replaced_close_codes;
mod requests;
mod restored;
mod resumes;
mod stopped_server;
#[path = "../support/mod.rs"]
mod support;
mod suspended_buffer;
mod taps;
