//! Exactly once, with a client whose handshakes overtake one another: it has given up an attempt, is
//! back by the next one, and then the server comes to the first, as one that stood still may.

use std::time::Duration;

use tokio::io::duplex;
use tokio::time::sleep;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, CloseCode, CloseFrame, Delivery, Frame, Server};
use wspulse_core::protocol::{ResumeOffer, SessionKind};

use crate::support::speaker::{Heard, JSON, Speaker, frame};

fn server() -> Server {
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")));
    let builder = builder.resume_window(Duration::from_mins(1)).delivery(Delivery::ExactlyOnce);
    builder.build().unwrap()
}

async fn closed(client: &mut Speaker) -> CloseFrame {
    loop {
        if let Heard::Closed(close) = client.hear().await {
            return close.expect("with a code");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_overtaken_by_its_own_older_handshake_may_come_back_and_misses_nothing() {
    let server = server();
    let (ann, first) = Speaker::begin(&server, "/ws").await;
    drop(ann);
    let (mut ann, second) = Speaker::resume(&server, "/ws", &first.token, 0).await;
    server.send("ann", Frame::new("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
    let _late = Speaker::come_back(&server, "/ws", &first.token, 0).await;
    // 1000 would be the end of it: the client would take it for another one's doing.
    assert_eq!(closed(&mut ann).await.code(), CloseCode::GOING_AWAY);
    server.send("ann", Frame::new("b")).unwrap();
    sleep(Duration::from_secs(1)).await;
    let (mut ann, third) = Speaker::resume(&server, "/ws", &second.token, 1).await;
    assert_eq!((third.session, third.replay), (SessionKind::Resumed, 1));
    assert_eq!(ann.hear().await, frame("b"));
    ann.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn so_may_one_whose_first_handshake_of_all_was_late() {
    let server = server();
    let (mut ann, hello) = Speaker::begin(&server, "/ws").await;
    let _late = Speaker::dial(&server, "/ws", &[JSON]).await;
    assert_eq!(closed(&mut ann).await.code(), CloseCode::GOING_AWAY);
    let (_ann, resumed) = Speaker::resume(&server, "/ws", &hello.token, 0).await;
    assert_eq!(resumed.session, SessionKind::Resumed);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_older_than_what_the_client_has_said_since_leaves_its_session_alone() {
    let server = server();
    let (ann, first) = Speaker::begin(&server, "/ws").await;
    drop(ann);
    let (mut ann, _) = Speaker::resume(&server, "/ws", &first.token, 0).await;
    ann.say("it goes on").await;
    sleep(Duration::from_millis(1)).await;
    let mut late = Speaker::come_back(&server, "/ws", &first.token, 0).await;
    // Whoever that is begins anew.
    assert_eq!(closed(&mut late).await.code(), CloseCode::FRAMES_LOST);
    server.send("ann", Frame::new("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
}

/// Both are alive, have tokens of one session, and say nothing.
#[tokio::test(start_paused = true)]
async fn two_clients_that_share_a_session_do_not_take_it_from_each_other_for_ever() {
    let server = server();
    let (ann, first) = Speaker::begin(&server, "/ws").await;
    drop(ann);
    let (mut here, second) = Speaker::resume(&server, "/ws", &first.token, 0).await;
    // Of the one that is here, and of the one that is not.
    let mut tokens = [second.token, first.token];
    let mut turns = 0;
    loop {
        tokens.reverse();
        let (other, hello) = Speaker::resume(&server, "/ws", &tokens[0], 0).await;
        tokens[0] = hello.token;
        let close = closed(&mut here).await;
        here = other;
        turns += 1;
        if close.code() == CloseCode::NORMAL {
            break;
        }
        assert!(turns < 100, "it goes on for ever");
    }
    assert!(turns > 1, "the first of them may have been late");
}

/// Its token was good when it was let in; its stream comes when the client has gone on.
#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_after_the_client_has_gone_on_leaves_its_session_alone() {
    let server = server();
    let (ann, first) = Speaker::begin(&server, "/ws").await;
    drop(ann);
    let (mut ann, _) = Speaker::resume(&server, "/ws", &first.token, 0).await;
    let mut parts = request_parts("/ws");
    let resume = ResumeOffer { token: first.token, count: 0 };
    let offers = format!("{JSON}, {resume}");
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers.parse().unwrap());
    let late = server.handshake(parts).unwrap().connect().await.unwrap();
    server.send("ann", Frame::new("a")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
    ann.ack(1).await;
    sleep(Duration::from_millis(1)).await;
    let (near, far) = duplex(4 * 1024);
    late.attach(near, &[]);
    let mut late = Speaker { client: TestClient::new(far) };
    assert_eq!(closed(&mut late).await.code(), CloseCode::FRAMES_LOST);
    server.send("ann", Frame::new("b")).unwrap();
    assert_eq!(ann.hear().await, frame("b"));
}
