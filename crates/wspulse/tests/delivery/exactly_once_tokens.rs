//! Whose a session is that a client of `wspulse.1` has had: one rule a test.

use tokio::io::duplex;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, CloseCode, ConnectionState, Disconnect, DuplicatePolicy, Server};
use wspulse_core::protocol::{ResumeOffer, SessionKind};

use crate::support::clock::settle;
use crate::support::speaker::{
    ANN, Heard, JSON, Speaker, configured, disconnected, dropped, event, frame, stage,
};
use crate::support::stage::Stage;

#[tokio::test(start_paused = true)]
async fn without_a_token_a_client_gets_a_new_session_and_the_old_one_ends() {
    let mut stage = stage();
    let (mut ann, _) = Speaker::begin(&stage.server, ANN).await;
    ann.say("a").await;
    settle().await;
    drop(ann);
    dropped(&mut stage).await;
    let (_ann, hello) = Speaker::begin(&stage.server, ANN).await;
    assert_eq!((hello.session, hello.received), (SessionKind::New, 0));
    let disconnect = disconnected(&mut stage).await;
    assert!(matches!(disconnect, Disconnect::Duplicate), "{disconnect:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_first_hello_was_lost_is_for_the_client_that_comes_again() {
    let mut stage = stage();
    // It goes away before it has read anything.
    drop(Speaker::dial(&stage.server, ANN, &[JSON]).await);
    let connection = stage.connected().await;
    connection.send(event("welcome")).unwrap();
    dropped(&mut stage).await;
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    assert_eq!((hello.session, hello.replay), (SessionKind::New, 1));
    assert_eq!(ann.hear().await, frame("welcome"));
    assert_eq!(connection.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_session_or_none_at_all_resumes_nothing() {
    let stage = stage();
    let (_bob, bobs) = Speaker::begin(&stage.server, "/ws?id=bob&room=lobby").await;
    for token in [&*bobs.token, "YW5u.AAAAAAAAAAAAAAAAAAAAAA", "x"] {
        let (_ann, hello) = Speaker::resume(&stage.server, ANN, token, 0).await;
        assert_eq!((hello.session, &*hello.id), (SessionKind::New, "ann"), "{token}");
    }
    assert_eq!(stage.server.connection("bob").unwrap().state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn the_token_before_is_good_until_the_client_has_spoken_on_the_new_transport() {
    let stage = stage();
    let (ann, first) = Speaker::begin(&stage.server, ANN).await;
    drop(ann);
    settle().await;
    // This hello is lost.
    drop(Speaker::come_back(&stage.server, ANN, &first.token, 0).await);
    settle().await;
    let (mut ann, third) = Speaker::resume(&stage.server, ANN, &first.token, 0).await;
    assert_eq!(third.session, SessionKind::Resumed, "the first is still good");
    ann.ask().await;
    ann.hear().await;
    let mut recorded = Speaker::come_back(&stage.server, ANN, &first.token, 0).await;
    let Heard::Closed(Some(close)) = recorded.hear().await else {
        panic!("a recorded handshake is not")
    };
    assert_eq!(close.code(), CloseCode::FRAMES_LOST);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_an_id_of_the_applications_is_found_by_its_token() {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")));
    let server = configured(server).build().unwrap();
    let (ann, hello) = Speaker::begin(&server, "/ws").await;
    drop(ann);
    settle().await;
    let (_ann, resumed) = Speaker::resume(&server, "/ws", &hello.token, 0).await;
    assert_eq!((resumed.session, &resumed.id), (SessionKind::Resumed, &hello.id));
    assert_eq!(server.connection_count(), 1);
}

/// Else the client would begin to count from 0, and take what it is told for a violation.
#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_its_client_comes_back_is_still_that_session() {
    let stage = stage();
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    ann.say("a").await;
    settle().await;
    drop(ann);
    settle().await;
    let mut parts = request_parts(ANN);
    let resume = ResumeOffer { token: hello.token, count: 0 };
    let offers = format!("{JSON}, {resume}").parse().unwrap();
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers);
    let returns = stage.server.handshake(parts).unwrap().connect().await.unwrap();
    stage.server.send("ann", event("waits")).unwrap();
    stage.server.kick("ann").unwrap();
    let (near, far) = duplex(4 * 1024);
    returns.attach(near, &[]);
    let mut ann = Speaker { client: TestClient::new(far) };
    let hello = ann.hello().await;
    assert_eq!((hello.session, hello.received, hello.replay), (SessionKind::Resumed, 1, 1));
    assert_eq!(ann.hear().await, frame("waits"));
    let Heard::Closed(Some(close)) = ann.hear().await else { panic!("it goes on") };
    assert_eq!(close.code(), CloseCode::NORMAL);
}

#[tokio::test(start_paused = true)]
async fn the_second_of_two_with_one_token_takes_the_session() {
    let stage = stage();
    let (mut first, hello) = Speaker::begin(&stage.server, ANN).await;
    let (_second, resumed) = Speaker::resume(&stage.server, ANN, &hello.token, 0).await;
    assert_eq!(resumed.session, SessionKind::Resumed);
    let Heard::Closed(Some(close)) = first.hear().await else { panic!("it goes on") };
    assert_eq!((close.code(), close.reason()), (CloseCode::NORMAL, "duplicate connection id"));
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_does_not_get_the_session_of_one_that_speaks_the_protocol() {
    let mut stage = Stage::new(|builder| configured(builder).duplicates(DuplicatePolicy::Resume));
    let (ann, _) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    drop(ann);
    dropped(&mut stage).await;
    connection.send(event("for the one")).unwrap();
    let mut plain = TestClient::connect(&stage.server, ANN).await.unwrap();
    assert_eq!(connection.state(), ConnectionState::Closed);
    stage.server.connection("ann").unwrap().send(event("for the other")).unwrap();
    assert_eq!(plain.frame().await.unwrap().event(), "for the other");
}
