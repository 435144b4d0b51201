//! How many connections one user may have, and what happens to one more.

use wspulse::testing::{Recorder, Refused, TestClient};
use wspulse::{
    Admission, CloseCode, CloseFrame, ConnectionState, Disconnect, DisconnectReason, Rejection,
    Server, ServerBuilder, UserLimit,
};

use crate::support::bounds::{assert_refused, assert_valid};
use crate::support::clients::{Client, close_frame, numbered, numbers};
use crate::support::clock::{WINDOW, settle};

const END_OLDEST: UserLimit = UserLimit::EndOldest(CloseCode::USER_LIMIT);

/// Admits the query's `user`, if it names one, under its `id`.
fn people(limit: UserLimit) -> ServerBuilder {
    let builder = Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        let admission = Admission::room("lobby").id(&*id);
        Ok(match request.query("user") {
            Some(user) => admission.user(&*user),
            None => admission,
        })
    });
    builder.resume_window(WINDOW).max_connections_per_user(2, limit)
}

async fn come(server: &Server, user: &str, id: &str) -> Client {
    let target = format!("/ws?user={user}&id={id}");
    TestClient::connect(server, &target).await.expect("admitted")
}

async fn status(server: &Server, target: &str) -> u16 {
    let Refused(response) = TestClient::connect(server, target).await.expect_err("a refusal");
    response.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn one_connection_more_than_a_user_may_have_is_refused_and_counted() {
    let recorder = Recorder::default();
    let server = people(UserLimit::RefuseNew).metrics(recorder.clone()).build().unwrap();
    let _ann = [come(&server, "ann", "1").await, come(&server, "ann", "2").await];
    assert_eq!(status(&server, "/ws?user=ann&id=3").await, 429);
    assert_eq!(recorder.only("upgrade_refused"), ["upgrade_refused 429"]);
    let _others = [come(&server, "bob", "3").await, come(&server, "bob", "4").await];
    assert_eq!((server.user("ann").connection_count(), server.connection_count()), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn connections_of_nobody_are_not_counted() {
    let server = people(UserLimit::RefuseNew).build().unwrap();
    for id in 0..5 {
        assert!(TestClient::connect(&server, &format!("/ws?id={id}")).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_connection_makes_way_and_is_told() {
    let (recorder, (tell, told)) = (Recorder::default(), std::sync::mpsc::channel());
    let builder = people(END_OLDEST).metrics(recorder.clone());
    let server = builder.on_disconnect(move |_, end| tell.send(end).unwrap()).build().unwrap();
    let mut first = come(&server, "ann", "1").await;
    let mut second = come(&server, "ann", "2").await;
    let mut third = come(&server, "ann", "3").await;
    let frame = CloseFrame::new(CloseCode::USER_LIMIT, "too many connections");
    assert_eq!(close_frame(&mut first).await, Some(frame.clone()));
    settle().await;
    let end = told.try_recv().unwrap();
    assert!(matches!(&end, Disconnect::UserLimit(told) if *told == frame), "{end}");
    assert_eq!(end.reason(), DisconnectReason::UserLimit);
    assert_eq!(recorder.only("connection_closed"), ["connection_closed lobby 1 0ns user_limit"]);
    assert_eq!(server.user("ann").send(numbered(1)).unwrap().reached, 2);
    for client in [&mut second, &mut third] {
        assert_eq!(numbers(client, 1).await, [1]);
    }
    assert_eq!((server.room("lobby").len(), server.connection_count()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_to_its_own_session_takes_no_further_place() {
    for limit in [UserLimit::RefuseNew, END_OLDEST] {
        let server = people(limit).build().unwrap();
        let _other = come(&server, "ann", "1").await;
        drop(come(&server, "ann", "2").await);
        settle().await;
        let session = server.connection("2").unwrap();
        let _back = come(&server, "ann", "2").await;
        settle().await;
        assert_eq!(session.state(), ConnectionState::Connected);
        // It is connected, so this one replaces it.
        let _replacing = come(&server, "ann", "2").await;
        assert_eq!(session.state(), ConnectionState::Closed);
        assert_eq!(server.user("ann").connection_count(), 2);
        assert!(server.connection("1").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_connection_keeps_its_place_until_it_is_the_oldest() {
    let server = people(END_OLDEST).build().unwrap();
    drop(come(&server, "ann", "1").await);
    settle().await;
    let _clients = [come(&server, "ann", "2").await, come(&server, "ann", "3").await];
    assert!(server.connection("1").is_none());
    assert_eq!(server.user("ann").connection_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn on_a_full_server_the_oldest_of_the_user_makes_way_for_the_newest() {
    let server = people(END_OLDEST).max_connections(2).build().unwrap();
    let _clients = [come(&server, "ann", "1").await, come(&server, "ann", "2").await];
    let _third = come(&server, "ann", "3").await;
    assert_eq!(server.connection_count(), 2);
    assert_eq!(status(&server, "/ws?user=bob&id=4").await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_ended_connections_are_not_done_waits() {
    let (release, released) = tokio::sync::watch::channel(false);
    let builder = people(END_OLDEST).on_disconnect(move |_, _| {
        let mut released = released.clone();
        async move {
            released.wait_for(|it| *it).await.unwrap();
        }
    });
    let server = builder.build().unwrap();
    let mut clients = Vec::new();
    // Two that stay, and four for each that are ending.
    for id in 0..10 {
        clients.push(come(&server, "ann", &id.to_string()).await);
    }
    assert_eq!(status(&server, "/ws?user=ann&id=10").await, 503);
    clients.push(come(&server, "bob", "11").await);
    release.send(true).unwrap();
    drop(clients);
    settle().await;
    assert!(TestClient::connect(&server, "/ws?user=ann&id=10").await.is_ok());
}

#[test]
fn a_user_may_have_1_to_4096_connections() {
    let (option, rule) = ("max_connections_per_user", "must be at least 1 and at most 4096");
    for connections in [1, 4096] {
        assert_valid(|it| it.max_connections_per_user(connections, UserLimit::RefuseNew));
    }
    let none = |it: ServerBuilder| it.max_connections_per_user(0, UserLimit::RefuseNew);
    assert_refused(none, option, "0", rule);
    let over = |it: ServerBuilder| it.max_connections_per_user(4097, UserLimit::RefuseNew);
    assert_refused(over, option, "4097", rule);
}

#[test]
fn the_oldest_is_not_told_to_come_back() {
    let rule = "the oldest must end with 4000 to 4999, but not 4410";
    for code in [4000, 4999] {
        let limit = UserLimit::EndOldest(CloseCode::new(code).unwrap());
        assert_valid(|it| it.max_connections_per_user(1, limit));
    }
    for code in [1001, 3999, 4410] {
        let code = CloseCode::new(code).unwrap();
        let ending = |it: ServerBuilder| it.max_connections_per_user(1, UserLimit::EndOldest(code));
        assert_refused(ending, "max_connections_per_user", &format!("{code:?}"), rule);
    }
}
