//! Random streams of clients and of servers, valid and broken, read by the decoder and by tungstenite:
//! both must deliver the same and refuse the same.
//!
//! Each run draws a fresh seed; a failure prints the seed of its stream. To replay that stream
//! alone, set `WSPULSE_DECODER_SEED` to it; `WSPULSE_DECODER_STREAMS` sets how many streams from
//! there on.

use std::collections::HashSet;
use std::env;
use std::mem::{self, Discriminant};
use std::thread;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use wspulse_core::websocket::ProtocolError;

use crate::random_stream::random_stream;
use crate::readings::{
    Event, Outcome, Reading, Sender, Terms, compare, read_by_tungstenite, read_cut, read_whole,
};

/// About two seconds without optimisation.
const STREAMS: u64 = 20_000;

#[test]
fn random_streams_of_clients_are_read_as_tungstenite_reads_them() {
    check_streams(Sender::Client);
}

#[test]
fn random_streams_of_servers_are_read_as_tungstenite_reads_them() {
    check_streams(Sender::Server);
}

fn check_streams(sender: Sender) {
    let replayed = number_in_env("WSPULSE_DECODER_SEED");
    let streams = number_in_env("WSPULSE_DECODER_STREAMS");
    let first = replayed.unwrap_or_else(rand::random);
    let count = streams.unwrap_or(if replayed.is_some() { 1 } else { STREAMS });
    let mut seen = Tally::default();
    for seed in (0..count).map(|index| first.wrapping_add(index)) {
        let _reporter = SeedReporter(seed);
        seen.count(&check_stream(seed, sender));
    }
    if replayed.is_none() && count >= STREAMS {
        seen.assert_varied();
    }
}

fn number_in_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Tells how to replay a stream if the thread panics on it.
struct SeedReporter(u64);

impl Drop for SeedReporter {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to replay: WSPULSE_DECODER_SEED={}", self.0);
        }
    }
}

fn check_stream(seed: u64, sender: Sender) -> Reading {
    let mut rng = SmallRng::seed_from_u64(seed);
    // Above 65,535 lengths have 64 bits; such streams are slow.
    let message_bytes_max = if rng.random_ratio(1, 500) {
        70_000
    } else {
        *[0, 20, 125, 126, 1_000].choose(&mut rng).unwrap()
    };
    let terms = Terms { message_bytes_max, sender };
    let stream = random_stream(&mut rng, terms);

    let whole = read_whole(&stream, terms.into());
    let mut pauses = rng.fork();
    let cut = read_cut(&stream, terms.into(), &mut rng, &mut pauses);
    assert_eq!(cut, whole, "cut differently");
    let oracle = read_by_tungstenite(stream.clone(), terms);
    compare(&whole, oracle, &stream, terms);
    whole
}

/// What came up, so that the generator cannot go stale unnoticed.
#[derive(Debug, Default)]
struct Tally {
    open: u64,
    closed: u64,
    messages: u64,
    refused: HashSet<Discriminant<ProtocolError>>,
}

impl Tally {
    fn count(&mut self, reading: &Reading) {
        match &reading.outcome {
            Outcome::Open => self.open += 1,
            Outcome::Closed => self.closed += 1,
            Outcome::Refused(error) => {
                self.refused.insert(mem::discriminant(error));
            }
        }
        let is_message = |event: &&Event| matches!(event, Event::Message(..));
        self.messages += reading.events.iter().filter(is_message).count() as u64;
    }

    fn assert_varied(&self) {
        assert!(self.open > STREAMS / 10, "{self:?}");
        assert!(self.closed > STREAMS / 20, "{self:?}");
        assert!(self.messages > STREAMS, "{self:?}");
        assert_eq!(self.refused.len(), 12, "each violation: {self:?}");
    }
}
