//! Exactly once, with clients that speak `wspulse.1`: what the server does, one rule a test.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use wspulse::testing::{Received, TestClient};
use wspulse::{
    Admission, CloseCode, Connection, Delivery, Disconnect, Frame, Server, ServerBuilder,
    TransportLost,
};
use wspulse_core::protocol::SessionKind;
use wspulse_core::websocket::ProtocolError;

use crate::support::clock::settle;
use crate::support::speaker::{
    ANN, Heard, JSON, Speaker, configured, disconnected, dropped, event, frame, stage,
};
use crate::support::stage::Stage;

#[tokio::test(start_paused = true)]
async fn the_first_message_of_a_session_is_a_hello() {
    let stage = stage();
    let (_ann, hello) = Speaker::begin(&stage.server, ANN).await;
    assert_eq!(hello.session, SessionKind::New);
    assert_eq!(hello.id, "ann");
    assert_eq!((hello.received, hello.handled, hello.replay), (0, 0, 0));
    assert_eq!(hello.silence, 30_000);
    assert_eq!(hello.window, 60_000);
    assert_eq!(hello.message_max, 512);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_promises_less_does_not_choose_the_protocol() {
    for level in [Delivery::AtMostOnce, Delivery::AtLeastOnce] {
        let stage = Stage::new(|builder| configured(builder).delivery(level));
        let mut ann = Speaker::dial(&stage.server, ANN, &[JSON]).await;
        stage.server.connection("ann").unwrap().send(event("a")).unwrap();
        assert_eq!(ann.hear().await, frame("a"), "no hello before it");
    }
}

#[tokio::test(start_paused = true)]
async fn another_codec_or_version_than_the_servers_is_not_chosen() {
    let stage = stage();
    for offer in ["wspulse.1+msgpack", "wspulse.2+json", "wspulse.1", "wspulse.1+JSON"] {
        let mut ann = Speaker::dial(&stage.server, ANN, &[offer]).await;
        stage.server.connection("ann").unwrap().send(event("a")).unwrap();
        assert_eq!(ann.hear().await, frame("a"), "{offer}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_applications_own_subprotocol_comes_first() {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann").protocol("chat")));
    let server = configured(server).build().unwrap();
    let mut ann = Speaker::dial(&server, ANN, &[JSON, "chat"]).await;
    server.connection("ann").unwrap().send(event("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_gets_what_it_has_not_received_and_nothing_else() {
    let mut stage = stage();
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    for name in ["a", "b", "c"] {
        connection.send(event(name)).unwrap();
    }
    assert_eq!(ann.hear().await, frame("a"));
    assert_eq!(ann.hear().await, frame("b"));
    settle().await;
    drop(ann);
    dropped(&mut stage).await;
    connection.send(event("d")).unwrap();
    let (mut ann, resumed) = Speaker::resume(&stage.server, ANN, &hello.token, 2).await;
    assert_eq!((resumed.session, resumed.replay), (SessionKind::Resumed, 2));
    assert_ne!(resumed.token, hello.token);
    assert_eq!(ann.hear().await, frame("c"));
    assert_eq!(ann.hear().await, frame("d"));
    ann.hears_nothing().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.acknowledged), (4, 4, 2));
}

#[tokio::test(start_paused = true)]
async fn the_server_tells_how_many_of_the_clients_messages_it_has() {
    let stage = stage();
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    ann.say("a").await;
    ann.say("b").await;
    ann.write("no frame").await;
    settle().await;
    let (_ann, resumed) = Speaker::resume(&stage.server, ANN, &hello.token, 0).await;
    assert_eq!((resumed.received, resumed.handled), (3, 3));
}

