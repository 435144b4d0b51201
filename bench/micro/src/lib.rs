//! What encoding, decoding, queueing and broadcasting cost: each case does one thing over and over.
//!
//! What comes before and after (a thousand members joining, for one) costs the same whatever the
//! number of rounds, so two runs tell what an operation costs. `bench/micro/check` counts
//! instructions and holds them to `bounds.toml`; `cargo bench -p wspulse-micro` tells times.

mod codec;
mod connect;
mod decoder;
mod heartbeat;
mod outbound;
mod server;

/// Runs so many rounds and returns the number of operations in them.
pub type Case = fn(usize) -> usize;

/// All of them, by name.
pub const CASES: [(&str, Case); 10] = [
    ("encode-json", codec::encode_json),
    ("decode-json", codec::decode_json),
    ("websocket-decode-64", decoder::websocket_decode_64),
    ("queue-push-take", outbound::queue_push_take),
    ("joined", outbound::joined),
    ("broadcast-1000", server::broadcast_1000),
    ("echo", server::echo),
    ("inbound-64", server::inbound_64),
    ("connect", connect::connect),
    ("heartbeat", heartbeat::heartbeat),
];
