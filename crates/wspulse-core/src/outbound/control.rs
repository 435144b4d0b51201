//! Control frames (RFC 6455 §5.5) and the control messages of `wspulse.1`, written ahead of waiting
//! data.

use smallvec::SmallVec;

use crate::close::CloseFrame;
use crate::encoded::{EncodedFrame, MessageKind};
use crate::protocol::Control;

/// The control frames that a transport owes its peer.
///
/// It is never dropped in favour of data, and its size is bounded: of many Pongs the last one is
/// replaced by a newer one (RFC 6455 §5.5.3 allows answering only the newest Ping), a second Ping
/// while the first still waits is the same Ping. Empty, it holds nothing.
#[derive(Debug, Default)]
pub struct ControlLane(Option<Box<Lane>>);

#[derive(Debug, Default)]
struct Lane {
    /// The frame that is being written, and how much of it is.
    current: SmallVec<[u8; CURRENT_BYTES]>,
    written: usize,
    /// What the transport begins with.
    first: Option<EncodedFrame>,
    pongs: Vec<Vec<u8>>,
    /// The payload of the Ping.
    ping: Option<PingPayload>,
    /// The newest count that is owed to a client of `wspulse.1`.
    ack: Option<u64>,
    asks: bool,
    /// The payload of the Close frame.
    close: Option<Vec<u8>>,
}

/// Enough to answer every Ping of a client that sends a few at once; a flood gets fewer answers.
const PONGS_MAX: usize = 16;

/// Room for what is written most of the time, a Ping or an empty Pong, without another allocation.
const CURRENT_BYTES: usize = 24;

/// What a Ping carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PingPayload {
    /// Nothing.
    #[default]
    Empty,
    /// What its Pong is to be known by.
    Question([u8; 16]),
}

impl PingPayload {
    /// The bytes on the wire.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Question(bytes) => bytes,
        }
    }
}

const OPCODE_CLOSE: u8 = 0x8;
const OPCODE_PING: u8 = 0x9;
const OPCODE_PONG: u8 = 0xA;

impl ControlLane {
    /// Owes a Pong with this payload, at most 125 bytes.
    pub fn queue_pong(&mut self, payload: &[u8]) {
        let pongs = &mut self.lane().pongs;
        if pongs.len() == PONGS_MAX {
            pongs.pop();
        }
        pongs.push(payload.to_vec());
    }

    /// Owes a Ping with this payload, instead of one that is owed already; one that carries nothing
    /// gives way to a question.
    pub fn queue_ping(&mut self, payload: PingPayload) {
        let owed = &mut self.lane().ping;
        match payload {
            PingPayload::Empty => owed.get_or_insert(payload),
            PingPayload::Question(_) => owed.insert(payload),
        };
    }

    /// Owes the first message of a transport of `wspulse.1`: this text, ahead of everything else.
    pub fn queue_hello(&mut self, text: &str) {
        self.queue_first(EncodedFrame::from_payload(MessageKind::Text, text.as_bytes()));
    }

    /// Owes the first message of a transport: this frame, ahead of everything else.
    pub fn queue_first(&mut self, frame: EncodedFrame) {
        self.lane().first = Some(frame);
    }

    /// Owes a client of `wspulse.1` the number of its messages that are handled, instead of one
    /// that is owed already.
    pub fn queue_ack(&mut self, count: u64) {
        self.lane().ack = Some(count);
    }

    /// Owes a client of `wspulse.1` the question how far it has got.
    pub fn queue_ask(&mut self) {
        self.lane().asks = true;
    }

    /// Owes a Close frame, `None` for an empty one, and nothing behind it.
    pub fn queue_close(&mut self, frame: Option<CloseFrame>) {
        let payload = frame.map_or_else(Vec::new, |frame| {
            [&frame.code().as_u16().to_be_bytes()[..], frame.reason().as_bytes()].concat()
        });
        self.lane().close = Some(payload);
    }

    /// Whether nothing is owed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a frame is written in part, so that its rest must come next.
    pub fn is_started(&self) -> bool {
        self.0.as_ref().is_some_and(|lane| lane.written > 0)
    }

    /// Settles which frames are written next.
    pub fn stage(&mut self) {
        if let Some(lane) = &mut self.0
            && lane.current.is_empty()
        {
            lane.stage();
        }
    }

    /// The staged bytes that are to be written.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |lane| &lane.current[lane.written..])
    }

    /// Takes note that the next `bytes` are written. Returns what goes beyond the staged bytes.
    #[inline]
    pub fn advance(&mut self, bytes: usize) -> usize {
        let Some(lane) = &mut self.0 else {
            return bytes;
        };
        let rest = lane.current.len() - lane.written;
        if bytes < rest {
            lane.written += bytes;
            return 0;
        }
        lane.current.clear();
        lane.written = 0;
        if lane.owes_nothing() {
            self.0 = None;
        }
        bytes - rest
    }

    fn lane(&mut self) -> &mut Lane {
        self.0.get_or_insert_default()
    }
}

impl Lane {
    fn owes_nothing(&self) -> bool {
        let Self { current: _, written: _, first, pongs, ping, ack, asks, close } = self;
        let owes_control = !pongs.is_empty() || ping.is_some() || close.is_some();
        !owes_control && first.is_none() && ack.is_none() && !asks
    }

    fn stage(&mut self) {
        if let Some(frame) = self.first.take() {
            self.current.extend_from_slice(frame.wire());
        }
        if !self.pongs.is_empty() {
            for payload in std::mem::take(&mut self.pongs) {
                self.encode(OPCODE_PONG, &payload);
            }
        }
        if let Some(payload) = self.ping.take() {
            self.encode(OPCODE_PING, payload.as_bytes());
        }
        if let Some(count) = self.ack.take()
            && let Some(text) = Control::Ack(count).to_text()
        {
            self.encode_text(text.as_bytes());
        }
        if std::mem::take(&mut self.asks)
            && let Some(text) = Control::Ask.to_text()
        {
            self.encode_text(text.as_bytes());
        }
        if let Some(payload) = self.close.take() {
            self.encode(OPCODE_CLOSE, &payload);
        }
    }

    fn encode_text(&mut self, text: &[u8]) {
        self.current.extend_from_slice(EncodedFrame::from_payload(MessageKind::Text, text).wire());
    }

    fn encode(&mut self, opcode: u8, payload: &[u8]) {
        // RFC 6455 §5.5: a control frame's payload is at most 125 bytes.
        let len = u8::try_from(payload.len()).ok().filter(|len| *len <= 125);
        let len = len.expect("control payloads come from the decoder or a CloseFrame");
        self.current.push(0x80 | opcode);
        self.current.push(len);
        if !payload.is_empty() {
            self.current.extend_from_slice(payload);
        }
    }
}
