//! Does one thing over and over, for callgrind to count its instructions.
//!
//! `wspulse-micro CASE ROUNDS` prints how many operations that were. What comes before and after
//! them (a thousand members joining, for one) costs the same whatever the number of rounds, so two
//! runs tell what an operation costs: `bench/micro/check` makes them, and compares with
//! `bounds.toml`.

mod codec;
mod decoder;
mod outbound;
mod server;

use std::env;
use std::process::ExitCode;

/// Runs so many rounds and returns the number of operations in them.
type Case = fn(usize) -> usize;

const CASES: [(&str, Case); 8] = [
    ("encode-json", codec::encode_json),
    ("decode-json", codec::decode_json),
    ("websocket-decode-64", decoder::websocket_decode_64),
    ("queue-push-take", outbound::queue_push_take),
    ("joined", outbound::joined),
    ("broadcast-1000", server::broadcast_1000),
    ("echo", server::echo),
    ("inbound-64", server::inbound_64),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [name, rounds] = &arguments[..]
        && let Some((_, run)) = CASES.iter().find(|(case, _)| case == name)
        && let Ok(rounds) = rounds.parse()
    {
        println!("{}", run(rounds));
        return ExitCode::SUCCESS;
    }
    let names = CASES.map(|(name, _)| name).join(", ");
    eprintln!("usage: wspulse-micro CASE ROUNDS, where CASE is one of {names}");
    ExitCode::from(2)
}
