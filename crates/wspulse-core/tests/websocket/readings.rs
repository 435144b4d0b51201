//! What a stream was read as: by the decoder, whole or cut, and by tungstenite.

use std::io::{self, Cursor, Read, Write};

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};
use wspulse_core::codec::InboundMessage;
use wspulse_core::websocket::{Decoder, Flow, ProtocolError, Sink};
use wspulse_core::{CloseFrame, MessageKind};

/// Whose stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the fuzzers read clients alone")]
pub(crate) enum Sender {
    Client,
    Server,
}

/// As what a stream is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) message_bytes_max: usize,
    pub(crate) sender: Sender,
}

/// A client's, with this message limit.
impl From<usize> for Terms {
    fn from(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, sender: Sender::Client }
    }
}

impl From<Terms> for Decoder {
    fn from(terms: Terms) -> Self {
        let decoder = Self::new(terms.message_bytes_max);
        match terms.sender {
            Sender::Client => decoder,
            Sender::Server => decoder.with_unmasked(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// How a stream went; `E` is what the reader says of a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome<E> {
    /// More may come.
    Open,
    Closed,
    Refused(E),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading<E = ProtocolError> {
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Outcome<E>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Protocol,
    TooBig,
    Utf8,
}

// ---- the decoder's reading ----

struct Recorder<'a> {
    events: Vec<Event>,
    /// Draws whether to pause; without it there is no pause.
    pauses: Option<&'a mut dyn Rng>,
    paused: bool,
    closed: bool,
}

impl Sink for Recorder<'_> {
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        assert!(!self.closed && !self.paused);
        let kind = message.kind();
        self.events.push(Event::Message(kind, message.into_bytes().to_vec()));
        self.paused = self.pauses.as_mut().is_some_and(|rng| rng.random_ratio(1, 3));
        if self.paused { Flow::Pause } else { Flow::Continue }
    }

    fn ping(&mut self, payload: &[u8]) {
        assert!(!self.closed && !self.paused);
        self.events.push(Event::Ping(payload.to_vec()));
    }

    fn pong(&mut self, payload: &[u8]) {
        assert!(!self.closed && !self.paused);
        self.events.push(Event::Pong(payload.to_vec()));
    }

    fn close(&mut self, frame: Option<CloseFrame>) {
        assert!(!self.closed && !self.paused);
        self.closed = true;
        let frame = frame.map(|frame| (frame.code().as_u16(), frame.reason().to_owned()));
        self.events.push(Event::Close(frame));
    }
}

impl Recorder<'_> {
    const fn new() -> Self {
        Self { events: Vec::new(), pauses: None, paused: false, closed: false }
    }

    fn finish(self, error: Option<ProtocolError>) -> Reading {
        let outcome = match error {
            Some(error) => Outcome::Refused(error),
            None if self.closed => Outcome::Closed,
            None => Outcome::Open,
        };
        Reading { events: self.events, outcome }
    }
}

/// Reads the stream in one chunk, without a pause.
pub(crate) fn read_whole(stream: &[u8], mut decoder: Decoder) -> Reading {
    let mut recorder = Recorder::new();
    let mut bytes = stream.to_vec();
    let error = match decoder.feed(&mut bytes, &mut recorder) {
        Ok(consumed) => {
            assert!(consumed == bytes.len() || recorder.closed);
            None
        }
        Err(error) => Some(error),
    };
    recorder.finish(error)
}

/// Reads the stream in chunks whose lengths are drawn, with pauses that are drawn too.
pub(crate) fn read_cut(
    stream: &[u8],
    mut decoder: Decoder,
    lengths: &mut dyn Rng,
    pauses: &mut dyn Rng,
) -> Reading {
    let chunk_bytes_max = *[1, 3, 20, 200, 2_000].choose(lengths).unwrap();
    let mut recorder = Recorder::new();
    recorder.pauses = Some(pauses);
    let mut bytes = stream.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + lengths.random_range(1..=chunk_bytes_max));
        while at < end {
            recorder.paused = false;
            match decoder.feed(&mut bytes[at..end], &mut recorder) {
                Ok(consumed) => {
                    assert!(at + consumed == end || recorder.paused || recorder.closed);
                    at += consumed;
                    assert_eq!(bytes[at..], stream[at..], "touched what is left");
                }
                Err(error) => return recorder.finish(Some(error)),
            }
        }
    }
    recorder.finish(None)
}

// ---- tungstenite's reading ----

/// A peer that has sent all it will send, and takes any answer.
struct Peer(Cursor<Vec<u8>>);

