//! What one client, and all together, may cost; and what happens to those who ask for more.

mod backpressure;
mod bad_input;
mod connections;
mod connections_in_the_log;
mod connections_per_user;
mod ending_places;
mod floods_of_undecodable_messages;
mod inbound_rate;
mod messages;
mod options;
mod options_admission;
mod overflow;
mod queued_bytes;
mod request_options;
mod send_buffer_bytes;
mod session_limit_options;
#[path = "../support/mod.rs"]
mod support;
mod suspended;
mod undecodable_messages;
