//! Masked bytes to messages.

use std::hint::black_box;

use wspulse::testing::masked;
use wspulse_core::CloseFrame;
use wspulse_core::codec::InboundMessage;
use wspulse_core::websocket::{Decoder, Flow, Sink};

const MESSAGES: usize = 64;
const MESSAGE_BYTES: usize = 64;
const FINAL_TEXT: u8 = 0x81;

#[derive(Debug, Default)]
struct Count {
    messages: usize,
    bytes: usize,
}

impl Sink for Count {
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        self.messages += 1;
        self.bytes += black_box(message.as_bytes()).len();
        Flow::Continue
    }

    fn ping(&mut self, _: &[u8]) {}

    fn pong(&mut self, _: &[u8]) {}

    fn close(&mut self, _: Option<CloseFrame>) {}
}

/// An operation is one message of 64 bytes; a round is a chunk of 64. Feeding unmasks in place, so
/// each round starts with a copy of the chunk, which counts: some two instructions for each message.
pub(crate) fn websocket_decode_64(rounds: usize) -> usize {
    let chunk = masked(FINAL_TEXT, &[b'x'; MESSAGE_BYTES]).repeat(MESSAGES);
    let mut input = chunk.clone();
    let mut decoder = Decoder::new(MESSAGE_BYTES);
    let mut count = Count::default();
    for _ in 0..rounds {
        input.copy_from_slice(&chunk);
        decoder.feed(black_box(&mut input), &mut count).expect("the messages are valid");
    }
    assert_eq!(count.bytes, rounds * MESSAGES * MESSAGE_BYTES, "{count:?}");
    count.messages
}