impl Read for Peer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Peer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn read_by_tungstenite(bytes: Vec<u8>, terms: impl Into<Terms>) -> Reading<Refusal> {
    let Terms { message_bytes_max, sender } = terms.into();
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .max_message_size(Some(message_bytes_max))
        // Holds for control frames too, which our limit does not concern.
        .max_frame_size(Some(message_bytes_max.max(125)));
    let peer = Peer(Cursor::new(bytes));
    let role = match sender {
        Sender::Client => Role::Server,
        Sender::Server => Role::Client,
    };
    let mut socket = WebSocket::from_raw_socket(peer, role, Some(config));
    let mut events = Vec::new();
    let outcome = loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let bytes = text.as_bytes().to_vec();
                events.push(Event::Message(MessageKind::Text, bytes));
            }
            Ok(Message::Binary(bytes)) => {
                events.push(Event::Message(MessageKind::Binary, bytes.to_vec()));
            }
            Ok(Message::Ping(payload)) => events.push(Event::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => events.push(Event::Pong(payload.to_vec())),
            Ok(Message::Close(frame)) => {
                let frame = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                events.push(Event::Close(frame));
                break Outcome::Closed;
            }
            Ok(Message::Frame(_)) => unreachable!("reading never gives a raw frame"),
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => break Outcome::Open,
            Err(tungstenite::Error::Protocol(_)) => break Outcome::Refused(Refusal::Protocol),
            Err(tungstenite::Error::Capacity(_)) => break Outcome::Refused(Refusal::TooBig),
            Err(tungstenite::Error::Utf8(_)) => break Outcome::Refused(Refusal::Utf8),
            Err(error) => panic!("tungstenite failed: {error}"),
        }
    };
    Reading { events, outcome }
}

// ---- where the two may differ ----

pub(crate) fn compare(
    ours: &Reading,
    mut theirs: Reading<Refusal>,
    stream: &[u8],
    terms: impl Into<Terms>,
) {
    let terms = terms.into();
    // Difference 0: tungstenite does not know 1014, which was registered after RFC 6455.
    if let Some(Event::Close(Some((1014, reason)))) = ours.events.last()
        && let Some(Event::Close(Some(closed))) = theirs.events.last_mut()
        && (closed.0, &*closed.1) == (1002, "Protocol violation")
    {
        *closed = (1014, reason.clone());
    }

    let Outcome::Refused(error) = &ours.outcome else {
        assert_eq!(ours.events, theirs.events);
        assert_eq!(ours.outcome.without_error(), theirs.outcome);
        return;
    };

    // Difference 1: tungstenite judges a frame when all of it has arrived, we judge each byte. If
    // it still waits for the rest of a frame that we have refused, it gets the rest.
    if theirs.outcome == Outcome::Open {
        let mut bytes = stream.to_vec();
        bytes.resize(bytes.len() + terms.message_bytes_max.max(125) + 14, 0);
        theirs = read_by_tungstenite(bytes, terms);
    }

    // Difference 2: tungstenite reports a Close frame with a code that may not be on the wire as
    // one with code 1002, and closes; we refuse it.
    if matches!(error, ProtocolError::InvalidCloseCode(_))
        && let Some(Event::Close(Some((1002, reason)))) = theirs.events.last()
        && reason == "Protocol violation"
    {
        theirs.events.pop();
        theirs.outcome = Outcome::Refused(Refusal::Protocol);
    }
    assert_eq!(ours.events, theirs.events, "before {error}");
    let Outcome::Refused(refusal) = theirs.outcome else {
        panic!("refused with {error}, but not by tungstenite: {theirs:?}");
    };

    let agreed = if matches!(error, ProtocolError::MessageTooBig { .. }) {
        refusal == Refusal::TooBig
    } else if *error == ProtocolError::InvalidUtf8 {
        refusal == Refusal::Utf8
    } else if matches!(error, ProtocolError::InvalidCloseCode(_)) {
        // Difference 3, of a frame with two faults: tungstenite looks at the reason of a Close
        // frame before its code.
        refusal != Refusal::TooBig
    } else {
        // Difference 4, likewise: tungstenite looks at the length before all but the opcode.
        refusal != Refusal::Utf8
    };
    assert!(agreed, "refused with {error}, tungstenite with {refusal:?}");
}

impl Outcome<ProtocolError> {
    fn without_error(&self) -> Outcome<Refusal> {
        match self {
            Self::Open => Outcome::Open,
            Self::Closed => Outcome::Closed,
            Self::Refused(error) => panic!("refused: {error}"),
        }
    }
}
