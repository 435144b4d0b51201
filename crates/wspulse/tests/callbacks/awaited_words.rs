//! A callback that awaits what its own client must say hears it, however many messages wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use wspulse::testing::Received;
use wspulse::{Connection, Delivery, Frame, NotAcknowledged, SendError, Server, ServerBuilder};

use crate::support::clients::{Client, dial, numbered};
use crate::support::clock::WINDOW;
use crate::support::house::open_house;
use crate::support::speaker::{ANN, Heard, Speaker};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

type Outcomes = mpsc::UnboundedReceiver<Result<(), NotAcknowledged>>;

fn promising() -> ServerBuilder {
    open_house().resume_window(WINDOW).delivery(Delivery::AtLeastOnce)
}

/// A server whose callback for the first message sends a frame and awaits its acknowledgement.
fn waiting(builder: ServerBuilder) -> (Server, Outcomes) {
    let (tell, heard) = mpsc::unbounded_channel();
    let server = builder.on_message(move |connection: Connection, frame| {
        let tell = tell.clone();
        async move {
            if frame.payload().as_ref() == b"0" {
                connection.send(numbered(0)).unwrap();
                tell.send(connection.acknowledged().await).unwrap();
            }
        }
    });
    (server.build().unwrap(), heard)
}

/// How many of its messages the client hears are handled.
async fn acknowledged(client: &mut Speaker) -> u64 {
    loop {
        if let Heard::Ack(count) = client.hear().await {
            return count;
        }
    }
}

/// Sends more messages than may wait, and only then answers the Ping.
async fn speak(client: &mut Client, messages: usize) {
    for n in 0..messages {
        client.send(&numbered(n)).await.unwrap();
    }
    loop {
        match client.receive().await.unwrap() {
            Received::Ping(payload) if !payload.is_empty() => {
                return client.pong(&payload).await.unwrap();
            }
            Received::Ping(_) | Received::Message(..) => {}
            received @ (Received::Pong(_) | Received::Close(_) | Received::End) => {
                panic!("{received:?}")
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_read_past_messages_that_wait() {
    let (server, mut heard) = waiting(promising());
    let mut client = dial(&server, "ann").await;
    speak(&mut client, 100).await;
    assert_eq!(timeout(LONG, heard.recv()).await.unwrap(), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn behind_more_messages_than_are_read_ahead_an_acknowledgement_is_not_waited_for() {
    let (server, mut heard) = waiting(promising().read_ahead(50, 1 << 20));
    let mut client = dial(&server, "ann").await;
    speak(&mut client, 100).await;
    let heard = timeout(LONG, heard.recv()).await.unwrap();
    assert_eq!(heard, Some(Err(NotAcknowledged::Overloaded)));
}

#[tokio::test(start_paused = true)]
async fn bytes_are_read_ahead_up_to_their_bound() {
    let (server, mut heard) = waiting(promising().read_ahead(1000, 64));
    let mut client = dial(&server, "ann").await;
    speak(&mut client, 100).await;
    let heard = timeout(LONG, heard.recv()).await.unwrap();
    assert_eq!(heard, Some(Err(NotAcknowledged::Overloaded)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_outside_of_the_callback_changes_nothing_of_the_pause() {
    let gate = Arc::new(Semaphore::new(0));
    let server = promising().on_message({
        let gate = Arc::clone(&gate);
        move |_, _| {
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        }
    });
    let server = server.read_ahead(50, 1 << 20).build().unwrap();
    let mut client = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    connection.send(numbered(0)).unwrap();
    let acknowledged = tokio::spawn(async move { connection.acknowledged().await });
    speak(&mut client, 100).await;
    gate.add_permits(100);
    assert_eq!(timeout(LONG, acknowledged).await.unwrap().unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_waits_for_room_gets_it_past_messages_that_wait() {
    let (tell, mut heard) = mpsc::unbounded_channel();
    let server = promising().send_buffer_size(2).delivery_window(2, 1 << 20);
    let server = server.on_message(move |connection: Connection, frame| {
        let tell = tell.clone();
        async move {
            if frame.payload().as_ref() != b"0" {
                return;
            }
            for n in 0..20 {
                let mut frame = numbered(n);
                while let Err(SendError::Full { frame: again, .. }) = connection.send(frame) {
                    frame = *again;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            tell.send(()).unwrap();
        }
    });
    let server = server.build().unwrap();
    let mut client = dial(&server, "ann").await;
    for n in 0..100 {
        client.send(&numbered(n)).await.unwrap();
    }
    let answering = async {
        loop {
            if let Received::Ping(payload) = client.receive().await.unwrap() {
                client.pong(&payload).await.unwrap();
            }
        }
    };
    tokio::select! {
        () = answering => {}
        heard = timeout(LONG, heard.recv()) => assert_eq!(heard.unwrap(), Some(())),
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_may_ask_its_own_client_past_messages_that_wait() {
    let (tell, mut heard) = mpsc::unbounded_channel();
    let server = open_house().on_message(move |connection: Connection, frame| {
        let tell = tell.clone();
        async move {
            if frame.payload().as_ref() == b"0" {
                let asking = connection.request(Frame::new("who")).within(LONG);
                tell.send(asking.await.unwrap().to_json::<String>().unwrap()).unwrap();
            } else {
                tell.send("message".to_owned()).unwrap();
            }
        }
    });
    let server = server.build().unwrap();
    let mut client = dial(&server, "ann").await;
    for n in 0..100 {
        client.send(&numbered(n)).await.unwrap();
    }
    let question = client.frame().await.unwrap();
    let reply = Frame::new("reply").with_id(question.id()).json("ann").unwrap();
    client.send(&reply).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), "ann");
    for _ in 1..100 {
        assert_eq!(heard.recv().await.unwrap(), "message");
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_a_client_that_counts_is_read_past_messages_that_wait() {
    let (server, mut heard) =
        waiting(open_house().resume_window(WINDOW).delivery(Delivery::ExactlyOnce));
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    for n in 0..100 {
        ann.client.send(&numbered(n)).await.unwrap();
    }
    while ann.hear().await != Heard::Ask {}
    ann.ack(1).await;
    assert_eq!(timeout(LONG, heard.recv()).await.unwrap(), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_counts_hears_of_its_reply_as_handled_once_those_before_it_are() {
    let gate = Arc::new(Semaphore::new(0));
    let server = open_house().resume_window(WINDOW).delivery(Delivery::ExactlyOnce).on_message({
        let gate = Arc::clone(&gate);
        move |connection: Connection, frame| {
            let gate = Arc::clone(&gate);
            async move {
                if frame.payload().as_ref() == b"0" {
                    let request = connection.request(Frame::new("who").with_id("mine"));
                    request.within(LONG).await.unwrap();
                }
                gate.acquire().await.unwrap().forget();
            }
        }
    });
    let server = server.build().unwrap();
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    for n in 0..2 {
        ann.client.send(&numbered(n)).await.unwrap();
    }
    while !matches!(ann.hear().await, Heard::Frame(_)) {}
    ann.client.send(&Frame::new("reply").with_id("mine")).await.unwrap();
    ann.ask().await;
    assert_eq!(acknowledged(&mut ann).await, 0, "the first is not handled, nor what follows");
    gate.add_permits(2);
    assert_eq!(acknowledged(&mut ann).await, 3);
}
