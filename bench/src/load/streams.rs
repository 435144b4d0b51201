//! Clients that read and write alike, whether their WebSockets have a connection each or are streams of
//! HTTP/2 connections (RFC 8441): what a server takes for the ones can be held against the others.
//!
//! They are slower than a [`Fleet`](super::Fleet): HTTP/2 takes more of its client, too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, LocalSet};

use super::{Identity, LoadError, Target, wire};

/// How clients come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a connection each.
    #[default]
    Connections,
    /// As streams of HTTP/2 connections.
    Streams,
}

/// How many clients have a connection together, if they have one together.
pub(crate) const TOGETHER: usize = 100;

/// What browsers let a server send ahead on a connection, and on a stream of it.
const CONNECTION_WINDOW_BYTES: u32 = 15 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 6 * 1024 * 1024;

/// Clients of one server, within a [`LocalSet`].
pub(crate) struct Clients {
    says: Vec<UnboundedSender<Bytes>>,
    heard: UnboundedReceiver<Result<usize, LoadError>>,
    teller: UnboundedSender<Result<usize, LoadError>>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        let (teller, heard) = unbounded_channel();
        Self { says: Vec::new(), heard, teller }
    }

    /// Has clients with these identities come: [`TOGETHER`] after each other, and all of those groups at
    /// once.
    pub(crate) async fn connect(
        &mut self,
        way: Way,
        target: Target,
        identities: &[Identity],
    ) -> Result<(), LoadError> {
        let mut groups = JoinSet::new();
        for (number, group) in identities.chunks(TOGETHER).enumerate() {
            let first = self.says.len() + number * TOGETHER;
            let (group, teller) = (group.to_vec(), self.teller.clone());
            groups.spawn_local(
                async move { connect_group(way, target, first, &group, teller).await },
            );
        }
        let mut connected = Vec::new();
        while let Some(group) = groups.join_next().await {
            connected.push(group.map_err(io::Error::other)??);
        }
        connected.sort_by_key(|(first, _)| *first);
        self.says.extend(connected.into_iter().flat_map(|(_, says)| says));
        Ok(())
    }

    /// A message with this payload, as a client writes it.
    pub(crate) fn message(target: Target, payload: &[u8]) -> Bytes {
        let mut frame = Vec::new();
        target.dialect.encode("", payload, &mut frame);
        frame.into()
    }

    pub(crate) fn len(&self) -> usize {
        self.says.len()
    }

    /// Has a client write a frame, once it is its turn.
    pub(crate) fn write(&self, client: usize, frame: &Bytes) {
        // If it has ended, that is heard.
        let _ = self.says[client].send(frame.clone());
    }

    /// The clients that have got a message, one for each.
    pub(crate) async fn heard(&mut self, clients: &mut Vec<usize>) -> Result<(), LoadError> {
        let mut heard = self.heard.recv().await;
        while let Some(client) = heard {
            clients.push(client?);
            heard = self.heard.try_recv().ok();
        }
        Ok(())
    }
}

/// Runs what clients do, on this thread.
pub(crate) fn run_clients<T>(clients: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, clients))
}

/// The number of the first of them, and what has each of them write.
type Group = (usize, Vec<UnboundedSender<Bytes>>);

async fn connect_group(
    way: Way,
    target: Target,
    first: usize,
    identities: &[Identity],
    teller: UnboundedSender<Result<usize, LoadError>>,
) -> Result<Group, LoadError> {
    let mut says = Vec::with_capacity(identities.len());
    let failed = |source| LoadError::Io { client: first, source };
    let mut shared = match way {
        Way::Connections => None,
        Way::Streams => Some(open_shared(target).await.map_err(failed)?),
    };
    for (client, identity) in (first..).zip(identities) {
        let path = target.dialect.request_target(identity);
        let opened = match &mut shared {
            None => open_alone(target, &path).await,
            Some(shared) => open_stream(shared, &path).await,
        };
        let line = opened.map_err(|source| LoadError::Io { client, source })?;
        let (say, said) = unbounded_channel();
        says.push(say);
        let teller = teller.clone();
        tokio::task::spawn_local(async move {
            let told = talk(line, said, || drop(teller.send(Ok(client)))).await;
            if let Err(source) = told {
                drop(teller.send(Err(LoadError::Io { client, source })));
            }
        });
    }
    Ok((first, says))
}

