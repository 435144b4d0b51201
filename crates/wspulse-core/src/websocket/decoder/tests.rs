//! What a decoder holds.

use super::*;
use crate::close::CloseFrame;

struct Ignore;

impl Sink for Ignore {
    fn message(&mut self, _: InboundMessage<'_>) -> Flow {
        Flow::Continue
    }
    fn ping(&mut self, _: &[u8]) {}
    fn pong(&mut self, _: &[u8]) {}
    fn close(&mut self, _: Option<CloseFrame>) {}
}

fn fed(decoder: &mut Decoder, input: &[u8]) {
    let consumed = decoder.feed(&mut input.to_vec(), &mut Ignore);
    assert_eq!(consumed, Ok(input.len()));
}

#[test]
fn a_decoder_takes_24_bytes() {
    assert!(size_of::<Decoder>() <= 24);
}

#[test]
fn a_decoder_holds_nothing_between_messages() {
    // Message, ping, message of two fragments with a pong inside, ping with a late end.
    let stream = b"\x82\x81\0\0\0\0x\x89\x80\0\0\0\0\
        \x01\x81\0\0\0\0x\x8a\x81\0\0\0\0x\x80\x81\0\0\0\0x\x89\x82\0\0\0\0xy";
    let complete_at = [0, 7, 13, 34, 42];
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::new(10);
        fed(&mut decoder, &stream[..cut]);
        let is_idle = matches!(decoder.state, State::Idle);
        assert_eq!(is_idle, complete_at.contains(&cut), "cut at {cut}");
        fed(&mut decoder, &stream[cut..]);
        assert!(matches!(decoder.state, State::Idle), "cut at {cut}");
    }
}

#[test]
fn an_ended_decoder_holds_nothing() {
    let mut decoder = Decoder::new(10);
    fed(&mut decoder, b"\x01\x83\0\0\0\0xy");
    let error = decoder.feed(&mut [0xff], &mut Ignore);
    assert_eq!(error, Err(ProtocolError::InvalidUtf8));
    assert!(matches!(decoder.state, State::Ended));
}
