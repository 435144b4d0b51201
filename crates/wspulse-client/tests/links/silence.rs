//! Servers that fall silent, and servers that greet nobody.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, advance, sleep};
use tungstenite::Message;
use wspulse_client::{Cause, Event, Messages};

use crate::support::stage::{MOMENT, connect, hello, next};

const SILENCE: Duration = Duration::from_secs(20);

async fn disconnected(messages: &mut Messages) -> Cause {
    loop {
        if let Event::Reconnecting { cause, .. } = messages.next().await.unwrap() {
            return cause;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_asked_and_then_left() {
    let (_client, mut messages, mut stage) = connect(|builder| builder.silence(SILENCE));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    let Event::Session { .. } = next(&mut messages).await else { panic!("no session") };
    let begun = Instant::now();
    assert_eq!(server.heard().await, json!(["ask"]));
    assert_eq!(begun.elapsed().as_secs(), SILENCE.as_secs());
    assert!(matches!(disconnected(&mut messages).await, Cause::Silent));
    assert_eq!(begun.elapsed().as_secs(), SILENCE.as_secs() + 5);
    let request = stage.request().await;
    assert_eq!(request.protocols(), ["wspulse.1+json", "wspulse.plain", "wspulse.1.resume.t1.0"]);
}

#[tokio::test(start_paused = true)]
async fn the_server_is_asked_at_half_the_silence_that_it_goes_by_itself() {
    let (_client, _messages, mut stage) = connect(|builder| builder.silence(SILENCE));
    let mut server = stage.welcome(&hello("new", "t1", &[("silence", 10_000)])).await;
    let begun = Instant::now();
    for round in 1..4 {
        assert_eq!(server.heard().await, json!(["ask"]));
        assert_eq!(begun.elapsed().as_secs(), round * 5);
        server.say("[\"ack\",0]").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_server_is_pinged() {
    let (_client, mut messages, mut stage) = connect(|builder| builder.silence(SILENCE));
    let mut server = stage.request().await.accept("").await;
    let begun = Instant::now();
    for round in 1..4 {
        // The Pong goes out with the next read.
        assert!(matches!(server.any().await, Message::Ping(_)));
        server.nothing().await;
        assert_eq!(begun.elapsed().as_secs(), round * SILENCE.as_secs());
    }
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    // From now on it reads nothing, and so answers nothing.
    assert!(matches!(disconnected(&mut messages).await, Cause::Silent));
    assert!(begun.elapsed() < SILENCE * 4 + Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn pings_of_the_servers_are_signs_of_life() {
    let (_client, mut messages, mut stage) = connect(|builder| builder.silence(SILENCE));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    for _ in 0..10 {
        sleep(SILENCE / 2).await;
        futures_util::SinkExt::send(&mut server.0, Message::Ping("".into())).await.unwrap();
        assert!(matches!(server.any().await, Message::Pong(_)));
    }
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stood_still_asks_first() {
    let (client, mut messages, mut stage) = connect(|builder| builder.silence(SILENCE));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    advance(Duration::from_hours(1)).await;
    assert_eq!(server.heard().await, json!(["ask"]));
    server.say("[\"ack\",0]").await;
    sleep(MOMENT).await;
    assert!(client.session().is_some());
}

#[tokio::test(start_paused = true)]
async fn attempts_have_their_time_up_to_the_hello() {
    let (_client, mut messages, mut stage) = connect(|builder| builder);
    let begun = Instant::now();
    let request = stage.request().await;
    assert!(matches!(disconnected(&mut messages).await, Cause::ConnectTimeout));
    assert_eq!(begun.elapsed().as_secs(), 15);
    drop(request);
    let mut server = stage.request().await.accept("wspulse.1+json").await;
    assert!(matches!(disconnected(&mut messages).await, Cause::ConnectTimeout));
    assert_eq!(server.closed().await, None, "the transport is dropped");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_is_no_silence_of_the_server() {
    let (client, mut messages, mut stage) =
        connect(|builder| builder.silence(SILENCE).inbox_events_max(4));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    for number in 0..20 {
        server.say(format!("{{\"payload\":{number}}}")).await;
    }
    sleep(SILENCE * 10).await;
    assert!(client.session().is_some());
    assert!(matches!(messages.next().await, Some(Event::Session { .. })));
    for number in 0..20 {
        let Some(Event::Message(frame)) = messages.next().await else { panic!("no message") };
        assert_eq!(frame.to_json::<u32>().unwrap(), number);
    }
    server.say("[\"ask\"]").await;
    loop {
        let heard = server.heard().await;
        if heard != json!(["ask"]) {
            assert_eq!(heard, json!(["ack", 20]));
            break;
        }
    }
}
