//! One client: its socket, its handshake, its messages.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::Registry;
use mio::net::TcpStream;
use socket2::{Domain, SockRef, Socket, Type};

use super::dialect::{Dialect, Step};
use super::exchange::{Greeting, Ticket};
use super::inflating::Compressed;
use super::{Identity, LoadError, Offer, Target, wire};

/// How much a client's kernel keeps for it while it does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffers {
    /// What the kernel thinks right.
    System,
    /// As little as it can, so that a client that stops reading is felt soon.
    Small,
}

#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    room: Box<str>,
    id: Box<str>,
    phase: Phase,
    /// When its 101 was read.
    opened_at: Option<Instant>,
    /// The start of what has come in part.
    carry: Vec<u8>,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
    attention: Attention,
    offer: Offer,
    compressed: Compressed,
    /// Of all messages on the wire, with their headers.
    message_bytes: u64,
    /// Something has come that it was not asked about since.
    owes_answer: bool,
    /// Messages that have come, where the server asks for that.
    received: u64,
    /// What finds its session, where the server gives such a thing: the newest.
    token: Option<String>,
    /// It had a session when it connected.
    is_back: bool,
}

/// What a client does about what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attention {
    /// It reads and answers.
    Full,
    /// It reads, but as if its application stood still it answers nothing and counts nothing.
    Reading,
    /// It does not even read.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The request is to be sent, its response to be read.
    Upgrading,
    /// Through the dialect's own preliminaries.
    Joining,
    Ready,
}

/// What went wrong, before it is known with whom.
pub(super) enum Fault {
    Io(io::Error),
    Closed,
    /// By a close frame with this payload.
    Told(Vec<u8>),
    Protocol(String),
}

impl Fault {
    pub(super) fn of(self, client: usize) -> LoadError {
        match self {
            Self::Io(source) => LoadError::Io { client, source },
            Self::Closed | Self::Told(_) => LoadError::Closed { client },
            Self::Protocol(what) => LoadError::Protocol { client, what },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Client {
    pub(super) fn connect(
        address: SocketAddr,
        source: Option<Ipv4Addr>,
        Target { dialect, offer, .. }: Target,
        identity: &Identity,
        buffers: Buffers,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match buffers {
            Buffers::System => {}
            Buffers::Small => socket.set_recv_buffer_size(4096)?,
        }
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&address.into()) {
            // EINPROGRESS, which the standard library has no stable name for.
            Err(error) if error.raw_os_error() != Some(115) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let target = dialect.request_target(identity);
        let ticket = identity.ticket.as_ref();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n{}{}\r\n",
            dialect.own_line(identity),
            offer.line()
        );
        Ok(Self {
            socket: TcpStream::from_std(socket.into()),
            room: identity.room.as_str().into(),
            id: identity.id.as_str().into(),
            phase: Phase::Upgrading,
            opened_at: None,
            carry: Vec::new(),
            unsent: request.into_bytes(),
            attention: Attention::Full,
            offer,
            compressed: Compressed::Unexpected,
            message_bytes: 0,
            owes_answer: false,
            received: ticket.map_or(0, |ticket| ticket.received),
            token: None,
            is_back: ticket.is_some(),
        })
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(super) const fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    pub(super) const fn message_bytes(&self) -> u64 {
        self.message_bytes
    }

    /// From now on compressed messages are counted, and not read.
    pub(super) fn stop_inflating(&mut self) {
        if let Compressed::Inflated(_) = self.compressed {
            self.compressed = Compressed::Counted;
        }
    }

    pub(super) const fn owes_answer(&self) -> bool {
        self.owes_answer
    }

    /// Whom it has to say that it is to get its session again.
    pub(super) fn identity(&self) -> Identity {
        let token = self.token.clone();
        Identity {
            room: self.room.to_string(),
            id: self.id.to_string(),
            ticket: token.map(|token| Ticket { token, received: self.received }),
        }
    }

    /// Ends the connection with a reset, as a network that breaks does at best.
    pub(super) fn reset(self) -> io::Result<()> {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }

    pub(super) fn stop_reading(&mut self, registry: &Registry) -> io::Result<()> {
        self.attention = Attention::Nothing;
        registry.deregister(&mut self.socket)
    }

    /// Answers the server's close frame, and is heard of no more.
    pub(super) fn part(&mut self, close: &[u8]) -> Result<(), Fault> {
        let mut echo = Vec::new();
        wire::encode(wire::CLOSE, &[close], &mut echo);
        self.attention = Attention::Nothing;
        self.write(&echo)?;
        Ok(())
    }

    pub(super) fn stop_answering(&mut self) {
        self.attention = Attention::Reading;
    }

    pub(super) fn on_writable(&mut self) -> Result<(), Fault> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error.into());
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)?;
        Ok(())
    }

