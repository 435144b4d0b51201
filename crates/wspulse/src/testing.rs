//! The kit for the tests of applications: servers, clients and links, in memory, under virtual time.
//!
//! - [`TestServer`] serves an application around a [`Server`], in memory or on a free port. Its
//!   [`callbacks`](TestServer::callbacks) and [`metrics`](TestServer::metrics) have assertions.
//! - [`LiveClient`] goes the whole way in, answers Pings, and has assertions on what it hears. An
//!   [`Inbox`] has them for any other client.
//! - [`Link`] lies between them and fails as networks do: [`Fault`].
//! - [`play`] plays random lives, each from a seed, with [`Dice`].
//! - [`Trace`] is what has happened, printed by each assertion that fails.
//! - [`TestClient`] does what it is told and nothing by itself: for silent, slow and rude peers.
//! - [`cluster`] has an engine in memory, for several servers in one process, and the suite that each
//!   engine must pass.
//!
//! ```
//! use wspulse::testing::TestServer;
//! use wspulse::{Admission, Server};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
//!     .on_message(|connection, frame| drop(connection.send(frame)));
//! let test = TestServer::new(builder)?;
//!
//! let ann = test.client("ann").connect("/ws").await;
//! ann.send_json("echo", "hello");
//! ann.expect_json("echo", "hello").await;
//!
//! test.server().close().await;
//! assert_eq!(ann.expect_close().await.unwrap().code().as_u16(), 1001);
//! # Ok(())
//! # }
//! ```
//!
//! `#[tokio::test(start_paused = true)]` pauses time: whatever waits for a deadline while nothing else
//! happens is there at once. The repository's `docs/testing.md` is the tour.

mod callbacks;
pub mod cluster;
mod dial;
mod handshake;
mod inbox;
mod link;
mod listener;
mod live;
mod pipe;
mod received;
mod recorder;
mod seeds;
mod server;
mod trace;

use std::io;

use bytes::{Bytes, BytesMut};
use http::request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpStream, ToSocketAddrs};
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{CloseFrame, Frame, MessageKind};

use crate::app::server::Server;
pub use callbacks::{CallbackLog, Called};
pub use dial::Dial;
pub use handshake::{Refused, request_head, request_parts};
pub use inbox::Inbox;
pub use link::{Fault, Link, Way};
pub use listener::{Dialler, MemoryListener, memory_listener};
pub use live::LiveClient;
pub use pipe::LinkStream;
pub use received::Received;
pub use recorder::Recorder;
pub use seeds::{Dice, play};
pub use server::TestServer;
pub use trace::Trace;

/// How many bytes each direction of an in-memory connection holds before its writer waits.
const MEMORY_BYTES: usize = 64 * 1024;

/// The masking key of every frame. A constant, since nothing between the two ends of a test could
/// be fooled by a foreseeable one (RFC 6455 §10.3).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A WebSocket client that does what it is told and nothing by itself: it answers no Ping and no
/// Close unless asked to. Frames are JSON.
///
/// ```
/// use wspulse::testing::TestClient;
/// use wspulse::{Admission, Frame, Server};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
///     .on_message(|connection, frame| drop(connection.send(frame)))
///     .build()?;
///
/// let mut ann = TestClient::connect(&server, "/ws").await?;
/// ann.send(&Frame::new("echo").json(&"hello")?).await?;
/// assert_eq!(ann.frame().await?.to_json::<String>()?, "hello");
///
/// // Side by side: the server waits for ann's answer to its Close frame, which `closed` sends.
/// // One after the other would cost the whole `drain_timeout`, 10 s unless time is paused.
/// let ((), closed) = tokio::join!(server.close(), ann.closed());
/// assert_eq!(closed?.unwrap().code().as_u16(), 1001);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestClient<S> {
    stream: S,
    received: BytesMut,
}

impl TestClient<DuplexStream> {
    /// Connects in memory; `target` is the request's path and query. The server's connect function
    /// is asked as for any other client.
    ///
    /// # Errors
    ///
    /// The server's refusal.
    pub async fn connect(server: &Server, target: &str) -> Result<Self, Refused> {
        Self::connect_with_capacity(server, target, MEMORY_BYTES).await
    }

    /// Connects in memory over a stream that holds so many bytes each way before its writer waits.
    ///
    /// # Errors
    ///
    /// The server's refusal.
    pub async fn connect_with_capacity(
        server: &Server,
        target: &str,
        bytes: usize,
    ) -> Result<Self, Refused> {
        Self::connect_by(server, request_parts(target), bytes).await
    }

    /// Connects in memory by a request of your own: change what [`request_parts`] makes.
    ///
    /// ```
    /// use http::header::{AUTHORIZATION, HeaderValue};
    /// use wspulse::PeerAddr;
    /// use wspulse::testing::{TestClient, request_parts};
    /// # use wspulse::{Admission, Rejection, Server};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::builder_sync(|request| {
    /// #     request.header("authorization").ok_or_else(Rejection::unauthorized)?;
    /// #     Ok(Admission::room("lobby").id("ann"))
    /// # })
    /// # .build()?;
    /// // With a header …
    /// let mut request = request_parts("/ws");
    /// request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer ann's token"));
    /// // … and from an address, which the HTTP server would have told.
    /// request.extensions.insert(PeerAddr("192.0.2.1:50000".parse()?));
    /// let ann = TestClient::connect_with(&server, request).await?;
    /// assert_eq!(server.connection("ann").unwrap().peer_addr(), "192.0.2.1:50000".parse().ok());
    /// # drop(ann);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The server's refusal, also if the request is no handshake.
    pub async fn connect_with(server: &Server, request: request::Parts) -> Result<Self, Refused> {
        Self::connect_by(server, request, MEMORY_BYTES).await
    }

