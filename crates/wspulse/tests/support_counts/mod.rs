//! What the tests of options, metrics, counts and leaks share: a server that admits whom the
//! request names, and a collector that writes every hook down.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unused_imports, reason = "each test binary uses a part of it")]

mod bounds;
mod recorder;
mod taker;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use wspulse::testing::TestClient;
use wspulse::{Admission, Frame, Server, ServerBuilder};

pub(crate) use bounds::{assert_refused, assert_valid};
pub(crate) use recorder::Recorder;
pub(crate) use taker::Taker;

/// A server that lets clients into the room and under the id that their query names.
pub(crate) fn builder() -> ServerBuilder {
    Server::builder_sync(|request| {
        let room = request.query("room").unwrap_or("lobby".into());
        let id = request.query("id").unwrap_or_default();
        Ok(Admission::room(&*room).id(&*id))
    })
}

/// Connects in memory to the room `lobby`.
pub(crate) async fn join(server: &Server, id: &str) -> TestClient<DuplexStream> {
    join_room(server, "lobby", id).await
}

/// Connects in memory.
pub(crate) async fn join_room(server: &Server, room: &str, id: &str) -> TestClient<DuplexStream> {
    let target = format!("/ws?room={room}&id={id}");
    TestClient::connect(server, &target).await.expect("admitted")
}

/// Connects in memory over a stream that holds so few bytes that hardly a frame fits.
pub(crate) async fn join_narrow(server: &Server, id: &str) -> TestClient<DuplexStream> {
    let target = format!("/ws?room=lobby&id={id}");
    TestClient::connect_with_capacity(server, &target, 16).await.expect("admitted")
}

/// Lets everything run that can. For paused time only: the clock moves once all tasks wait, by a
/// millisecond.
pub(crate) async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A frame whose event is this number.
pub(crate) fn numbered(number: usize) -> Frame {
    Frame::new(number.to_string())
}

/// Serves `/ws` over TCP until the runtime ends.
pub(crate) async fn listen(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let app = axum::Router::new().route_service("/ws", server.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
