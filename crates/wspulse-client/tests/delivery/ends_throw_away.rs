//! The end of a session throws away what waits: nobody is told that it was handled or has arrived.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use wspulse::{Admission, ConnectionState, Delivery, Server, ServerBuilder};
use wspulse_client::{Client, ClientBuilder, Frame};

use crate::support::real::{by, link_to, until};

fn promising() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .delivery(Delivery::ExactlyOnce)
        .resume_window(Duration::from_secs(30))
}

fn client(server: &Server) -> ClientBuilder {
    by(&link_to(server), Client::builder("ws://server.example/ws"))
}

/// A message that waits for its callback when the application ends the session is thrown away.
#[tokio::test(start_paused = true)]
async fn what_a_kick_throws_away_was_not_handled() {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&handled);
    let server = promising()
        .on_message(move |_, frame| {
            let seen = Arc::clone(&seen);
            async move {
                sleep(Duration::from_millis(300)).await;
                seen.lock().push(frame.event().to_owned());
            }
        })
        .build()
        .unwrap();
    let (client, messages) = client(&server).connect().unwrap();
    drop(messages);
    client.connected().await.unwrap();
    let sends: Vec<_> = (0..5)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.send(Frame::new(number.to_string())).await })
        })
        .collect();
    // The first is in its callback, and the others wait.
    sleep(Duration::from_millis(100)).await;
    server.kick("ann").unwrap();
    let mut told = 0;
    for send in sends {
        told += usize::from(send.await.unwrap().is_ok());
    }
    server.close().await;
    let handled = handled.lock().len();
    assert!(told <= handled, "{told} are handled, it says, and {handled} are");
}

/// A frame that was never written, as the session ended first.
#[tokio::test(start_paused = true)]
async fn what_an_end_drops_was_not_acknowledged() {
    let server = promising().build().unwrap();
    let (client, messages) = client(&server).connect().unwrap();
    client.connected().await.unwrap();
    let connection = server.connection("ann").unwrap();
    client.close().await;
    drop(messages);
    until(|| connection.state() == ConnectionState::Suspended).await;
    connection.send(Frame::new("important")).unwrap();
    server.kick("ann").unwrap();
    until(|| connection.outbound_stats().dropped == 1).await;
    assert!(connection.acknowledged().await.is_err(), "it was dropped");
}
