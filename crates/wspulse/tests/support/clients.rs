//! Clients in memory, and the frames that they and servers tell one another.

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::time::timeout;
use wspulse::testing::{Received, TestClient};
use wspulse::{CloseCode, CloseFrame, Frame, MessageKind, Server};

use super::clock::TICK;
use super::logs;

pub(crate) type Client = TestClient<DuplexStream>;

/// Connects a client with this id to the room `lobby`.
pub(crate) async fn dial(server: &Server, id: &str) -> Client {
    dial_room(server, "lobby", id).await
}

/// Connects a client with this id.
pub(crate) async fn dial_room(server: &Server, room: &str, id: &str) -> Client {
    logs::listen();
    let target = format!("/ws?room={room}&id={id}");
    TestClient::connect(server, &target).await.expect("admitted")
}

/// Connects over a stream that holds so few bytes that hardly a frame fits.
pub(crate) async fn dial_narrow(server: &Server, id: &str) -> Client {
    let target = format!("/ws?room=lobby&id={id}");
    TestClient::connect_with_capacity(server, &target, 16).await.expect("admitted")
}

/// A frame that carries a number.
pub(crate) fn numbered(number: usize) -> Frame {
    Frame::new("n").json(&number).expect("numbers are JSON")
}

/// A frame without a payload, whose event is this number.
pub(crate) fn named(number: usize) -> Frame {
    Frame::new(number.to_string())
}

/// The number in a frame.
pub(crate) fn number(frame: &Frame) -> usize {
    assert_eq!(frame.event(), "n");
    frame.to_json().expect("a numbered frame")
}

/// The numbers of the next frames that a client receives.
pub(crate) async fn numbers<S>(client: &mut TestClient<S>, count: usize) -> Vec<usize>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(number(&client.frame().await.expect("a frame")));
    }
    numbers
}

/// Asserts that, with every task idle, no frame comes.
pub(crate) async fn hears_nothing(client: &mut Client) {
    if let Ok(received) = timeout(TICK, client.receive()).await {
        panic!("nothing was due, {received:?} came");
    }
}

/// Sends a frame to an echo server and waits for it to come back.
pub(crate) async fn echoes<S>(client: &mut TestClient<S>, number: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.send(&numbered(number)).await.expect("the server reads");
    assert_eq!(client.frame().await.expect("an echo"), numbered(number));
}

/// The next Close frame, other things passed over; nothing is answered.
pub(crate) async fn close_frame<S>(client: &mut TestClient<S>) -> Option<CloseFrame>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match client.receive().await.expect("frames until a close") {
            Received::Close(frame) => return frame,
            Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
            Received::End => panic!("the stream ended without a close frame"),
        }
    }
}

/// A close frame by its number.
pub(crate) fn close(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame::new(CloseCode::new(code).expect("a valid code"), reason)
}

/// A text message as the client receives it.
pub(crate) fn text(payload: &'static str) -> Received {
    Received::Message(MessageKind::Text, payload.into())
}
