//! Servers to run against, and what a short run is.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use wspulse::{Admission, Delivery, Server};
use wspulse_load::{Outcome, Plan, RunError, Wishes, run};

/// A run of this file, which ends by itself.
pub(crate) async fn load(url: &str, file: &str) -> Result<Outcome, RunError> {
    run(plan(url, file), std::future::pending(), |_| {}).await
}

/// A short run, but for what this file says.
pub(crate) fn plan(url: &str, file: &str) -> Plan {
    const SHORT: &str = "clients = 6\nconnect-rate = 1000.0\nrate = 50.0\nduration = \"200ms\"";
    let url = Wishes { url: Some(url.to_owned()), ..Wishes::default() };
    let parse = |text: &str| Wishes::parse(text).expect("a file");
    Plan::try_from(url.or(parse(file)).or(parse(SHORT))).expect("a plan")
}

/// A number that was measured.
pub(crate) fn value(outcome: &Outcome, name: &str) -> f64 {
    outcome.value(name).unwrap_or_else(|| panic!("there is no {name}: {outcome:?}"))
}

/// Asserts that a count is this one.
#[track_caller]
pub(crate) fn assert_count(outcome: &Outcome, name: &str, expected: u32) {
    let is_it = (value(outcome, name) - f64::from(expected)).abs() < 0.5;
    assert!(is_it, "{name} is {}: {outcome:?}", value(outcome, name));
}

/// A room server that sends what a member says to its whole room: `?room=…`.
pub(crate) async fn rooms() -> String {
    let server = Server::builder_sync(|request| {
        let id = request.query("id").unwrap_or_default().into_owned();
        Ok(Admission::room(request.query("room").unwrap_or_default()).id(id))
    })
    .on_message(|conn, frame| async move {
        let _ = conn.room().broadcast(frame);
    })
    .delivery(Delivery::ExactlyOnce)
    .resume_window(Duration::from_secs(30))
    .build()
    .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { wspulse::serve(listener, server).await });
    format!("ws://{address}/?room={{room}}&id={{run}}-{{n}}")
}

/// Listens on a port of its own, and does this with each connection.
pub(crate) async fn listen<Fut>(serve: impl Fn(TcpStream) -> Fut + Send + 'static) -> SocketAddr
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server of another library, which sends the how manyth message of a client back so many times.
pub(crate) async fn repeat(times: fn(usize) -> usize) -> String {
    let address = listen(move |stream| async move {
        if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
            repeat_on(socket, times).await;
        }
    })
    .await;
    format!("ws://{address}/")
}

/// What such a server does with a connection.
pub(crate) async fn repeat_on(
    mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>,
    times: fn(usize) -> usize,
) {
    let mut number = 0;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            for _ in 0..times(number) {
                if socket.send(Message::Text(text.clone())).await.is_err() {
                    return;
                }
            }
            number += 1;
        }
    }
}
