//! Byte streams that carry WebSocket frames.

mod caught;
mod facts;
mod farewell;
#[cfg(feature = "http2")]
mod http2;
mod nonce;
mod rewound;
mod upgraded;

use std::any::Any;
use std::error::Error;
use std::future::ready;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wspulse_core::outbound::{ControlLane, Form, PingPayload};
use wspulse_core::websocket::Decoder;

use crate::ground::BoxFuture;
use crate::ground::begun::Begun;
use crate::ground::runtimes::Home;
use crate::membership::turns::LastTurn;
use crate::settings::compression::Agreed;
use crate::settings::connect::{Asked, ConnectRequest};

use caught::CaughtStream;
pub(crate) use facts::Facts;
pub(crate) use farewell::{Farewell, turn_away};
#[cfg(feature = "http2")]
pub(crate) use http2::{LetGo, Reader, Reading};
pub(crate) use nonce::Nonce;
pub(crate) use rewound::{FirstRead, Rewound};
pub(crate) use upgraded::{FromHyper, Unwrap};

/// A connection's transport: the stream and what the WebSocket protocol needs beside it.
pub(crate) struct Transport {
    pub(crate) stream: Stream,
    pub(crate) decoder: Decoder,
    pub(crate) lane: ControlLane,
    /// Boxed, since there are none most of the time.
    pub(crate) unread: Option<Box<Unread>>,
    /// How many bytes the stream has taken since it was last flushed to the end: it may still hold
    /// them back. It stops at the highest number.
    pub(crate) bytes_unflushed: u32,
    pub(crate) facts: Facts,
    pub(crate) last_turn: LastTurn,
    /// Its Pings ask how far the peer has got.
    pub(crate) nonce: Option<Nonce>,
    /// In which form frames are written to it.
    pub(crate) form: Form,
}

/// Bytes that were read and not decoded: those behind the handshake, or what remained of a read
/// when too many frames waited for their callback.
pub(crate) struct Unread(pub(crate) Vec<u8>);

/// Plain TCP, the common case, is held as it is; anything else in a box.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Other(CaughtStream),
}

/// What a transport can be made of.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> ByteStream for T {}

/// A stream on its way: its HTTP response may still have to be written.
pub(crate) struct Upgrade {
    pub(crate) stream: BoxFuture<Result<Upgradable, UpgradeError>>,
    pub(crate) peer_addr: Option<SocketAddr>,
    /// Where its client goes on, if it speaks `wspulse.1` and comes back.
    pub(crate) comes_back: Option<ComesBack>,
    /// What the client was admitted with, if somebody is to be told of that.
    pub(crate) asked: Option<Asked>,
    /// Its place among all handshakes.
    pub(crate) begun: Begun,
    /// Whether messages are compressed.
    pub(crate) agreed: Agreed,
    /// Until when the client was admitted, if that was said.
    pub(crate) expires_at: Option<Instant>,
    /// Its request, if the application says something of a new connection's span.
    pub(crate) request: Option<Box<ConnectRequest>>,
}

/// What a client of `wspulse.1` says of its session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComesBack {
    /// How many of its frames the client has received.
    pub(crate) received: u64,
    /// The number of the token that it offered; 0 for none.
    pub(crate) token: u32,
}

/// A stream that has come, with the bytes that the HTTP layer had read beyond the request.
pub(crate) struct Upgradable {
    stream: Stream,
    unread: Option<Box<Unread>>,
}

pub(crate) type UpgradeError = Box<dyn Error + Send + Sync>;

/// The other end of an [`Upgrade`] whose stream is handed in by the application.
pub(crate) type StreamSender = oneshot::Sender<Upgradable>;

impl Upgrade {
    fn new(
        stream: BoxFuture<Result<Upgradable, UpgradeError>>,
        peer_addr: Option<SocketAddr>,
    ) -> Self {
        Self {
            stream,
            peer_addr,
            comes_back: None,
            asked: None,
            begun: Begun::EARLIEST,
            agreed: Agreed::default(),
            expires_at: None,
            request: None,
        }
    }

