//! What travels inside of WebSocket messages, for each family of servers.

use serde::Deserialize;

use super::exchange::Greeting;
use super::wire;
use super::{CONNECTING_MAX, Identity};

/// How an application's payload is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    /// The frames of wspulse with its JSON codec, opaque bytes for servers without frames.
    Raw,
    /// As `Raw`, and each message is a request: it has an id.
    Request,
    /// As `Raw`, with the messages of `wspulse.1` beside.
    Exchange,
    /// Engine.IO 4 and Socket.IO 5, text packets.
    SocketIo,
    /// Centrifugo's JSON protocol.
    Centrifuge,
    /// Plain text beside wse's own messages, which are JSON objects.
    Wse,
}

/// What a client has to do about a message.
pub(super) enum Step {
    Nothing,
    /// Say this.
    Reply(Vec<u8>),
    /// It is in its room now.
    Joined,
    /// So it is, and has been told how it finds its session again.
    Greeted(Greeting),
    /// Say how many messages have come.
    Acknowledge,
    /// That was one of those.
    Counted,
}

const RAW_BEFORE: &[u8] = br#"{"event":"m","payload":""#;
const RAW_AFTER: &[u8] = br#""}"#;
const REQUEST_BEFORE: &[u8] = br#"{"id":"1","event":"m","payload":""#;
const REPLY_BEFORE: &[u8] = br#"{"id":"1","event":"reply","payload":""#;
const SOCKETIO_BEFORE: &[u8] = br#"42["m",""#;
const SOCKETIO_AFTER: &[u8] = br#""]"#;
const WSE_BEFORE: &[u8] = b"m ";
const WSE_PING: &[u8] = br#"{"c":"WSE","t":"ping""#;
const WSE_PONG: &[u8] = br#"{"c":"WSE","t":"pong","p":{}}"#;
const CENTRIFUGE_DATA: &[u8] = br#""data":""#;

/// Where a payload starts in a message of the raw dialect.
pub(crate) const RAW_PAYLOAD_AT: usize = RAW_BEFORE.len();

/// A payload that starts with this asks for the count, in count mode.
pub(crate) const COUNT_REQUEST: u8 = b'?';

/// The bytes that the raw dialect adds to a payload.
pub(crate) const RAW_EXTRA_BYTES: usize = RAW_BEFORE.len() + RAW_AFTER.len();

impl Dialect {
    /// The target of the request that opens a connection.
    pub(super) fn request_target(self, Identity { room, id, .. }: &Identity) -> String {
        match self {
            Self::Raw | Self::Request | Self::Exchange | Self::Centrifuge | Self::Wse => {
                format!("/ws?room={room}&id={id}")
            }
            Self::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&room={room}&id={id}"),
        }
    }

    /// The line of a client's request that others have no use for: the subprotocols that it offers,
    /// or the room where a server's application sees nothing of a request but the cookies.
    pub(super) fn own_line(self, Identity { room, ticket, .. }: &Identity) -> String {
        match (self, ticket) {
            (Self::Wse, _) => format!("Cookie: room={room}\r\n"),
            (Self::Exchange, None) => "Sec-WebSocket-Protocol: wspulse.1+json\r\n".to_owned(),
            (Self::Exchange, Some(ticket)) => {
                format!("Sec-WebSocket-Protocol: wspulse.1+json, {}\r\n", ticket.offer())
            }
            (Self::Raw | Self::Request | Self::SocketIo | Self::Centrifuge, _) => String::new(),
        }
    }

    /// How many clients connect at a time.
    pub(super) const fn connecting_max(self) -> usize {
        match self {
            Self::Raw | Self::Request | Self::Exchange | Self::SocketIo | Self::Centrifuge => {
                CONNECTING_MAX
            }
            // It cuts off whoever comes while 512 others are in their handshakes, by its own count.
            Self::Wse => CONNECTING_MAX / 4,
        }
    }

