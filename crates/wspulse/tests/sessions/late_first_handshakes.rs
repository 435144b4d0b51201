//! A handshake that the application lets in late, when a newer one for its id was let in: its own
//! client may have come back by that one.

use std::time::Duration;

use tokio::io::duplex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{
    Admission, CloseCode, CloseFrame, ConnectionState, Delivery, DuplicatePolicy, Rejection,
    Server, ServerBuilder,
};
use wspulse_core::protocol::{ResumeOffer, SessionKind};
use wspulse_core::{Disconnect, OVERTAKEN};

use crate::support::clients::{Client, dial, number, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::admit;
use crate::support::speaker::{Heard, JSON, Speaker, event, frame};

/// How long the application thinks about a request with `slow` in its query.
const SLOW: Duration = Duration::from_secs(3);

const ANN: &str = "/ws?id=ann";
const LATE_ANN: &str = "/ws?id=ann&slow=yes";

fn thoughtful(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let builder = Server::builder(|request| async move {
        if request.query("slow").is_some() {
            sleep(SLOW).await;
        }
        Ok::<_, Rejection>(admit(&request))
    });
    options(builder.resume_window(WINDOW)).build().unwrap()
}

fn promising() -> Server {
    thoughtful(|builder| builder.delivery(Delivery::ExactlyOnce))
}

fn plain(policy: DuplicatePolicy) -> Server {
    thoughtful(|builder| builder.duplicates(policy))
}

/// A client of `wspulse.1` that begins its handshake now, and is let in late.
async fn late_speaker(server: &Server, offers: &[&str]) -> JoinHandle<Speaker> {
    let server = server.clone();
    let offers: Vec<_> = offers.iter().map(ToString::to_string).collect();
    let late = tokio::spawn(async move {
        let offers: Vec<_> = offers.iter().map(String::as_str).collect();
        Speaker::dial(&server, LATE_ANN, &offers).await
    });
    sleep(SLOW / 3).await;
    late
}

/// As [`late_speaker`], of a client that comes back to the session of this token.
async fn late_return(server: &Server, token: &str) -> JoinHandle<Speaker> {
    let resume = ResumeOffer { token: token.to_owned(), count: 0 }.to_string();
    late_speaker(server, &[JSON, &resume]).await
}

/// A plain client that begins its handshake now, and is let in late.
async fn late_client(server: &Server) -> JoinHandle<Client> {
    let server = server.clone();
    let late = tokio::spawn(async move { TestClient::connect(&server, LATE_ANN).await.unwrap() });
    sleep(SLOW / 3).await;
    late
}

async fn assert_still_heard(server: &Server, client: &mut Speaker) {
    server.send("ann", event("still here")).unwrap();
    assert_eq!(client.hear().await, frame("still here"));
    client.hears_nothing().await;
}

fn frames_lost() -> CloseFrame {
    Disconnect::FramesLost.close_frame()
}

fn duplicate() -> CloseFrame {
    CloseFrame::new(CloseCode::NORMAL, "duplicate connection id")
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_without_a_token_leaves_the_newer_session_alone() {
    let server = promising();
    let late = late_speaker(&server, &[JSON]).await;
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    ann.say("it goes on").await;
    let mut late = late.await.unwrap();
    assert_eq!(late.hear().await, Heard::Closed(Some(OVERTAKEN)));
    assert_still_heard(&server, &mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn so_it_does_if_the_newer_client_has_not_said_a_word() {
    let server = promising();
    let late = late_speaker(&server, &[JSON]).await;
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    let mut late = late.await.unwrap();
    assert_eq!(late.hear().await, Heard::Closed(Some(OVERTAKEN)));
    assert_still_heard(&server, &mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_with_the_token_of_an_ended_session_leaves_the_newer_one_alone() {
    let server = promising();
    let (ann, ended) = Speaker::begin(&server, ANN).await;
    server.kick("ann").unwrap();
    drop(ann);
    let late = late_return(&server, &ended.token).await;
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    ann.say("it goes on").await;
    let mut late = late.await.unwrap();
    assert_eq!(late.hear().await, Heard::Closed(Some(OVERTAKEN)));
    assert_still_heard(&server, &mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_with_an_older_token_leaves_the_newer_transport_alone() {
    let server = promising();
    let (ann, first) = Speaker::begin(&server, ANN).await;
    drop(ann);
    let late = late_return(&server, &first.token).await;
    // It says nothing: its older token is still valid.
    let (mut ann, _) = Speaker::resume(&server, ANN, &first.token, 0).await;
    let mut late = late.await.unwrap();
    assert_eq!(late.hear().await, Heard::Closed(Some(OVERTAKEN)));
    assert_still_heard(&server, &mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_takes_a_session_whose_newer_transport_is_lost() {
    let server = promising();
    let (ann, first) = Speaker::begin(&server, ANN).await;
    drop(ann);
    let late = late_return(&server, &first.token).await;
    let (ann, _) = Speaker::resume(&server, ANN, &first.token, 0).await;
    drop(ann);
    let mut late = late.await.unwrap();
    assert_eq!(late.hello().await.session, SessionKind::Resumed);
    assert_still_heard(&server, &mut late).await;
}

/// Its client has received more since it gave it up.
#[tokio::test(start_paused = true)]
async fn a_late_handshake_with_a_lower_count_than_a_later_one_leaves_the_session_alone() {
    let server = promising();
    let (ann, first) = Speaker::begin(&server, ANN).await;
    for text in ["one", "two"] {
        server.send("ann", event(text)).unwrap();
    }
    settle().await;
    drop(ann);
    let late = late_return(&server, &first.token).await;
    let (ann, hello) = Speaker::resume(&server, ANN, &first.token, 2).await;
    assert_eq!(hello.replay, 0);
    // It says nothing: the token that both came with is still valid.
    drop(ann);
    let mut late = late.await.unwrap();
    assert_eq!(late.hear().await, Heard::Closed(Some(frames_lost())));
    server.send("ann", event("three")).unwrap();
    let (mut ann, hello) = Speaker::resume(&server, ANN, &first.token, 2).await;
    assert_eq!(hello.session, SessionKind::Resumed);
    assert_eq!(ann.hear().await, frame("three"));
    assert_still_heard(&server, &mut ann).await;
}

/// Its client has lost what it had.
#[tokio::test(start_paused = true)]
async fn a_later_handshake_with_a_lower_count_ends_the_session() {
    let server = promising();
    let (ann, first) = Speaker::begin(&server, ANN).await;
    server.send("ann", event("one")).unwrap();
    settle().await;
    drop(ann);
    let (ann, _) = Speaker::resume(&server, ANN, &first.token, 1).await;
    drop(ann);
    settle().await;
    let connection = server.connection("ann").unwrap();
    let offer = ResumeOffer { token: first.token, count: 0 }.to_string();
    let mut back = Speaker::dial(&server, ANN, &[JSON, &offer]).await;
    assert_eq!(back.hear().await, Heard::Closed(Some(frames_lost())));
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_late_plain_handshake_leaves_the_newer_connection_alone() {
    for policy in [DuplicatePolicy::Replace, DuplicatePolicy::Resume] {
        let server = plain(policy);
        let late = late_client(&server).await;
        let mut ann = dial(&server, "ann").await;
        let connection = server.connection("ann").unwrap();
        let mut late = late.await.unwrap();
        assert_eq!(late.closed().await.unwrap(), Some(OVERTAKEN), "{policy:?}");
        assert_eq!(server.connection("ann").unwrap(), connection);
        connection.send(numbered(1)).unwrap();
        assert_eq!(number(&ann.frame().await.unwrap()), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_plain_handshake_takes_a_session_that_is_suspended() {
    for policy in [DuplicatePolicy::Replace, DuplicatePolicy::Resume] {
        let server = plain(policy);
        let late = late_client(&server).await;
        drop(dial(&server, "ann").await);
        settle().await;
        let connection = server.connection("ann").unwrap();
        assert_eq!(connection.state(), ConnectionState::Suspended);
        connection.send(numbered(1)).unwrap();
        let mut late = late.await.unwrap();
        assert_eq!(numbers(&mut late, 1).await, [1], "{policy:?}");
        assert_eq!(server.connection("ann").unwrap(), connection);
    }
}

/// The session is suspended, before or after, and the newer client's stream has not come yet.
#[tokio::test(start_paused = true)]
async fn a_late_plain_handshake_does_not_displace_a_newer_one_on_its_way() {
    for is_suspended_before in [true, false] {
        let server = plain(DuplicatePolicy::Resume);
        let mut ann = Some(dial(&server, "ann").await);
        ann.take_if(|_| is_suspended_before);
        let late = late_client(&server).await;
        let handshake = server.handshake(request_parts(ANN)).unwrap();
        let accepted = handshake.connect().await.unwrap();
        settle().await;
        drop(ann);
        let mut late = late.await.unwrap();
        assert_eq!(late.closed().await.unwrap(), Some(OVERTAKEN));
        let (ours, theirs) = duplex(1024);
        accepted.attach(theirs, &[]);
        server.send("ann", numbered(1)).unwrap();
        assert_eq!(numbers(&mut TestClient::new(ours), 1).await, [1]);
    }
}

/// Whoever has it has heard the session's last hello.
#[tokio::test(start_paused = true)]
async fn a_late_handshake_with_the_newest_token_displaces_a_newer_one_on_its_way() {
    let server = promising();
    let (ann, hello) = Speaker::begin(&server, ANN).await;
    drop(ann);
    let resume = ResumeOffer { token: hello.token, count: 0 }.to_string();
    let late = late_speaker(&server, &[JSON, &resume]).await;
    let mut parts = request_parts(ANN);
    let offers = format!("{JSON}, {resume}");
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers.parse().unwrap());
    let _on_its_way = server.handshake(parts).unwrap().connect().await.unwrap();
    let mut late = late.await.unwrap();
    assert_eq!(late.hello().await.session, SessionKind::Resumed);
    assert_still_heard(&server, &mut late).await;
}

#[tokio::test(start_paused = true)]
async fn an_admission_of_the_applications_own_is_as_old_as_its_handshake() {
    let server = plain(DuplicatePolicy::Replace);
    let handshake = server.handshake(request_parts(ANN)).unwrap();
    sleep(SLOW).await;
    let mut ann = dial(&server, "ann").await;
    let accepted = handshake.admit(Admission::room("lobby").id("ann")).await.unwrap();
    let (ours, theirs) = duplex(1024);
    accepted.attach(theirs, &[]);
    assert_eq!(TestClient::new(ours).closed().await.unwrap(), Some(OVERTAKEN));
    server.send("ann", numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_may_come_back_and_replace() {
    let server = plain(DuplicatePolicy::Replace);
    let late = late_client(&server).await;
    let mut ann = dial(&server, "ann").await;
    assert_eq!(late.await.unwrap().closed().await.unwrap(), Some(OVERTAKEN));
    let mut back = dial(&server, "ann").await;
    assert_eq!(ann.closed().await.unwrap(), Some(duplicate()));
    server.send("ann", numbered(1)).unwrap();
    assert_eq!(numbers(&mut back, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn of_two_clients_whom_the_application_keeps_waiting_the_second_replaces_the_first() {
    let server = plain(DuplicatePolicy::Replace);
    let first = late_client(&server).await;
    let second = late_client(&server).await;
    assert_eq!(first.await.unwrap().closed().await.unwrap(), Some(duplicate()));
    let mut second = second.await.unwrap();
    server.send("ann", numbered(1)).unwrap();
    assert_eq!(numbers(&mut second, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_with_a_token_left_behind_is_refused_by_a_server_that_drains() {
    let server = promising();
    let (ann, first) = Speaker::begin(&server, ANN).await;
    drop(ann);
    let (mut ann, _) = Speaker::resume(&server, ANN, &first.token, 0).await;
    // It has the next token, and so the first is worth nothing.
    ann.ask().await;
    ann.hear().await;
    let mut parts = request_parts(LATE_ANN);
    let resume = ResumeOffer { token: first.token.clone(), count: 0 };
    let offers = format!("{JSON}, {resume}").parse().unwrap();
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers);
    let handshake = server.handshake(parts).expect("it drains not yet");
    let draining = server.clone();
    tokio::spawn(async move { draining.drain(WINDOW).await });
    let refusal = handshake.connect().await.expect_err("it takes nobody any more");
    assert_eq!(refusal.status(), 503);
}