    /// The stream of a request that hyper serves, also under axum.
    pub(crate) fn from_hyper(from_hyper: FromHyper, peer_addr: Option<SocketAddr>) -> Self {
        Self::new(Box::pin(from_hyper.stream()), peer_addr)
    }

    /// One that has come already.
    pub(crate) fn ready(upgradable: Upgradable) -> Self {
        Self::new(Box::pin(ready(Ok(upgradable))), None)
    }

    /// A stream that will come through the sender.
    pub(crate) fn by_hand(peer_addr: Option<SocketAddr>) -> (StreamSender, Self) {
        let (sender, receiver) = oneshot::channel();
        let stream = async move { Ok(receiver.await?) };
        (sender, Self::new(Box::pin(stream), peer_addr))
    }
}

impl Unread {
    pub(crate) fn some(bytes: &[u8]) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self(bytes.to_vec())))
    }
}

impl Upgradable {
    pub(crate) fn new<S>(stream: S, unread: &[u8]) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let upgradable = Self::as_it_is(stream, unread);
        if let Stream::Tcp(tcp) = &upgradable.stream {
            set_nodelay(tcp);
        }
        upgradable
    }

    /// Of a stream whose socket, if it has one, is set up.
    fn as_it_is<S>(stream: S, unread: &[u8]) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self { stream: Stream::new(stream), unread: Unread::some(unread) }
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Other(_) => None,
        }
    }
}

impl Transport {
    pub(crate) fn new(
        upgradable: Upgradable,
        (decoder, agreed): (Decoder, Agreed),
        home: Home,
    ) -> Self {
        let decoder = agreed.decoder(decoder);
        Self {
            stream: upgradable.stream,
            decoder,
            lane: ControlLane::default(),
            unread: upgradable.unread,
            bytes_unflushed: 0,
            facts: Facts::default(),
            last_turn: LastTurn::never(home),
            nonce: None,
            form: agreed.form(),
        }
    }

    /// Whether nothing is left to be written or flushed but what waits in the queue.
    pub(crate) const fn is_flushed(&self) -> bool {
        self.owes_nothing() && self.bytes_unflushed == 0
    }

    /// Whether no control frame is left to be written.
    pub(crate) const fn owes_nothing(&self) -> bool {
        self.lane.is_empty() && !self.facts.owes_ping()
    }

    /// Owes the peer a Ping that carries nothing.
    pub(crate) fn queue_ping(&mut self) {
        if self.lane.is_empty() {
            self.facts.owe_ping();
        } else {
            self.lane.queue_ping(PingPayload::Empty);
        }
    }

    /// The Ping is not alone any more, or is written in part: it goes with what else is in the lane.
    pub(crate) fn put_ping_in_lane(&mut self) {
        if self.facts.take_ping() {
            self.lane.queue_ping(PingPayload::Empty);
        }
    }

    /// The stream has taken so many bytes.
    pub(crate) fn note_taken(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes_unflushed = self.bytes_unflushed.saturating_add(bytes);
    }
}

impl Stream {
    fn new<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Self {
        let mut stream = Some(stream);
        let tcp = (&mut stream as &mut dyn Any).downcast_mut::<Option<TcpStream>>();
        match tcp.and_then(Option::take) {
            Some(tcp) => Self::Tcp(tcp),
            None => Self::Other(CaughtStream::new(stream.expect("only a TCP stream is taken out"))),
        }
    }
}

/// Frames are written when they are due, several at once if several wait: Nagle's algorithm could
/// only delay them.
fn set_nodelay(tcp: &TcpStream) {
    // A socket that refuses is as good as dead.
    let _ = tcp.set_nodelay(true);
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Other(stream) => stream.poll(|stream| stream.poll_read(cx, buf)),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Other(stream) => stream.poll(|stream| stream.poll_write(cx, buf)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => stream.poll(|stream| stream.poll_flush(cx)),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => stream.poll(|stream| stream.poll_shutdown(cx)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Other(stream) => stream.poll(|stream| stream.poll_write_vectored(cx, bufs)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Other(stream) => stream.is_write_vectored(),
        }
    }
}