    /// What a client does once it has read its 101.
    pub(super) fn open(self) -> Step {
        match self {
            Self::Raw | Self::Request | Self::Wse => Step::Joined,
            Self::SocketIo | Self::Exchange => Step::Nothing,
            Self::Centrifuge => Step::Reply(br#"{"id":1,"connect":{}}"#.to_vec()),
        }
    }

    /// Appends a message with this payload to a room, framed and masked.
    pub(super) fn encode(self, room: &str, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Raw | Self::Exchange => {
                wire::encode(wire::TEXT, &[RAW_BEFORE, payload, RAW_AFTER], out);
            }
            Self::Request => {
                wire::encode(wire::TEXT, &[REQUEST_BEFORE, payload, RAW_AFTER], out);
            }
            Self::Wse => wire::encode(wire::TEXT, &[WSE_BEFORE, payload], out),
            Self::SocketIo => {
                wire::encode(wire::TEXT, &[SOCKETIO_BEFORE, payload, SOCKETIO_AFTER], out);
            }
            Self::Centrifuge => {
                let before = format!(r#"{{"id":9,"publish":{{"channel":"{room}","data":""#);
                wire::encode(wire::TEXT, &[before.as_bytes(), payload, br#""}}"#], out);
            }
        }
    }

    /// Reads a message: shows `on_delivery` each application payload in it, and says what to do.
    #[inline]
    pub(super) fn read(
        self,
        room: &str,
        message: &[u8],
        mut on_delivery: impl FnMut(&[u8]),
    ) -> Result<Step, String> {
        match self {
            Self::Raw => {
                let framed = message.strip_prefix(RAW_BEFORE);
                // The count of the `count` mode comes bare from servers without frames.
                on_delivery(framed.and_then(|m| m.strip_suffix(RAW_AFTER)).unwrap_or(message));
                Ok(Step::Nothing)
            }
            Self::Request => {
                let payload = message.strip_prefix(REPLY_BEFORE);
                let payload = payload.and_then(|it| it.strip_suffix(RAW_AFTER));
                on_delivery(payload.ok_or("a message that is no reply")?);
                Ok(Step::Nothing)
            }
            Self::Exchange => match message {
                br#"["ask"]"# => Ok(Step::Acknowledge),
                [b'[', ..] if message.starts_with(br#"["hello""#) => {
                    Greeting::parse(message).map(Step::Greeted)
                }
                [b'[', ..] => Ok(Step::Nothing),
                _ => {
                    let framed = message.strip_prefix(RAW_BEFORE);
                    on_delivery(framed.and_then(|m| m.strip_suffix(RAW_AFTER)).unwrap_or(message));
                    Ok(Step::Counted)
                }
            },
            Self::SocketIo => read_socketio(message, on_delivery),
            Self::Wse if message.first() == Some(&b'{') => {
                let is_ping = message.starts_with(WSE_PING);
                Ok(if is_ping { Step::Reply(WSE_PONG.to_vec()) } else { Step::Nothing })
            }
            Self::Wse => {
                // The count comes bare.
                on_delivery(message.strip_prefix(WSE_BEFORE).unwrap_or(message));
                Ok(Step::Nothing)
            }
            Self::Centrifuge => {
                let mut step = Step::Nothing;
                for line in message.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    match read_centrifuge(room, line, &mut on_delivery)? {
                        Step::Nothing => {}
                        next @ (Step::Joined
                        | Step::Greeted(_)
                        | Step::Reply(_)
                        | Step::Acknowledge
                        | Step::Counted) => step = next,
                    }
                }
                Ok(step)
            }
        }
    }
}

fn read_socketio(message: &[u8], mut on_delivery: impl FnMut(&[u8])) -> Result<Step, String> {
    if let Some(payload) = message.strip_prefix(SOCKETIO_BEFORE) {
        // Behind the payload a server that can resume adds the message's offset.
        let end = payload.iter().position(|byte| *byte == b'"').unwrap_or(payload.len());
        on_delivery(&payload[..end]);
        return Ok(Step::Nothing);
    }
    match message {
        [b'0', ..] => Ok(Step::Reply(b"40".to_vec())),
        [b'4', b'0', ..] => Ok(Step::Joined),
        b"2" => Ok(Step::Reply(b"3".to_vec())),
        _ => Err(unexpected(message)),
    }
}

fn read_centrifuge(
    room: &str,
    line: &[u8],
    on_delivery: &mut impl FnMut(&[u8]),
) -> Result<Step, String> {
    if line.starts_with(br#"{"push""#) {
        if let Some(at) = line.windows(CENTRIFUGE_DATA.len()).position(|w| w == CENTRIFUGE_DATA) {
            let payload = &line[at + CENTRIFUGE_DATA.len()..];
            let end = payload.iter().position(|byte| *byte == b'"').unwrap_or(payload.len());
            on_delivery(&payload[..end]);
        }
        return Ok(Step::Nothing);
    }
    if line == b"{}" {
        return Ok(Step::Reply(b"{}".to_vec()));
    }
    let has = |word: &[u8]| line.windows(word.len()).any(|window| window == word);
    if has(br#""error""#) {
        return Err(unexpected(line));
    }
    if has(br#""connect""#) {
        let subscribe = format!(r#"{{"id":2,"subscribe":{{"channel":"{room}"}}}}"#);
        return Ok(Step::Reply(subscribe.into_bytes()));
    }
    Ok(if has(br#""subscribe""#) { Step::Joined } else { Step::Nothing })
}

fn unexpected(message: &[u8]) -> String {
    let shown = &message[..message.len().min(200)];
    format!("unexpected message {}", String::from_utf8_lossy(shown))
}