/// What frames go over.
enum Line {
    Connection(TcpStream, BytesMut),
    Stream { send: SendStream<Bytes>, receive: RecvStream, come: BytesMut },
}

impl Line {
    /// Waits for more and tells all that has come and was not taken.
    ///
    /// # Cancel safety
    ///
    /// Nothing that has come is lost.
    async fn more(&mut self) -> io::Result<&mut BytesMut> {
        match self {
            Self::Connection(stream, come) => match stream.read_buf(come).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(come),
            },
            Self::Stream { receive, come, .. } => {
                let data = receive.data().await.ok_or(io::ErrorKind::UnexpectedEof)?;
                let data = data.map_err(io::Error::other)?;
                let released = receive.flow_control().release_capacity(data.len());
                released.map_err(io::Error::other)?;
                come.extend_from_slice(&data);
                Ok(come)
            }
        }
    }

    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::Connection(stream, _) => stream.write_all(&bytes).await,
            Self::Stream { send, .. } => send.send_data(bytes, false).map_err(io::Error::other),
        }
    }
}

/// Writes what it is to say, answers Pings, and tells of each message.
async fn talk(
    mut line: Line,
    mut said: UnboundedReceiver<Bytes>,
    on_message: impl Fn(),
) -> io::Result<()> {
    loop {
        let mut pong = Vec::new();
        tokio::select! {
            said = said.recv() => match said {
                Some(bytes) => line.write(bytes).await?,
                // Nobody is left to hear it.
                None => return Ok(()),
            },
            more = line.more() => {
                let come = more?;
                while let Some(frame) = wire::parse(come) {
                    let frame_bytes = come.split_to(frame.payload.end);
                    match frame.opcode {
                        wire::TEXT => on_message(),
                        wire::PING => wire::encode(wire::PONG, &[&frame_bytes[frame.payload]], &mut pong),
                        opcode => return Err(io::Error::other(format!("opcode {opcode} is not expected"))),
                    }
                }
            }
        }
        if !pong.is_empty() {
            line.write(pong.into()).await?;
        }
    }
}

async fn dial(target: Target) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target.port));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn open_alone(target: Target, path: &str) -> io::Result<Line> {
    let mut stream = dial(target).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut come = BytesMut::new();
    let end = loop {
        if stream.read_buf(&mut come).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = come.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = come.split_to(end);
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    Ok(Line::Connection(stream, come))
}

/// Opens a connection that streams can be opened in.
async fn open_shared(target: Target) -> io::Result<SendRequest<Bytes>> {
    let stream = dial(target).await?;
    let mut builder = Builder::new();
    builder
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_window_size(STREAM_WINDOW_BYTES);
    let (mut requests, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
    // Its streams tell how it has ended.
    tokio::task::spawn_local(async move { drop(connection.await) });
    // Once a request is answered, it is known that WebSockets may be asked for.
    let request = Request::get("http://localhost/").body(()).map_err(io::Error::other)?;
    let (answer, _) = requests.send_request(request, true).map_err(io::Error::other)?;
    answer.await.map_err(io::Error::other)?;
    Ok(requests)
}

async fn open_stream(requests: &mut SendRequest<Bytes>, path: &str) -> io::Result<Line> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://localhost{path}"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(());
    let request = request.map_err(io::Error::other)?;
    let (answer, send) = requests.send_request(request, false).map_err(io::Error::other)?;
    let answer = answer.await.map_err(io::Error::other)?;
    if answer.status() != StatusCode::OK {
        return Err(io::Error::other(format!("answered with {}", answer.status())));
    }
    Ok(Line::Stream { send, receive: answer.into_body(), come: BytesMut::new() })
}