    /// Writes now what the socket takes, and the rest when it takes more. Tells how much that is.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<usize, Fault> {
        while self.unsent.is_empty() && !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(0) => return Err(Fault::Closed),
                Ok(written) => bytes = &bytes[written..],
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(self.unsent.len())
    }

    pub(super) fn send(&mut self, dialect: Dialect, payload: &[u8]) -> Result<(), Fault> {
        let mut frame = Vec::with_capacity(payload.len() + 64);
        dialect.encode(&self.room, payload, &mut frame);
        self.write(&frame)?;
        Ok(())
    }

    pub(super) fn prepare(&self, dialect: Dialect, payload: &[u8], out: &mut Vec<u8>) {
        dialect.encode(&self.room, payload, out);
    }

    /// Reads until nothing more is there.
    pub(super) fn on_readable(
        &mut self,
        dialect: Dialect,
        scratch: &mut [u8],
        mut on_delivery: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        while self.attention != Attention::Nothing {
            let carried = self.carry.len();
            scratch[..carried].copy_from_slice(&self.carry);
            let read = match self.socket.read(&mut scratch[carried..]) {
                Ok(0) => return Err(Fault::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let filled = carried + read;
            let consumed = self.take(dialect, &scratch[..filled], &mut on_delivery)?;
            self.carry.clear();
            self.carry.extend_from_slice(&scratch[consumed..filled]);
            // A short read has taken all there was: the next byte is an event of its own.
            if filled < scratch.len() {
                return Ok(());
            }
            if consumed == 0 {
                return Err(Fault::Protocol(format!("a message of more than {filled} bytes")));
            }
        }
        Ok(())
    }

    /// Handles the whole messages in `input` and tells how many bytes those are.
    fn take(
        &mut self,
        dialect: Dialect,
        input: &[u8],
        on_delivery: &mut impl FnMut(&[u8]),
    ) -> Result<usize, Fault> {
        let mut consumed = 0;
        if self.phase == Phase::Upgrading {
            let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(0);
            };
            if !input.starts_with(b"HTTP/1.1 101 ") {
                let head = String::from_utf8_lossy(&input[..end]).into_owned();
                return Err(Fault::Protocol(format!("refused with {head}")));
            }
            let agreed = Compressed::agreed(self.offer, &input[..end]);
            self.compressed = agreed.map_err(Fault::Protocol)?;
            consumed = end + 4;
            self.phase = Phase::Joining;
            self.opened_at = Some(Instant::now());
            self.step(dialect.open())?;
        }
        while let Some(frame) = wire::parse(&input[consumed..]) {
            let payload = &input[consumed..][frame.payload.clone()];
            consumed += frame.payload.end;
            match frame.opcode {
                wire::TEXT | wire::BINARY if frame.is_final => {
                    self.message_bytes += frame.payload.end as u64;
                    self.owes_answer = true;
                    let step = match (frame.is_compressed, &mut self.compressed) {
                        (false, _) => dialect.read(&self.room, payload, &mut *on_delivery),
                        (true, Compressed::Inflated(inflater)) => inflater
                            .inflate(payload)
                            .and_then(|text| dialect.read(&self.room, text, &mut *on_delivery)),
                        (true, Compressed::Counted) => {
                            on_delivery(payload);
                            Ok(Step::Nothing)
                        }
                        (true, Compressed::Unexpected) => {
                            Err("a compressed message, which nobody has agreed on".to_owned())
                        }
                    };
                    self.step(step.map_err(Fault::Protocol)?)?;
                }
                wire::PING if self.attention == Attention::Reading => {}
                wire::PING => {
                    self.owes_answer = false;
                    let mut pong = Vec::new();
                    wire::encode(wire::PONG, &[payload], &mut pong);
                    self.write(&pong)?;
                }
                wire::PONG => {}
                wire::CLOSE => return Err(Fault::Told(payload.to_vec())),
                opcode => return Err(Fault::Protocol(format!("opcode {opcode} is not expected"))),
            }
        }
        Ok(consumed)
    }

    fn step(&mut self, step: Step) -> Result<(), Fault> {
        match step {
            Step::Nothing => {}
            Step::Joined => self.phase = Phase::Ready,
            Step::Greeted(greeting) => self.greet(greeting)?,
            Step::Counted | Step::Acknowledge if self.attention == Attention::Reading => {}
            Step::Counted => self.received += 1,
            Step::Acknowledge => {
                self.owes_answer = false;
                self.say(format!("[\"ack\",{}]", self.received).as_bytes())?;
            }
            Step::Reply(text) => self.say(&text)?,
        }
        Ok(())
    }

    fn greet(&mut self, greeting: Greeting) -> Result<(), Fault> {
        if greeting.is_resumed() != self.is_back {
            let what =
                if self.is_back { "its session was gone" } else { "it got another's session" };
            return Err(Fault::Protocol(what.to_owned()));
        }
        self.token = Some(greeting.token);
        self.phase = Phase::Ready;
        Ok(())
    }

    fn say(&mut self, text: &[u8]) -> Result<(), Fault> {
        let mut frame = Vec::new();
        wire::encode(wire::TEXT, &[text], &mut frame);
        self.write(&frame)?;
        Ok(())
    }
}
