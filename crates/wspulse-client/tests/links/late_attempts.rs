//! An attempt to connect that the client has given up, and that the server lets in late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse::testing::{Fault, Way};
use wspulse::{Admission, Delivery, Rejection, Server};
use wspulse_client::{Client, Frame};

use crate::support::real::{by, link_to};

/// A server whose connect function takes 3 s for the first request.
fn slow_at_first() -> Server {
    let attempts = Arc::new(AtomicUsize::new(0));
    let builder = Server::builder(move |_| {
        let is_first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if is_first {
                sleep(Duration::from_secs(3)).await;
            }
            Ok::<_, Rejection>(Admission::room("lobby").id("ann"))
        }
    });
    let builder = builder.resume_window(Duration::from_secs(30));
    builder.delivery(Delivery::ExactlyOnce).on_message(|_, _| {}).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_first_handshake_that_is_late_ends_nothing() {
    let server = slow_at_first();
    let link = link_to(&server);
    let builder = Client::builder("ws://server.example/ws").connect_timeout(Duration::from_secs(1));
    let (client, messages) = by(&link, builder).connect().unwrap();
    drop(messages);
    // The first link has passed the handshake on, and dies in silence: it passes no end on.
    sleep(Duration::from_millis(500)).await;
    link.fail_after(Way::Up, 0, Fault::Silence);
    client.connected().await.unwrap();
    client.send(Frame::new("one")).await.unwrap();
    let session = server.connection("ann").unwrap();
    // By then the first attempt is let in.
    sleep(Duration::from_secs(4)).await;
    timeout(Duration::from_secs(5), client.send(Frame::new("two"))).await.unwrap().unwrap();
    assert_eq!(server.connection("ann").unwrap(), session);
}
