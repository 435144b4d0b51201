//! A message's fragments are bounded, and a decoder tells whether something is incomplete and for
//! how many feeds.

use wspulse_core::CloseFrame;
use wspulse_core::codec::InboundMessage;
use wspulse_core::websocket::{Decoder, Flow, Progress, ProtocolError, Sink};

const FINAL_BINARY: u8 = 0x82;
const FIRST_BINARY: u8 = 0x02;
const CONTINUATION: u8 = 0x00;
const FINAL_CONTINUATION: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Counts, and pauses behind control frames if told to.
#[derive(Debug, Default)]
struct Count {
    messages: usize,
    pings: usize,
    pauses_behind_control: bool,
}

impl Sink for Count {
    fn message(&mut self, _: InboundMessage<'_>) -> Flow {
        self.messages += 1;
        Flow::Continue
    }

    fn ping(&mut self, _: &[u8]) {
        self.pings += 1;
    }

    fn pong(&mut self, _: &[u8]) {
        self.pings += 1;
    }

    fn close(&mut self, _: Option<CloseFrame>) {}

    fn flow_behind_control(&self) -> Flow {
        if self.pauses_behind_control { Flow::Pause } else { Flow::Continue }
    }
}

/// A frame whose masking key is zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("a short payload");
    [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

/// A message of so many frames, of a byte each.
fn message_of(fragments: usize) -> Vec<u8> {
    let mut bytes = frame(FIRST_BINARY, b"x");
    for _ in 0..fragments - 2 {
        bytes.extend(frame(CONTINUATION, b"x"));
    }
    bytes.extend(frame(FINAL_CONTINUATION, b"x"));
    bytes
}

fn limited_to(fragments: usize) -> Decoder {
    Decoder::new(1_000).with_message_fragments_max(fragments)
}

#[test]
fn as_many_fragments_as_the_limit_are_one_message() {
    let (mut decoder, mut count) = (limited_to(5), Count::default());
    for _ in 0..3 {
        decoder.feed(&mut message_of(5), &mut count).unwrap();
    }
    assert_eq!(count.messages, 3, "each message is counted anew");
}

#[test]
fn one_fragment_more_than_the_limit_is_refused_at_its_header() {
    let refused = Err(ProtocolError::TooManyFragments { limit: 5 });
    let mut bytes = message_of(6);
    bytes.truncate(5 * 7 + 6);
    assert_eq!(limited_to(5).feed(&mut bytes, &mut Count::default()), refused);
    bytes = message_of(6);
    bytes.truncate(5 * 7 + 5);
    assert_eq!(limited_to(5).feed(&mut bytes, &mut Count::default()), Ok(5 * 7 + 5));
}

#[test]
fn empty_fragments_count() {
    let (mut decoder, mut count) = (limited_to(3), Count::default());
    decoder.feed(&mut frame(FIRST_BINARY, b""), &mut count).unwrap();
    decoder.feed(&mut frame(CONTINUATION, b"").repeat(2), &mut count).unwrap();
    let refused = decoder.feed(&mut frame(CONTINUATION, b""), &mut count);
    assert_eq!(refused, Err(ProtocolError::TooManyFragments { limit: 3 }));
}

#[test]
fn control_frames_between_fragments_do_not_count() {
    let (mut decoder, mut count) = (limited_to(2), Count::default());
    let bytes =
        [frame(FIRST_BINARY, b"x"), frame(PING, b"").repeat(10), frame(FINAL_CONTINUATION, b"x")];
    decoder.feed(&mut bytes.concat(), &mut count).unwrap();
    assert_eq!((count.messages, count.pings), (1, 10));
}

#[test]
fn a_limit_of_one_fragment_takes_whole_messages_only() {
    let (mut decoder, mut count) = (limited_to(1), Count::default());
    decoder.feed(&mut frame(FINAL_BINARY, b"x"), &mut count).unwrap();
    let refused = decoder.feed(&mut message_of(2), &mut count);
    assert_eq!(refused, Err(ProtocolError::TooManyFragments { limit: 1 }));
    assert_eq!(count.messages, 1);
}

#[test]
fn without_a_limit_many_fragments_are_one_message() {
    let (mut decoder, mut count) = (Decoder::new(100_000), Count::default());
    decoder.feed(&mut message_of(70_000), &mut count).unwrap();
    assert_eq!(count.messages, 1);
}

#[test]
fn too_many_fragments_violate_a_policy() {
    let close = ProtocolError::TooManyFragments { limit: 5 }.close_frame();
    assert_eq!((close.code().as_u16(), close.reason()), (1008, "too many fragments"));
}

/// What a decoder says after each of these feeds.
fn progress(feeds: &[&[u8]]) -> Vec<Progress> {
    let (mut decoder, mut count) = (Decoder::new(1_000), Count::default());
    feeds
        .iter()
        .map(|bytes| {
            decoder.feed(&mut bytes.to_vec(), &mut count).unwrap();
            decoder.progress()
        })
        .collect()
}

#[test]
fn a_message_has_begun_with_its_first_byte_and_is_continued_until_its_last() {
    let message = frame(FINAL_BINARY, b"xy");
    let (first, rest) = message.split_at(1);
    let (middle, last) = rest.split_at(5);
    let told = progress(&[first, middle, b"", last]);
    assert_eq!(
        told,
        [Progress::Begun, Progress::Continued, Progress::Continued, Progress::Complete]
    );
}

#[test]
fn a_message_that_is_fragmented_is_continued_through_its_control_frames() {
    let ping = frame(PING, b"p");
    let first = frame(FIRST_BINARY, b"x");
    let told = progress(&[&first, &ping, &frame(CONTINUATION, b"x"), &ping[..3]]);
    assert_eq!(told[0], Progress::Begun);
    assert_eq!(told[1..], [Progress::Continued; 3]);
}

#[test]
fn the_next_message_has_begun_with_the_feed_that_ended_the_one_before() {
    let first = frame(FIRST_BINARY, b"x");
    let next = [frame(FINAL_CONTINUATION, b"x"), first.clone()].concat();
    assert_eq!(progress(&[&first, &next, &next]), [Progress::Begun; 3]);
}

#[test]
fn control_frames_that_straddle_feeds_are_each_begun_anew() {
    let ping = frame(PONG, b"pp");
    let (head, tail) = ping.split_at(3);
    let straddling = [tail, head].concat();
    assert_eq!(progress(&[head, &straddling, &straddling]), [Progress::Begun; 3]);
}

#[test]
fn nothing_is_incomplete_behind_a_close_frame() {
    let told = progress(&[&frame(FIRST_BINARY, b"x"), &frame(CLOSE, b""), b"anything"]);
    assert_eq!(told[1..], [Progress::Complete; 2]);
}

#[test]
fn a_pause_behind_a_control_frame_leaves_the_rest_untouched() {
    let mut count = Count { pauses_behind_control: true, ..Count::default() };
    let mut decoder = Decoder::new(1_000);
    let ping = frame(PING, b"p");
    let message = [frame(FIRST_BINARY, b"x"), ping.clone(), frame(FINAL_CONTINUATION, b"x")];
    let mut bytes = [ping.clone(), ping.clone(), message.concat()].concat();
    for consumed in [7, 7, 14, 7] {
        assert_eq!(decoder.feed(&mut bytes, &mut count), Ok(consumed));
        bytes.drain(..consumed);
    }
    assert_eq!((count.messages, count.pings, bytes.len()), (1, 3, 0));
}
