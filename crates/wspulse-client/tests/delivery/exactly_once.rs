//! Against the real server, over links that are cut all the time: nothing is lost, nothing comes
//! twice, in both directions.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wspulse::testing::{Fault, Way};
use wspulse::{Admission, Delivery, Server};
use wspulse_client::{Client, Compression, Event, Frame, Messages, SendError, SessionStart};

use crate::support::real::{by, link_to, until};

const FRAMES: u32 = 400;
const CUTS: u32 = 60;

type Received = Arc<Mutex<Vec<u32>>>;

/// A frame that gets smaller where frames are compressed.
fn frame(number: u32) -> Frame {
    Frame::new("n".repeat(100)).json(&number).unwrap()
}

fn server(received: &Received) -> Server {
    let received = received.clone();
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_message(move |_, frame| {
            let received = received.clone();
            async move {
                received.lock().push(frame.to_json().unwrap());
                // Some are slow, so that cuts find some received and not handled.
                if received.lock().len().is_multiple_of(7) {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        })
        .resume_window(Duration::from_mins(10))
        .send_buffer_size(4096)
        .max_message_size(64 * 1024)
        .delivery(Delivery::ExactlyOnce)
        .compression(wspulse::Compression::shared().min_bytes(0))
        .build()
        .unwrap()
}

/// Reads all that a client is told, and says how often its session was resumed.
async fn read(mut messages: Messages, got: Received) -> u32 {
    let mut resumed = 0;
    while let Some(event) = messages.next().await {
        if let Event::Message(frame) = event {
            got.lock().push(frame.to_json().unwrap());
        } else if let Event::Session { session, .. } = event {
            if session == SessionStart::Resumed {
                resumed += 1;
            } else {
                assert_eq!(resumed, 0, "the session was lost");
            }
        } else {
            let is_about_transports = matches!(
                event,
                Event::Disconnected { .. } | Event::Reconnecting { .. } | Event::Ended { .. }
            );
            assert!(is_about_transports, "{event:?}");
        }
    }
    resumed
}

/// Sends a frame every 10 ms, each by a task of its own that waits for it to be handled.
fn send_all(client: &Client) -> Vec<JoinHandle<Result<(), SendError>>> {
    let send = |number| {
        let client = client.clone();
        let after = Duration::from_millis(u64::from(number) * 10);
        tokio::spawn(async move {
            sleep(after).await;
            client.send(frame(number)).await
        })
    };
    (0..FRAMES).map(send).collect()
}

async fn push_all(server: Server) {
    for number in 0..FRAMES {
        server.send("ann", frame(number)).unwrap();
        sleep(Duration::from_millis(10)).await;
    }
}

async fn life(seed: u64) {
    println!("WSPULSE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let received = Received::default();
    let server = server(&received);
    let link = link_to(&server);
    let backoff = Duration::from_millis(50);
    let builder = Client::builder("ws://server.example/ws").backoff(backoff, backoff);
    // Every second life has compressed frames.
    let compression = Compression::new().min_bytes(0);
    let builder = if seed % 2 == 1 { builder.compression(compression) } else { builder };
    let (client, messages) = by(&link, builder).connect().unwrap();
    assert_eq!(client.connected().await.unwrap(), SessionStart::New);

    let got = Received::default();
    let reading = tokio::spawn(read(messages, got.clone()));
    let sending = send_all(&client);
    let pushing = tokio::spawn(push_all(server.clone()));
    for _ in 0..CUTS {
        sleep(Duration::from_millis(random.random_range(1..120))).await;
        link.set_waiting_bytes_max(random.random_range(32..4096));
        if random.random_ratio(1, 10) {
            // This transport: the next one is a good one.
            link.fail_after(Way::Up, 0, Fault::Silence);
            // Long enough, mostly, for the client to notice the silence.
            sleep(Duration::from_secs(random.random_range(1..60))).await;
        } else {
            link.cut();
        }
    }
    for sent in sending {
        timeout(Duration::from_mins(5), sent).await.expect("settled").unwrap().unwrap();
    }
    pushing.await.unwrap();
    until(|| got.lock().len() >= FRAMES as usize).await;
    let expected: Vec<u32> = (0..FRAMES).collect();
    assert_eq!(*received.lock(), expected, "what the server has handled");
    assert_eq!(*got.lock(), expected, "what the client has got");
    client.close().await;
    assert!(reading.await.unwrap() > 0, "no session was resumed");
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("WSPULSE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("WSPULSE_SEEDS").unwrap_or(10)).map(|_| rand::random()).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn under_cuts_each_frame_arrives_once_and_in_order() {
    for seed in seeds() {
        life(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_has_what_was_in_flight_told_as_lost_and_the_rest_sent() {
    let received = Received::default();
    let old = server(&received);
    let link = link_to(&old);
    let current = Arc::new(Mutex::new(link.clone()));
    let builder = Client::builder("ws://server.example/ws").connector({
        let current = current.clone();
        move |_| std::future::ready(current.lock().dial())
    });
    let (client, mut messages) = builder.connect().unwrap();
    client.connected().await.unwrap();
    client.send(Frame::new("n").json(&1).unwrap()).await.unwrap();
    // Another process: it knows no sessions, and has another secret.
    *current.lock() = link_to(&server(&received));
    link.cut();
    old.close().await;
    client.send(Frame::new("n").json(&2).unwrap()).await.unwrap();
    assert_eq!(*received.lock(), [1, 2]);
    let mut sessions = Vec::new();
    while sessions.len() < 2 {
        if let Some(Event::Session { session, .. }) = messages.next().await {
            sessions.push(session);
        }
    }
    assert_eq!(sessions, [SessionStart::New, SessionStart::New]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_slow_callback_is_told_on_a_link_that_holds() {
    let received = Received::default();
    let server = server(&received);
    let builder = Client::builder("ws://server.example/ws");
    let (client, messages) = by(&link_to(&server), builder).connect().unwrap();
    drop(messages);
    for sent in send_all(&client) {
        timeout(Duration::from_mins(1), sent).await.expect("settled").unwrap().unwrap();
    }
    assert_eq!(received.lock().len(), FRAMES as usize);
}
