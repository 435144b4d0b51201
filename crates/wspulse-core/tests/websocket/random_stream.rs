//! What peers send: mostly valid, sometimes broken.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use crate::readings::{Sender, Terms};

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// In a header's second byte.
const MASKED: u8 = 0x80;
const LENGTH_16_BITS: u8 = 126;
const LENGTH_64_BITS: u8 = 127;

/// Sequences that are not UTF-8, each by its first wrong byte: alone, overlong, surrogate, beyond
/// U+10FFFF, cut short.
const NOT_UTF8: [&[u8]; 9] = [
    b"\x80",
    b"\xc0\xaf",
    b"\xc3x",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf0\x9f\x98",
];

/// A stream around the limits of a decoder with these terms.
pub(crate) fn random_stream(rng: &mut SmallRng, terms: Terms) -> Vec<u8> {
    let Terms { message_bytes_max, sender } = terms;
    let (bytes, headers_at) = (Vec::new(), Vec::new());
    let mut writer = Writer { rng, message_bytes_max, sender, bytes, headers_at };
    for _ in 0..writer.rng.random_range(1..=8) {
        match writer.rng.random_range(0..100) {
            0..70 => writer.message(),
            70..85 => writer.ping_or_pong(),
            85..90 => writer.close(),
            _ => writer.violation(),
        }
    }
    writer.damage();
    writer.bytes
}

struct Writer<'a> {
    rng: &'a mut SmallRng,
    message_bytes_max: usize,
    sender: Sender,
    bytes: Vec<u8>,
    /// Where the frames start.
    headers_at: Vec<usize>,
}

