//! A virtual socket with a peer behind it that reads strictly and remembers what came whole.

use std::collections::VecDeque;
use std::io::IoSlice;

use wspulse_core::codec::{Codec, DecodeError, EncodeError, InboundMessage};
use wspulse_core::protocol::Control;
use wspulse_core::{EncodedFrame, Frame, MessageKind, Outgoing};

use crate::env::Env;
use crate::marks::Marks;

pub(crate) struct Socket {
    pub(crate) takes: Takes,
    pub(crate) peer: Peer,
}

/// How much the next write may place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Everything,
    AnyPart,
    /// A few bytes, and then nothing.
    Few,
    Nothing,
}

/// What reads all that the socket takes, strictly. The client gets it later, byte by byte, or never.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    unparsed: Vec<u8>,
    /// What is on its way to the client, each with the place of its last byte.
    on_the_way: VecDeque<(usize, Heard)>,
    bytes_taken: usize,
    bytes_arrived: usize,
    /// Whether a hello was the first message.
    is_greeted: bool,
    /// The numbers of the data frames that came whole and were not looked at yet.
    arrived: Vec<u32>,
    pub(crate) pings: u32,
    newest_pong: u32,
    pub(crate) close: Option<Vec<u8>>,
}

/// What a client gets that matters to it.
#[derive(Debug)]
pub(crate) enum Heard {
    Data(u32),
    Control(Control),
    Ping(Vec<u8>),
}

impl Socket {
    pub(crate) fn new(takes: Takes) -> Self {
        Self { takes, peer: Peer::default() }
    }

    /// One vectored write; tells how many bytes it took and how many there were.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>], env: &mut Env) -> (usize, usize) {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let taken = match self.takes {
            Takes::Everything => offered,
            Takes::AnyPart => env.up_to(offered),
            Takes::Few => {
                self.takes = Takes::Nothing;
                env.up_to(offered.min(15))
            }
            Takes::Nothing => 0,
        };
        let mut left = taken;
        for slice in slices {
            let part = left.min(slice.len());
            self.peer.receive(&slice[..part]);
            left -= part;
        }
        (taken, offered)
    }
}

impl Peer {
    fn receive(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        assert!(self.close.is_none(), "nothing follows a Close frame");
        self.unparsed.extend_from_slice(bytes);
        self.bytes_taken += bytes.len();
        while let Some((opcode, header, end)) = whole_frame(&self.unparsed) {
            let frame: Vec<u8> = self.unparsed.drain(..end).collect();
            let heard = self.frame(opcode, &frame[header..]);
            let ends_at = self.bytes_taken - self.unparsed.len();
            self.on_the_way.extend(heard.map(|heard| (ends_at, heard)));
        }
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) -> Option<Heard> {
        assert!(self.close.is_none(), "nothing follows a Close frame");
        match opcode {
            0x1 => {
                let control = Control::parse(payload).expect("a control message");
                let is_hello = matches!(control, Control::Hello(_));
                assert_ne!(is_hello, self.is_greeted, "one hello, before all else");
                self.is_greeted = true;
                return Some(Heard::Control(control));
            }
            0x2 => {
                let number = number_in(payload);
                self.arrived.push(number);
                return Some(Heard::Data(number));
            }
            0x8 => self.close = Some(payload.to_vec()),
            0x9 => {
                assert!(matches!(payload.len(), 0 | 16), "a Ping, or a question");
                self.pings += 1;
                return Some(Heard::Ping(payload.to_vec()));
            }
            0xA => {
                let pong = u32::from_be_bytes(payload.try_into().unwrap());
                assert!(pong > self.newest_pong, "pongs answer ever newer pings");
                self.newest_pong = pong;
            }
            _ => panic!("opcode {opcode} is never sent"),
        }
        None
    }

    /// Lets some of the bytes arrive that are on their way, and tells what is whole by that.
    pub(crate) fn arrive(&mut self, bytes: usize) -> Vec<Heard> {
        self.bytes_arrived = self.bytes_taken.min(self.bytes_arrived + bytes);
        let whole = self.on_the_way.partition_point(|(ends_at, _)| *ends_at <= self.bytes_arrived);
        self.on_the_way.drain(..whole).map(|(_, heard)| heard).collect()
    }

    /// How many bytes are on their way.
    pub(crate) fn bytes_on_the_way(&self) -> usize {
        self.bytes_taken - self.bytes_arrived
    }

    pub(crate) fn take_arrived(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.arrived)
    }

    /// How many bytes of a data frame came whose rest is missing.
    pub(crate) fn begun_data_bytes(&self) -> usize {
        match self.unparsed.first() {
            Some(0x82) => self.unparsed.len(),
            _ => 0,
        }
    }

    pub(crate) fn is_between_frames(&self) -> bool {
        self.unparsed.is_empty()
    }

    pub(crate) fn newest_pong(&self) -> u32 {
        self.newest_pong
    }
}

/// Opcode, header length and whole length of the first frame, if it is all there.
fn whole_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    assert_eq!(first & 0xF0, 0x80, "final, no reserved bits");
    let opcode = first & 0xF;
    let (header, len) = match second {
        0..=125 => (2, usize::from(*second)),
        126 => {
            let len = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
            assert!(len > 125, "the shortest form");
            assert!(opcode < 8, "control frames are short");
            (4, usize::from(len))
        }
        _ => panic!("masked, or longer than any frame here"),
    };
    (bytes.len() >= header + len).then_some((opcode, header, header + len))
}

/// A data frame that carries its number and a filling that follows from it.
pub(crate) fn data_frame(number: u32, filling_bytes: usize, marks: Marks) -> EncodedFrame {
    let [.., low] = number.to_be_bytes();
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(4 + filling_bytes, low);
    if marks.is_plain() {
        return EncodedFrame::from_payload(MessageKind::Binary, &payload);
    }
    let frame = Frame::default().with_payload(payload);
    let outgoing = match marks.key {
        None => Outgoing::from(frame),
        Some(key) => frame.conflate(char::from(key).to_string()),
    };
    let outgoing = if marks.is_volatile { outgoing.volatile() } else { outgoing };
    let marks = outgoing.marks().expect("it is marked");
    EncodedFrame::encode_marked(&Raw, &outgoing.frame, marks).expect("bytes are bytes")
}

/// The payload, as it is.
struct Raw;

impl Codec for Raw {
    fn kind(&self, _: &Frame) -> MessageKind {
        MessageKind::Binary
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame.payload());
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Ok(Frame::default().with_payload(message.into_bytes()))
    }
}

pub(crate) fn number_in(payload: &[u8]) -> u32 {
    let (number, filling) = payload.split_first_chunk::<4>().expect("a number in front");
    let [.., low] = *number;
    assert!(filling.iter().all(|byte| *byte == low), "nothing mixed in");
    u32::from_be_bytes(*number)
}