/// A server that takes everybody for Ann.
fn anns() -> ServerBuilder {
    configured(Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann"))))
}

/// A server whose callback lets a message pass for each permit.
fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let passes = Arc::clone(&gate);
    let server = anns().on_message(move |_: Connection, _: Frame| {
        let gate = Arc::clone(&passes);
        async move { gate.acquire().await.unwrap().forget() }
    });
    (server.build().unwrap(), gate)
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_at_once_and_again_when_a_slow_callback_has_returned() {
    let (server, gate) = gated();
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    ann.ask().await;
    assert_eq!(ann.hear().await, Heard::Ack(0));
    ann.hears_nothing().await;
    ann.say("a").await;
    ann.say("b").await;
    ann.ask().await;
    assert_eq!(ann.hear().await, Heard::Ack(0));
    gate.add_permits(1);
    ann.hears_nothing().await;
    gate.add_permits(1);
    assert_eq!(ann.hear().await, Heard::Ack(2));
    ann.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_before_the_second_answer_is_answered_for_both() {
    let (server, gate) = gated();
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    for _ in 0..3 {
        ann.say("a").await;
        ann.ask().await;
        assert_eq!(ann.hear().await, Heard::Ack(0));
    }
    gate.add_permits(1);
    assert_eq!(ann.hear().await, Heard::Ack(1));
    gate.add_permits(1);
    ann.hears_nothing().await;
    gate.add_permits(1);
    assert_eq!(ann.hear().await, Heard::Ack(3));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slow_callback_is_received_and_not_handled() {
    let server =
        anns().on_message(|_: Connection, _: Frame| std::future::pending::<()>()).build().unwrap();
    let (mut ann, hello) = Speaker::begin(&server, ANN).await;
    for _ in 0..3 {
        ann.say("a").await;
    }
    settle().await;
    let (_ann, resumed) = Speaker::resume(&server, ANN, &hello.token, 0).await;
    assert_eq!((resumed.received, resumed.handled), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_callback_that_panics_is_to_be_sent_again() {
    let server = anns()
        .on_message(|_: Connection, frame: Frame| async move {
            sleep(Duration::from_secs(1)).await;
            assert_ne!(frame.event(), "panic");
        })
        .build()
        .unwrap();
    let (mut ann, hello) = Speaker::begin(&server, ANN).await;
    for name in ["a", "panic", "c", "d"] {
        ann.say(name).await;
    }
    sleep(Duration::from_secs(5)).await;
    let (_ann, resumed) = Speaker::resume(&server, ANN, &hello.token, 0).await;
    assert_eq!((resumed.received, resumed.handled), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_last_word_before_a_close_says_what_was_handled() {
    let server = anns()
        .on_message(|conn: Connection, frame: Frame| {
            if frame.event() == "bye" {
                conn.close();
            }
        })
        .build()
        .unwrap();
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    ann.say("a").await;
    ann.say("bye").await;
    assert_eq!(ann.hear().await, Heard::Ack(2));
    assert!(matches!(ann.hear().await, Heard::Closed(_)));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_acknowledgement_is_written_before_a_close() {
    let stage = Stage::new(|builder| configured(builder).delivery_window(1, 1 << 20));
    let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.server.connection("ann").unwrap();
    for name in ["a", "b", "c"] {
        connection.send(event(name)).unwrap();
    }
    settle().await;
    connection.close();
    let mut frames = Vec::new();
    loop {
        match ann.hear().await {
            Heard::Frame(name) => frames.push(name),
            Heard::Closed(_) | Heard::End => break,
            Heard::Hello(_) | Heard::Ask | Heard::Ack(_) => {}
        }
    }
    assert_eq!(frames, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_count_of_frames_that_were_never_sent_is_a_gap() {
    let mut stage = stage();
    let (ann, hello) = Speaker::begin(&stage.server, ANN).await;
    drop(ann);
    dropped(&mut stage).await;
    let mut ann = Speaker::come_back(&stage.server, ANN, &hello.token, 1).await;
    assert_gap(&mut ann, &mut stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_count_below_what_was_acknowledged_is_a_gap() {
    let mut stage = stage();
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    connection.send(event("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
    ann.ack(1).await;
    settle().await;
    drop(ann);
    dropped(&mut stage).await;
    connection.send(event("b")).unwrap();
    let mut ann = Speaker::come_back(&stage.server, ANN, &hello.token, 0).await;
    assert_gap(&mut ann, &mut stage).await;
}

/// Nothing is written but the close; the session has ended for that.
async fn assert_gap(client: &mut Speaker, stage: &mut Stage) {
    let heard = client.hear().await;
    let Heard::Closed(Some(close)) = heard else { panic!("{heard:?}") };
    assert_eq!((close.code().as_u16(), close.reason()), (4410, "frames lost"));
    let disconnect = disconnected(stage).await;
    assert!(matches!(disconnect, Disconnect::FramesLost), "{disconnect:?}");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_the_future_costs_the_transport() {
    let mut stage = stage();
    let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
    ann.ack(1).await;
    assert_violation(&mut ann, &mut stage, |error| {
        matches!(error, ProtocolError::NotWritten { number: 1, written: 0 })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_begins_like_a_control_message_and_is_none_costs_the_transport() {
    for text in [r#"["ack","1"]"#, "[", r#"["ack",-1]"#, r#"["hello",{}]"#] {
        let mut stage = stage();
        let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
        ann.write(text).await;
        assert_violation(&mut ann, &mut stage, |error| matches!(error, ProtocolError::NotControl))
            .await;
    }
}

async fn assert_violation(
    client: &mut Speaker,
    stage: &mut Stage,
    is_it: impl Fn(&ProtocolError) -> bool,
) {
    let Heard::Closed(Some(close)) = client.hear().await else { panic!("it goes on") };
    assert_eq!(close.code(), CloseCode::PROTOCOL_ERROR);
    let TransportLost::Protocol(error) = dropped(stage).await else { panic!("it is not told") };
    assert!(is_it(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn control_messages_are_told_to_nobody() {
    let mut stage = stage();
    let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
    stage.connected().await;
    ann.write(r#"["later",{"of":"another version"}]"#).await;
    ann.ask().await;
    ann.say("a").await;
    assert_eq!(stage.message().await.event(), "a");
}

#[tokio::test(start_paused = true)]
async fn the_server_asks_a_second_after_what_it_has_written() {
    let mut stage = stage();
    let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    connection.send(event("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
    assert_eq!(ann.hear().await, Heard::Ask);
    let arrives = tokio::spawn({
        let connection = connection.clone();
        async move { connection.acknowledged().await }
    });
    settle().await;
    ann.ack(1).await;
    arrives.await.unwrap().unwrap();
    ann.hears_nothing().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.acknowledged, stats.unacknowledged), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_is_gone_and_its_session_waits() {
    let mut stage = stage();
    let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    connection.send(event("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
    assert_eq!(ann.hear().await, Heard::Ask);
    // It answers Pings; the page behind it does nothing.
    let heard = ann.hear().await;
    let Heard::Closed(Some(close)) = heard else { panic!("{heard:?}") };
    assert_eq!(close.reason(), "pong timeout");
    dropped(&mut stage).await;
    assert_eq!(connection.outbound_stats().unacknowledged, 1);
}

/// A transport is parted with in the middle of a frame: its rest is still written.
#[tokio::test(start_paused = true)]
async fn a_frame_that_was_finished_while_its_transport_was_parted_with_does_not_come_twice() {
    let stage = Stage::new(|builder| configured(builder).max_message_size(1 << 20));
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.server.connection("ann").unwrap();
    let long = "x".repeat(200 * 1024);
    connection.send(event("long").json(&long).unwrap()).unwrap();
    connection.send(event("short")).unwrap();
    settle().await;
    // It breaks the protocol while the frame is half written, and reads on.
    ann.write("[").await;
    assert_eq!(ann.hear().await, frame("long"));
    assert!(matches!(ann.hear().await, Heard::Closed(_)));
    let (mut ann, resumed) = Speaker::resume(&stage.server, ANN, &hello.token, 1).await;
    assert_eq!((resumed.session, resumed.replay), (SessionKind::Resumed, 1));
    assert_eq!(ann.hear().await, frame("short"));
    let stats = connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.dropped), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_of_such_a_server_is_served_at_least_once() {
    let mut stage = stage();
    let mut ann = TestClient::connect(&stage.server, ANN).await.unwrap();
    let connection = stage.connected().await;
    connection.send(event("a")).unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "a");
    assert!(matches!(ann.receive().await.unwrap(), Received::Ping(payload) if payload.len() == 16));
    drop(ann);
    dropped(&mut stage).await;
    let mut ann = TestClient::connect(&stage.server, ANN).await.unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "a", "it was not acknowledged");
}
