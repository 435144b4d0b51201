//! Compressed messages in a client's stream, however they are cut into frames and chunks.

use rand::RngExt;
use wspulse_core::MessageKind;
use wspulse_core::deflate::{InflateError, Level, WindowBits, compress, inflate};
use wspulse_core::websocket::{Decoder, ProtocolError, compressed_bytes_max};

use crate::dice::Dice;
use crate::readings::{Event, Outcome, Reading, read_cut, read_whole};

/// In front: a byte for the limit, one for what the rest is, then throws for chunks and for pauses.
const LENGTHS_END: usize = 8;
const HEAD_BYTES: usize = 12;

/// Behind that, where messages are made of the rest: throws for what becomes of them.
const SCRIPT_BYTES: usize = 24;

const LIMITS: [usize; 6] = [0, 20, 125, 300, 2_000, 70_000];
const MESSAGES_MAX: usize = 5;
const FRAGMENTS_MAX: usize = 6;

/// Reads a stream of a client that may compress, which is the bytes or is made of them: whole and cut, which must
/// make no difference. Of messages that were made it must be heard what each holds, up to the first that breaks a
/// rule.
///
/// # Panics
///
/// If the library has a fault.
pub fn compressed(data: &[u8]) {
    let Some((head, rest)) = data.split_at_checked(HEAD_BYTES) else {
        return;
    };
    let limit = LIMITS[usize::from(head[0]) % LIMITS.len()];
    let mut lengths = Dice::new(&head[2..LENGTHS_END]);
    let mut pauses = Dice::new(&head[LENGTHS_END..]);
    let mut read = |stream: &[u8]| {
        let decoder = || Decoder::new(limit).with_deflate();
        let whole = read_whole(stream, decoder());
        let cut = read_cut(stream, decoder(), &mut lengths, &mut pauses);
        assert_eq!(cut, whole, "cut differently");
        whole
    };
    if head[1].is_multiple_of(2) {
        read(rest);
    } else if let Some((script, material)) = rest.split_at_checked(SCRIPT_BYTES) {
        let conversation = Conversation::of(material, Dice::new(script), limit);
        assert_eq!(read(&conversation.stream), conversation.heard);
    }
}

/// What a client says, and what is to be heard of it.
struct Conversation<'a> {
    material: &'a [u8],
    dice: Dice,
    limit: usize,
    stream: Vec<u8>,
    heard: Reading,
}

/// A message on its way.
struct Sent {
    kind: MessageKind,
    is_compressed: bool,
    payload: Vec<u8>,
}

impl<'a> Conversation<'a> {
    fn of(material: &'a [u8], dice: Dice, limit: usize) -> Self {
        let heard = Reading { events: Vec::new(), outcome: Outcome::Open };
        let mut conversation = Self { material, dice, limit, stream: Vec::new(), heard };
        for _ in 0..conversation.dice.random_range(1..=MESSAGES_MAX) {
            let sent = conversation.draw();
            if let Err(error) = conversation.send(&sent) {
                conversation.heard.outcome = Outcome::Refused(error);
                break;
            }
        }
        conversation
    }

    fn draw(&mut self) -> Sent {
        let bytes = self.dice.random_range(0..=self.material.len());
        let (bytes, rest) = self.material.split_at(bytes);
        self.material = rest;
        let bytes = bytes.repeat(self.dice.random_range(1..=40));
        let is_text = self.dice.random_ratio(1, 2);
        let window = WindowBits::new(self.dice.random_range(9..=15)).expect("a window");
        let level = Level::new(self.dice.random_range(1..=9));
        let (is_compressed, payload) = match self.dice.random_range(0..4) {
            0 => (false, bytes),
            // Whatever it is.
            1 => (true, bytes),
            _ => match compress(&bytes, window, level) {
                Some(compressed) => (true, compressed),
                None => (false, bytes),
            },
        };
        // A plain text that is none is refused at its first wrong byte, which other targets look at.
        let kind = if is_text && (is_compressed || str::from_utf8(&payload).is_ok()) {
            MessageKind::Text
        } else {
            MessageKind::Binary
        };
        Sent { kind, is_compressed, payload }
    }

    /// Sends a message in frames, some with a Ping in front.
    fn send(&mut self, sent: &Sent) -> Result<(), ProtocolError> {
        let limit = self.limit;
        let mut rest = &sent.payload[..];
        let mut announced_bytes = 0;
        let fragments = self.dice.random_range(1..=FRAGMENTS_MAX);
        for number in 1..=fragments {
            if self.dice.random_ratio(1, 4) {
                self.frame(0x89, b"ping");
                self.heard.events.push(Event::Ping(b"ping".to_vec()));
            }
            let is_last = number == fragments;
            let bytes = if is_last { rest.len() } else { self.dice.random_range(0..=rest.len()) };
            let (piece, later) = rest.split_at(bytes);
            rest = later;
            let opcode = match (number, sent.kind) {
                (1, MessageKind::Text) => 0x1,
                (1, MessageKind::Binary) => 0x2,
                (_, MessageKind::Text | MessageKind::Binary) => 0x0,
            };
            let rsv1 = if number == 1 && sent.is_compressed { 0x40 } else { 0 };
            self.frame(if is_last { 0x80 | rsv1 | opcode } else { rsv1 | opcode }, piece);
            announced_bytes += piece.len();
            let bytes_max =
                if sent.is_compressed { compressed_bytes_max(limit, number) } else { limit };
            if announced_bytes > bytes_max {
                return Err(ProtocolError::MessageTooBig { len: announced_bytes as u64, limit });
            }
        }
        let message = self.whole(sent)?;
        self.heard.events.push(Event::Message(sent.kind, message));
        Ok(())
    }

    /// What a message holds. The inflater is judged elsewhere.
    fn whole(&self, sent: &Sent) -> Result<Vec<u8>, ProtocolError> {
        if !sent.is_compressed {
            return Ok(sent.payload.clone());
        }
        let mut inflated = Vec::new();
        inflate(&sent.payload, self.limit, &mut inflated).map_err(|error| match error {
            InflateError::TooLong { limit } => {
                ProtocolError::MessageTooBig { len: limit as u64 + 1, limit }
            }
            InflateError::Corrupt | InflateError::TooManyBlocks => ProtocolError::NotInflated,
        })?;
        match sent.kind {
            MessageKind::Text if str::from_utf8(&inflated).is_err() => {
                Err(ProtocolError::InvalidUtf8)
            }
            MessageKind::Text | MessageKind::Binary => Ok(inflated),
        }
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mask: [u8; 4] = self.dice.random();
        self.stream.push(first);
        if let Some(len) = u8::try_from(payload.len()).ok().filter(|len| *len < 126) {
            self.stream.push(0x80 | len);
        } else if let Ok(len) = u16::try_from(payload.len()) {
            self.stream.push(0xfe);
            self.stream.extend(len.to_be_bytes());
        } else {
            self.stream.push(0xff);
            self.stream.extend((payload.len() as u64).to_be_bytes());
        }
        self.stream.extend(mask);
        self.stream.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}