    async fn connect_by(
        server: &Server,
        request: request::Parts,
        bytes: usize,
    ) -> Result<Self, Refused> {
        let handshake = server.handshake(request).map_err(Refused)?;
        let accepted = handshake.connect().await.map_err(Refused)?;
        let (ours, theirs) = duplex(bytes);
        accepted.attach(theirs, &[]);
        Ok(Self::new(ours))
    }
}

impl TestClient<TcpStream> {
    /// Connects over TCP and makes the handshake.
    ///
    /// # Errors
    ///
    /// An I/O error, of kind `InvalidData` with the response's head as its text if the server did
    /// not answer 101.
    pub async fn connect_tcp(address: impl ToSocketAddrs, target: &str) -> io::Result<Self> {
        let mut client = Self::new(TcpStream::connect(address).await?);
        client.stream.set_nodelay(true)?;
        client.write_raw(request_head(target).as_bytes()).await?;
        let head = client.read_response_head().await?;
        if head.starts_with("HTTP/1.1 101 ") {
            Ok(client)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, head))
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TestClient<S> {
    /// A client on a stream whose handshake is done, or is yet to be made by hand.
    pub fn new(stream: S) -> Self {
        Self { stream, received: BytesMut::new() }
    }

    /// Sends a frame as JSON text.
    ///
    /// # Errors
    ///
    /// The stream's, or `InvalidInput` if the frame cannot be encoded.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let mut text = Vec::new();
        JsonCodec
            .encode(frame, &mut text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.write_message(MessageKind::Text, &text).await
    }

    /// Sends a message as it is.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn write_message(&mut self, kind: MessageKind, payload: &[u8]) -> io::Result<()> {
        let opcode = match kind {
            MessageKind::Text => 1,
            MessageKind::Binary => 2,
        };
        self.write_raw(&masked(0x80 | opcode, payload)).await
    }

    /// Sends a Ping.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn ping(&mut self, payload: &[u8]) -> io::Result<()> {
        self.write_raw(&masked(0x89, payload)).await
    }

    /// Sends a Pong.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        self.write_raw(&masked(0x8a, payload)).await
    }

    /// Sends a Close frame; `None` for an empty one.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn close(&mut self, frame: Option<&CloseFrame>) -> io::Result<()> {
        let payload = frame.map_or_else(Vec::new, |frame| {
            [&frame.code().as_u16().to_be_bytes()[..], frame.reason().as_bytes()].concat()
        });
        self.write_raw(&masked(0x88, &payload)).await
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Waits for whatever the server sends next.
    ///
    /// # Errors
    ///
    /// The stream's, or `InvalidData` for something that no server may send.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn receive(&mut self) -> io::Result<Received> {
        loop {
            if let Some(received) = received::parse(&mut self.received)? {
                return Ok(received);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return match self.received.len() {
                    0 => Ok(Received::End),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Waits for the next frame and answers Pings on the way.
    ///
    /// # Errors
    ///
    /// The stream's, or `InvalidData` if something else comes than a frame in JSON.
    pub async fn frame(&mut self) -> io::Result<Frame> {
        loop {
            match self.receive().await? {
                Received::Message(kind, payload) => {
                    return JsonCodec
                        .decode(InboundMessage::owned(kind, payload))
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Received::Ping(payload) => self.pong(&payload).await?,
                other @ (Received::Pong(_) | Received::Close(_) | Received::End) => {
                    let text = format!("a frame was expected, {other:?} came");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
    }

    /// Passes over everything until the server's Close frame, answers that, ends its own direction
    /// of the stream, and waits for the end of the other. `None` if the frame was empty.
    ///
    /// The server waits for this answer: run it beside [`Server::close`], not after it.
    ///
    /// # Errors
    ///
    /// The stream's, or `UnexpectedEof` if the stream ends without a Close frame.
    pub async fn closed(&mut self) -> io::Result<Option<CloseFrame>> {
        loop {
            match self.receive().await? {
                Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
                Received::Close(frame) => {
                    // The server may have gone already, its frame said all there was.
                    let _ = self.close(frame.as_ref()).await;
                    // Else the server lingers a while for what may still be on its way.
                    let _ = self.stream.shutdown().await;
                    while self.stream.read_buf(&mut self.received).await.is_ok_and(|n| n > 0) {}
                    return Ok(frame);
                }
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The stream, to be driven by hand; dropping it is losing the connection.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Reads an HTTP response's head, up to and with its empty line.
    ///
    /// # Errors
    ///
    /// The stream's, or `UnexpectedEof` if it ends before.
    pub async fn read_response_head(&mut self) -> io::Result<String> {
        loop {
            let end = self.received.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.received.split_to(end + 4);
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A client's frame, masked, with this first byte (FIN, reserved bits and opcode).
pub fn masked(first_byte: u8, payload: &[u8]) -> Bytes {
    let mut frame = vec![first_byte];
    // RFC 6455 §5.2: 126 and 127 say that a length of 16 or 64 bits follows; 128 that it is masked.
    if let Ok(len @ 0..=125) = u8::try_from(payload.len()) {
        frame.push(0x80 | len);
    } else if let Ok(len) = u16::try_from(payload.len()) {
        frame.push(0x80 + 126);
        frame.extend_from_slice(&len.to_be_bytes());
    } else {
        frame.push(0x80 + 127);
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame.into()
}
