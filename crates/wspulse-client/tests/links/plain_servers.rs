//! The real server as a plain one: without the promise of exactly once it speaks no `wspulse.1`.

use std::time::Duration;

use wspulse::{Admission, Server, ServerBuilder};
use wspulse_client::{
    Client, EndCause, Event, Frame, Messages, RequestError, SendError, SessionStart,
};

use crate::support::real::{by, link_to, until};

fn echo() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_message(|conn, frame| async move {
            let reply = match frame.event() {
                "ask" => frame.with_event("reply"),
                "wrong" => frame.with_event("error"),
                "nothing" => return,
                _ => frame,
            };
            conn.send(reply).unwrap();
        })
        .resume_window(Duration::from_mins(1))
}

#[tokio::test(start_paused = true)]
async fn frames_go_both_ways_and_the_client_comes_back() {
    let server = echo().build().unwrap();
    let link = link_to(&server);
    let (client, mut messages) =
        by(&link, Client::builder("ws://server.example/ws")).connect().unwrap();
    for round in 0..3 {
        let begun = next(&mut messages).await;
        let Event::Session { session: SessionStart::Plain, replay: 0, .. } = begun else {
            panic!("{begun:?}");
        };
        client.send(Frame::new("x").json(&round).unwrap()).await.unwrap();
        let Event::Message(frame) = next(&mut messages).await else { panic!("no echo") };
        assert_eq!(frame.to_json::<u32>().unwrap(), round);
        link.cut();
    }
}

/// The next event that is not about being disconnected.
async fn next(messages: &mut Messages) -> Event {
    loop {
        let event = messages.next().await.expect("an event before the end");
        if !matches!(event, Event::Disconnected { .. } | Event::Reconnecting { .. }) {
            return event;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messagepack_is_spoken_with_a_server_of_messagepack() {
    use wspulse::codec::MessagePackCodec;
    for delivery in [wspulse::Delivery::AtMostOnce, wspulse::Delivery::ExactlyOnce] {
        let server = echo().codec(MessagePackCodec).delivery(delivery).build().unwrap();
        let link = link_to(&server);
        let builder = Client::builder("ws://server.example/ws").codec(MessagePackCodec);
        let (client, mut messages) = by(&link, builder).connect().unwrap();
        let found = client.connected().await.unwrap();
        assert_eq!(found == SessionStart::New, delivery == wspulse::Delivery::ExactlyOnce);
        client.send(Frame::new("x").msgpack(&[1, 2, 3]).unwrap()).await.unwrap();
        let Some(Event::Session { .. }) = messages.next().await else { panic!("no session") };
        let Some(Event::Message(frame)) = messages.next().await else { panic!("no message") };
        assert_eq!(frame.to_msgpack::<Vec<u8>>().unwrap(), [1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_replied_to_refused_or_left_without_an_answer() {
    for delivery in [wspulse::Delivery::AtMostOnce, wspulse::Delivery::ExactlyOnce] {
        let server = echo().delivery(delivery).build().unwrap();
        let (client, messages) =
            by(&link_to(&server), Client::builder("ws://server.example/ws")).connect().unwrap();
        drop(messages);
        let second = Duration::from_secs(1);
        let reply = client.request(Frame::new("ask").with_payload("7"), second).await.unwrap();
        assert_eq!((reply.event(), &reply.payload()[..]), ("reply", &b"7"[..]));
        assert!(!reply.id().is_empty());
        let named = Frame::new("ask").with_id("mine");
        assert_eq!(client.request(named, second).await.unwrap().id(), "mine");
        let wrong = client.request(Frame::new("wrong"), second).await.unwrap_err();
        assert!(matches!(wrong, RequestError::Failed(frame) if frame.event() == "error"));
        let nothing = client.request(Frame::new("nothing"), second).await.unwrap_err();
        assert!(matches!(nothing, RequestError::Timeout(time) if time == second));
        let waiting = client.request(Frame::new("nothing").with_id("twice"), second);
        let again = client.request(Frame::new("nothing").with_id("twice"), second);
        let (first, second) = tokio::join!(waiting, again);
        assert!(matches!(first.unwrap_err(), RequestError::Timeout(_)));
        assert!(matches!(second.unwrap_err(), RequestError::DuplicateId(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_answers_what_the_server_asks() {
    for delivery in [wspulse::Delivery::AtMostOnce, wspulse::Delivery::ExactlyOnce] {
        let server = echo().delivery(delivery).build().unwrap();
        let (client, mut messages) =
            by(&link_to(&server), Client::builder("ws://server.example/ws")).connect().unwrap();
        client.connected().await.unwrap();
        until(|| server.connection_count() == 1).await;
        let ann = server.connection("ann").unwrap();
        let answering = tokio::spawn(async move {
            while let Some(event) = messages.next().await {
                let Event::Message(request) = event else { continue };
                assert!(!request.id().is_empty());
                match request.event() {
                    "who" => client.reply(&request, Frame::default().with_payload("7")).unwrap(),
                    _ => client.reply_error(&request, Frame::default()).unwrap(),
                }
            }
        });
        let second = Duration::from_secs(1);
        let reply = ann.request(Frame::new("who")).within(second).await.unwrap();
        assert_eq!(&reply.payload()[..], b"7");
        let error = ann.request(Frame::new("what")).within(second).await.unwrap_err();
        assert!(matches!(error, wspulse::RequestError::Refused { .. }), "{error}");
        answering.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_kick_is_the_end_and_gives_back_what_was_not_sent() {
    let server = echo().build().unwrap();
    let link = link_to(&server);
    let (client, mut messages) =
        by(&link, Client::builder("ws://server.example/ws")).connect().unwrap();
    client.connected().await.unwrap();
    until(|| server.connection_count() == 1).await;
    server.kick_with_reason("ann", "enough").unwrap();
    let EndCause::ClosedByServer { code: 1000, reason, .. } = client.ended().await else {
        panic!("another end");
    };
    assert_eq!(reason, "enough");
    let error = client.send(Frame::new("late")).await.unwrap_err();
    assert!(matches!(&error, SendError::Closed { frame, .. } if frame.event() == "late"));
    while let Some(event) = messages.next().await {
        assert!(!matches!(event, Event::Reconnecting { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_nobody_has_any_more_takes_leave() {
    let server = echo().build().unwrap();
    let link = link_to(&server);
    let (client, messages) =
        by(&link, Client::builder("ws://server.example/ws")).connect().unwrap();
    client.connected().await.unwrap();
    until(|| server.connection_count() == 1).await;
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ann = server.connection("ann").unwrap();
    assert_eq!(ann.state(), wspulse::ConnectionState::Connected, "the stream is still there");
    drop(messages);
    until(|| ann.state() != wspulse::ConnectionState::Connected).await;
}
