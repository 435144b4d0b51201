//! Compressed messages, however they are cut into frames and chunks.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wspulse_core::codec::InboundMessage;
use wspulse_core::deflate::{Level, WindowBits, compress};
use wspulse_core::websocket::{Decoder, Flow, ProtocolError, Sink};
use wspulse_core::{CloseFrame, MessageKind};

const RSV1: u8 = 0x40;
const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;

const LIMIT: usize = 10_000;

#[derive(Default)]
struct Heard {
    messages: Vec<(MessageKind, Vec<u8>)>,
    pings: usize,
    /// The bytes of each message that came compressed, before and after.
    inflated: Vec<(usize, usize)>,
}

impl Sink for Heard {
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        self.messages.push((message.kind(), message.into_bytes().to_vec()));
        Flow::Continue
    }

    fn inflated(&mut self, message: InboundMessage<'_>, wire_bytes: usize) -> Flow {
        self.inflated.push((wire_bytes, message.as_bytes().len()));
        self.message(message)
    }

    fn ping(&mut self, _: &[u8]) {
        self.pings += 1;
    }

    fn pong(&mut self, _: &[u8]) {}

    fn close(&mut self, _: Option<CloseFrame>) {}
}

fn decoder() -> Decoder {
    Decoder::new(LIMIT).with_deflate()
}

/// What is heard of a stream that comes in chunks of so many bytes.
fn read(mut decoder: Decoder, stream: &[u8], chunk_bytes: usize) -> Result<Heard, ProtocolError> {
    let (mut heard, mut bytes) = (Heard::default(), stream.to_vec());
    for chunk in bytes.chunks_mut(chunk_bytes) {
        assert_eq!(decoder.feed(chunk, &mut heard)?, chunk.len());
    }
    Ok(heard)
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 8, 9, 10];
    let len = u16::try_from(payload.len()).expect("no such payload here").to_be_bytes();
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key);
    [first, 0xfe].into_iter().chain(len).chain(MASK).chain(masked).collect()
}

fn small(payload: &[u8]) -> Vec<u8> {
    compress(payload, WindowBits::MAX, Level::default()).expect("it repeats")
}

fn text() -> Vec<u8> {
    "a text that repeats: é€\u{1f600} ".repeat(100).into_bytes()
}

/// In so many frames, with a Ping behind each but the last.
fn fragments(kind: u8, compressed: &[u8], count: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    let parts: Vec<_> = compressed.chunks(compressed.len().div_ceil(count)).collect();
    for (number, part) in parts.iter().enumerate() {
        let opcode = if number == 0 { RSV1 | kind } else { CONTINUATION };
        let is_last = number == parts.len() - 1;
        stream.extend(frame(if is_last { FINAL | opcode } else { opcode }, part));
        if !is_last {
            stream.extend(frame(FINAL | PING, b"ping"));
        }
    }
    stream
}

#[test]
fn a_message_is_heard_as_it_was_however_it_is_cut() {
    for (kind, opcode) in [(MessageKind::Text, TEXT), (MessageKind::Binary, BINARY)] {
        for count in [1, 2, 7] {
            let compressed = small(&text());
            let stream = fragments(opcode, &compressed, count);
            for chunk_bytes in [1, 2, 13, 100_000] {
                let heard = read(decoder(), &stream, chunk_bytes).unwrap();
                assert_eq!(heard.messages, [(kind, text())], "{count} {chunk_bytes}");
                assert_eq!(heard.pings, count - 1);
                assert_eq!(heard.inflated, [(compressed.len(), text().len())]);
            }
        }
    }
}

#[test]
fn in_how_many_bytes_a_compressed_message_came_is_told_however_it_is_cut() {
    let compressed = small(&text());
    for count in [1, 2, 7] {
        let stream = [fragments(TEXT, &compressed, count), frame(FINAL | TEXT, b"plain")].concat();
        for chunk_bytes in [1, 13, 100_000] {
            let heard = read(decoder(), &stream, chunk_bytes).unwrap();
            assert_eq!(heard.inflated[0].0, compressed.len(), "{count} {chunk_bytes}");
        }
    }
}

#[test]
fn plain_messages_come_beside_compressed_ones() {
    let stream = [
        frame(FINAL | TEXT, b"plain"),
        fragments(TEXT, &small(&text()), 2),
        frame(TEXT, b"pl"),
        frame(FINAL | CONTINUATION, b"ain"),
    ];
    let heard = read(decoder(), &stream.concat(), 100_000).unwrap();
    let plain = (MessageKind::Text, b"plain".to_vec());
    assert_eq!(heard.messages, [plain.clone(), (MessageKind::Text, text()), plain]);
    assert_eq!(heard.inflated, [(small(&text()).len(), text().len())]);
}

#[test]
fn an_empty_message_is_heard_empty() {
    for compressed in [&[][..], &[0x00], &[0x02, 0x00]] {
        let heard = read(decoder(), &frame(FINAL | RSV1 | TEXT, compressed), 100).unwrap();
        assert_eq!(heard.messages, [(MessageKind::Text, Vec::new())], "{compressed:?}");
    }
}

