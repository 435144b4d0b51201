//! What a client needs to be let in, and what it is told if it is not.

mod admission;
mod admissions_that_fail;
mod codec_negotiation;
mod connect_answers;
mod connect_futures_that_panic;
mod header_limits;
mod hosts_and_origins_that_are_none;
mod origins;
mod refusals;
mod stopped_handshakes;
mod subprotocols;
#[path = "../support/mod.rs"]
mod support;
mod test_client;
mod ways_in;
