//! Clients of a server under attack, the healthy ones and the bad.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use wspulse::Frame;
use wspulse::testing::{Received, TestClient, request_head};

/// A client over TCP.
pub type Peer = TestClient<TcpStream>;

/// How long anything may take that a test waits for. No figure of speed: only what hangs is told.
const PATIENCE: Duration = Duration::from_mins(1);

/// The path and query with which a client gets into a room under an id.
pub fn target(room: &str, id: &str) -> String {
    format!("/ws?room={room}&id={id}")
}

/// Connects a client.
///
/// # Errors
///
/// An I/O error, of kind `InvalidData` if the server refuses it.
pub async fn join(address: SocketAddr, room: &str, id: &str) -> io::Result<Peer> {
    Peer::connect_tcp(address, &target(room, id)).await
}

/// Connects a client whose kernel keeps as little as it can for it while it does not read.
///
/// # Errors
///
/// An I/O error, or what [`Peer::read_response_head`] fails with.
pub async fn join_with_small_buffer(address: SocketAddr, room: &str, id: &str) -> io::Result<Peer> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut peer = Peer::new(socket.connect(address).await?);
    peer.write_raw(request_head(&target(room, id)).as_bytes()).await?;
    peer.read_response_head().await?;
    Ok(peer)
}

/// Waits for something that must come.
///
/// # Panics
///
/// If it takes so long that it hangs.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("an answer before patience ends")
}

/// Ends a connection with a reset.
///
/// # Panics
///
/// If the system refuses the socket's option, which it has no reason for.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the socket is open");
    drop(stream);
}

/// The number in a numbered frame.
///
/// # Panics
///
/// If it is none.
pub fn number(frame: &Frame) -> u64 {
    let payload = frame.to_json::<(u64, String)>();
    payload.unwrap_or_else(|error| panic!("{frame:?} has no number: {error}")).0
}

/// The code of the server's Close frame, all before it passed over; nothing is answered. `None`
/// if the frame is empty.
///
/// # Errors
///
/// The stream's, or `UnexpectedEof` if it ends without a Close frame.
pub async fn close_code(peer: &mut Peer) -> io::Result<Option<u16>> {
    loop {
        match within(peer.receive()).await? {
            Received::Close(frame) => return Ok(frame.map(|frame| frame.code().as_u16())),
            Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
            Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Waits until the server has hung up, be it with a FIN or a reset.
///
/// # Panics
///
/// If it does not.
pub async fn hung_up(peer: &mut Peer) {
    while !matches!(within(peer.receive()).await, Ok(Received::End) | Err(_)) {}
}
