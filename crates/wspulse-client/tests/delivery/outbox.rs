//! What waits to be handled: its bounds, and what becomes of it.

use serde_json::json;
use tokio::time::timeout;
use wspulse_client::{Event, Frame, RequestError, SendError};

use crate::support::stage::{LONG, MOMENT, connect, hello, next};

#[test]
fn an_error_that_gives_a_frame_back_is_small() {
    assert!(size_of::<SendError>() <= 64, "{}", size_of::<SendError>());
    assert!(size_of::<RequestError>() <= 64, "{}", size_of::<RequestError>());
}

#[tokio::test(start_paused = true)]
async fn the_outbox_is_bounded_by_messages() {
    let (client, _messages, _stage) = connect(|builder| builder.outbox_messages_max(2));
    client.post(Frame::new("a")).unwrap();
    client.post(Frame::new("b")).unwrap();
    let error = client.send(Frame::new("c")).await.unwrap_err();
    assert!(matches!(error, SendError::Full { .. }));
    assert_eq!(error.into_frame().event(), "c");
}

#[tokio::test(start_paused = true)]
async fn the_outbox_is_bounded_by_bytes_and_emptied_by_acknowledgements() {
    let (client, _messages, mut stage) = connect(|builder| builder.outbox_bytes_max(100));
    let frame = || Frame::new("x".repeat(30));
    client.post(frame()).unwrap();
    client.post(frame()).unwrap();
    assert!(matches!(client.post(frame()), Err(SendError::Full { .. })));
    let long = client.post(Frame::new("x".repeat(100))).unwrap_err();
    assert!(matches!(long, SendError::TooLong { bytes_max: 100, .. }));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    server.heard().await;
    server.heard().await;
    assert_eq!(server.heard().await, json!(["ask"]));
    server.say("[\"ack\",1]").await;
    tokio::time::sleep(MOMENT).await;
    client.post(frame()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_take_is_not_sent() {
    let (client, mut messages, mut stage) = connect(|builder| builder);
    let long = || Frame::new("x".repeat(100));
    client.post(long()).unwrap();
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(Frame::new("x".repeat(100))).await }
    });
    let short = tokio::spawn({
        let client = client.clone();
        async move { client.send(Frame::new("short")).await }
    });
    let mut server = stage.welcome(&hello("new", "t1", &[("message_max", 50)])).await;
    assert_eq!(server.heard().await, json!({"event": "short"}));
    assert_eq!(server.heard().await, json!(["ask"]));
    server.say("[\"ack\",1]").await;
    short.await.unwrap().unwrap();
    let error = sending.await.unwrap().unwrap_err();
    assert!(matches!(error, SendError::TooLong { bytes_max: 50, .. }));
    assert!(matches!(next(&mut messages).await, Event::Unsent { frame, .. } if frame == long()));
    assert!(matches!(client.post(long()), Err(SendError::TooLong { bytes_max: 50, .. })));
}

#[tokio::test(start_paused = true)]
async fn what_the_codec_cannot_express_is_given_back() {
    let (client, _messages, _stage) = connect(|builder| builder);
    let error = client.post(Frame::new("a").with_payload("{")).unwrap_err();
    assert!(matches!(error, SendError::Unencodable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn of_what_nobody_waits_for_any_more_the_application_is_told() {
    let (client, mut messages, mut stage) = connect(|builder| builder);
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    client.connected().await.unwrap();
    client.post(Frame::new("posted")).unwrap();
    let cancelled = timeout(MOMENT, client.send(Frame::new("cancelled"))).await;
    assert!(cancelled.is_err());
    assert_eq!(server.heard().await["event"], "posted");
    assert_eq!(server.heard().await["event"], "cancelled", "it stays queued");
    drop(server);
    stage.welcome(&hello("new", "u1", &[])).await;
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    for name in ["posted", "cancelled"] {
        let Event::Lost(frame) = next(&mut messages).await else { panic!("not lost") };
        assert_eq!(frame.event(), name);
    }
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_message_too_long_to_take_ends_its_session() {
    let (client, mut messages, mut stage) = connect(|builder| builder.max_message_size(100));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    // The hello itself is longer than that.
    assert_eq!(server.closed().await, Some(1009));
    drop((client, messages.next().await));
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_next_message_is_too_long_is_not_resumed() {
    let (_client, mut messages, mut stage) = connect(|builder| builder.max_message_size(1000));
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    server.say(format!("{{\"payload\":\"{}\"}}", "x".repeat(1000))).await;
    assert_eq!(server.closed().await, Some(1009));
    assert_eq!(stage.request().await.protocols(), ["wspulse.1+json", "wspulse.plain"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_an_earlier_session_has_handled_waits_for_no_reply_of_the_next() {
    let (client, _messages, mut stage) = connect(|builder| builder);
    let ask = |id: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { client.request(Frame::new("x").with_id(id), LONG).await })
    };
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    let handled = ask("handled");
    server.heard().await;
    assert_eq!(server.heard().await, json!(["ask"]));
    server.say("[\"ack\",1]").await;
    server.close(1012, "retry=1").await;
    tokio::time::sleep(MOMENT).await;
    let unsent = ask("unsent");

    let mut server = stage.welcome(&hello("new", "u1", &[])).await;

    let error = timeout(MOMENT, handled).await.expect("at once").unwrap().unwrap_err();
    assert!(matches!(error, RequestError::Ended), "{error}");
    assert_eq!(server.heard().await["id"], "unsent");
    server.say(json!({ "id": "unsent", "event": "reply" }).to_string()).await;
    assert_eq!(unsent.await.unwrap().unwrap().id(), "unsent");
}