#[test]
fn it_has_no_more_bytes_than_others_once_it_is_inflated() {
    for (bytes, is_heard) in [(LIMIT, true), (LIMIT + 1, false), (1_000_000, false)] {
        for count in [1, 3] {
            let stream = fragments(BINARY, &small(&vec![0; bytes]), count);
            let heard = read(decoder(), &stream, 11);
            let too_big = ProtocolError::MessageTooBig { len: LIMIT as u64 + 1, limit: LIMIT };
            match heard {
                Ok(heard) => assert!(is_heard && heard.messages[0].1.len() == bytes),
                Err(error) => assert!(!is_heard && error == too_big, "{error}"),
            }
        }
    }
}

#[test]
fn one_that_is_longer_on_its_way_than_a_deflater_makes_it_is_refused_before_it_is_there() {
    let header = frame(FINAL | RSV1 | BINARY, &vec![0; LIMIT + 2_000]);
    let refused = read(decoder(), &header[..8], 8);
    assert!(matches!(refused, Err(ProtocolError::MessageTooBig { .. })));
    // Stored blocks take more bytes than they hold.
    let mut noise = vec![0; LIMIT];
    SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
    let block = [&[0x00][..], &10_000_u16.to_le_bytes(), &(!10_000_u16).to_le_bytes(), &noise];
    let stored = [&block.concat()[..], &[0x00]].concat();
    let heard = read(decoder(), &frame(FINAL | RSV1 | BINARY, &stored), 100_000).unwrap();
    assert_eq!(heard.messages, [(MessageKind::Binary, noise)]);
}

#[test]
fn a_text_that_is_none_once_it_is_inflated_is_refused() {
    let not_utf8 = [&text()[..], &[0xff]].concat();
    for count in [1, 2] {
        let refused = read(decoder(), &fragments(TEXT, &small(&not_utf8), count), 100_000);
        assert_eq!(refused.err(), Some(ProtocolError::InvalidUtf8));
        assert!(read(decoder(), &fragments(BINARY, &small(&not_utf8), count), 100_000).is_ok());
    }
}

#[test]
fn what_cannot_be_inflated_is_refused_with_1007() {
    for count in [1, 2] {
        let refused = read(decoder(), &fragments(BINARY, &[0x07, 0x00], count), 100_000);
        let error = refused.err().expect("it is no block of a known kind");
        assert_eq!(error, ProtocolError::NotInflated);
        assert_eq!(error.close_frame().code().as_u16(), 1007);
    }
}

#[test]
fn more_blocks_than_what_a_message_holds_could_need_are_refused_with_1007() {
    const EMPTY_BLOCK: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];
    let decoder = || Decoder::new(100_000).with_deflate();
    for count in [1, 2] {
        let refused = read(decoder(), &fragments(TEXT, &EMPTY_BLOCK.repeat(3_000), count), 100_000);
        let error = refused.err().expect("no deflater is flushed 3,000 times with nothing");
        assert_eq!(error.close_frame().code().as_u16(), 1007);
    }
}

#[test]
fn a_deflater_may_be_flushed_for_each_byte_that_is_sent_in_a_frame_of_its_own() {
    const COUNT: usize = 1_024;
    // What zlib makes of it: the byte, and an empty block, of which the end is left out behind the last.
    let flushed = [0x00, 0x01, 0x00, 0xfe, 0xff, b'x', 0x00, 0x00, 0x00, 0xff, 0xff].repeat(COUNT);
    let decoder = Decoder::new(COUNT).with_deflate().with_message_fragments_max(COUNT);
    let heard = read(decoder, &fragments(TEXT, &flushed[..flushed.len() - 4], COUNT), 100_000);
    assert_eq!(heard.unwrap().messages, [(MessageKind::Text, vec![b'x'; COUNT])]);
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    let streams = [
        [frame(RSV1 | TEXT, b""), frame(FINAL | RSV1 | CONTINUATION, b"")].concat(),
        frame(FINAL | RSV1 | PING, b""),
        frame(FINAL | RSV1 | CONTINUATION, b""),
    ];
    for stream in streams {
        let refused = read(decoder(), &stream, 100_000);
        assert_eq!(refused.err(), Some(ProtocolError::ReservedBits { bits: 0b100 }));
    }
}

#[test]
fn without_an_agreement_none_is_taken() {
    let refused = read(Decoder::new(LIMIT), &frame(FINAL | RSV1 | TEXT, b""), 1);
    assert_eq!(refused.err(), Some(ProtocolError::ReservedBits { bits: 0b100 }));
}

#[test]
fn its_fragments_are_bounded_as_those_of_others() {
    let decoder = || Decoder::new(LIMIT).with_deflate().with_message_fragments_max(3);
    let compressed = small(&text());
    assert!(read(decoder(), &fragments(TEXT, &compressed, 3), 100_000).is_ok());
    let refused = read(decoder(), &fragments(TEXT, &compressed, 4), 100_000);
    assert_eq!(refused.err(), Some(ProtocolError::TooManyFragments { limit: 3 }));
}