impl Writer<'_> {
    fn message(&mut self) {
        let len = self.message_len();
        let (kind, payload) = if self.rng.random() {
            let text = self.text(len);
            let keep = self.rng.random_ratio(9, 10);
            (TEXT, if keep { text } else { self.spoiled(text) })
        } else {
            (BINARY, self.binary(len))
        };
        self.fragments(kind, &payload);
    }

    /// Mostly short, sometimes at the limit or just over it.
    fn message_len(&mut self) -> usize {
        let limit = self.message_bytes_max;
        match self.rng.random_range(0..40) {
            0 => limit + 1,
            1..5 => limit,
            5..10 => [125, 126, 127, 65_535, 65_536][self.rng.random_range(0..5)].min(limit),
            10..15 => 0,
            15..20 => self.rng.random_range(0..=limit),
            _ => self.rng.random_range(0..=limit.min(40)),
        }
    }

    fn binary(&mut self, len: usize) -> Vec<u8> {
        let mut payload = vec![0; len];
        self.rng.fill_bytes(&mut payload);
        payload
    }

    /// Text of exactly `len` bytes, with characters of all lengths.
    fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = String::new();
        while text.len() + 4 <= len {
            text.push(*['a', 'é', '€', '\u{1f600}'].choose(self.rng).unwrap());
        }
        while text.len() < len {
            text.push('.');
        }
        text.into_bytes()
    }

    fn spoiled(&mut self, mut text: Vec<u8>) -> Vec<u8> {
        let at = self.rng.random_range(0..=text.len());
        let wrong = NOT_UTF8.choose(self.rng).unwrap();
        text.splice(at..at, wrong.iter().copied());
        text
    }

    /// A message in one frame or several, empty ones among them, with control frames between.
    fn fragments(&mut self, kind: u8, payload: &[u8]) {
        let mut opcode = kind;
        let mut rest = payload;
        while self.rng.random_ratio(2, 5) {
            let len = self.rng.random_range(0..=rest.len());
            self.frame(opcode, &rest[..len]);
            rest = &rest[len..];
            opcode = CONTINUATION;
            if self.rng.random_ratio(1, 4) {
                self.ping_or_pong();
            }
        }
        self.frame(FINAL | opcode, rest);
    }

    fn ping_or_pong(&mut self) {
        let opcode = *[PING, PONG].choose(self.rng).unwrap();
        let len = *[0, 4, 125].choose(self.rng).unwrap();
        let payload = self.binary(len);
        self.frame(FINAL | opcode, &payload);
    }

    fn close(&mut self) {
        let code: u16 = match self.rng.random_range(0..3) {
            0 => self.rng.random(),
            1 => self.rng.random_range(990..1020),
            _ => *[1000, 1001, 3000, 4999].choose(self.rng).unwrap(),
        };
        let reason_len = self.rng.random_range(0..=119);
        let mut reason = self.text(reason_len);
        if self.rng.random_ratio(1, 8) {
            reason = self.spoiled(reason);
        }
        let mut payload = [&code.to_be_bytes()[..], &reason].concat();
        match self.rng.random_range(0..10) {
            0 => payload.truncate(0),
            1 => payload.truncate(1),
            2..5 => payload.truncate(2),
            _ => {}
        }
        self.frame(FINAL | CLOSE, &payload);
    }

    fn violation(&mut self) {
        match self.rng.random_range(0..7) {
            // Reserved bits, reserved opcodes, fragmented control frames, stray continuations.
            0 => {
                let first = self.rng.random();
                self.frame(first, b"any");
            }
            1 => self.frame(FINAL | CONTINUATION, b"stray"),
            2 => {
                self.frame(TEXT, b"unfinished");
                self.frame(FINAL | BINARY, b"new");
            }
            3 => {
                let payload = self.binary(126);
                self.frame(FINAL | PING, &payload);
            }
            4 => {
                let announced = self.rng.random();
                self.header(FINAL | BINARY, announced);
            }
            5 => {
                let at = self.bytes.len();
                self.frame(FINAL | TEXT, b"masked or not");
                self.bytes[at + 1] ^= MASKED;
            }
            _ => {
                let payload = self.binary(self.message_bytes_max + 1);
                self.fragments(BINARY, &payload);
            }
        }
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mask = self.header(first, payload.len() as u64);
        let masked = payload.iter().zip(mask.into_iter().cycle());
        self.bytes.extend(masked.map(|(byte, key)| byte ^ key));
    }

    /// A header with its length in any form that holds it.
    fn header(&mut self, first: u8, payload_bytes: u64) -> [u8; 4] {
        self.headers_at.push(self.bytes.len());
        self.bytes.push(first);
        let masked = match self.sender {
            Sender::Client => MASKED,
            Sender::Server => 0,
        };
        let longer = self.rng.random_range(0..20);
        match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
            (Ok(len @ 0..126), _) if longer > 1 => self.bytes.push(masked | len),
            (_, Ok(len)) if longer > 0 => {
                self.bytes.push(masked | LENGTH_16_BITS);
                self.bytes.extend(len.to_be_bytes());
            }
            _ => {
                self.bytes.push(masked | LENGTH_64_BITS);
                self.bytes.extend(payload_bytes.to_be_bytes());
            }
        }
        match self.sender {
            Sender::Client => {
                let mask: [u8; 4] = self.rng.random();
                self.bytes.extend(mask);
                mask
            }
            Sender::Server => [0; 4],
        }
    }

    /// Leaves two streams of three as they are; flips a bit in, or cuts, the others.
    fn damage(&mut self) {
        let flipped = match self.rng.random_range(0..12) {
            0 => *self.headers_at.choose(self.rng).unwrap(),
            // Mask and length, or what follows.
            1 => self.headers_at.choose(self.rng).unwrap() + self.rng.random_range(1..14),
            2 => self.rng.random_range(0..self.bytes.len()),
            3 => {
                let end = self.rng.random_range(0..self.bytes.len());
                return self.bytes.truncate(end);
            }
            _ => return,
        };
        if let Some(byte) = self.bytes.get_mut(flipped) {
            *byte ^= 1 << self.rng.random_range(0..8);
        }
    }
}
