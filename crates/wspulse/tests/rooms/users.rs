//! A user is one person with many connections.

use wspulse::testing::TestClient;
use wspulse::{Admission, CloseCode, CloseFrame, Rejection, Server, ServerBuilder};

use crate::support::clients::{Client, close_frame, hears_nothing, numbered, numbers};
use crate::support::clock::WINDOW;

/// Admits the query's `user` under its `id`.
fn people() -> ServerBuilder {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        let admission = Admission::room("lobby").id(&*id);
        Ok(match request.query("user") {
            Some(user) => admission.user(&*user),
            None => admission,
        })
    })
    .resume_window(WINDOW)
}

async fn come(server: &Server, user: &str, id: &str) -> Client {
    let target = format!("/ws?user={user}&id={id}");
    TestClient::connect(server, &target).await.expect("admitted")
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_to_a_user_reaches_all_connections_of_the_user() {
    let server = people().build().unwrap();
    let (mut phone, mut tab) = (come(&server, "ann", "1").await, come(&server, "ann", "2").await);
    let mut other = come(&server, "bob", "3").await;
    let sent = server.user("ann").send(numbered(1)).unwrap();
    assert_eq!((sent.reached, sent.suspended, sent.dropped), (2, 0, 0));
    assert_eq!((numbers(&mut phone, 1).await, numbers(&mut tab, 1).await), (vec![1], vec![1]));
    hears_nothing(&mut other).await;
    assert_eq!((server.user("ann").connection_count(), server.user_count()), (2, 2));
    assert_eq!(server.connection("1").unwrap().user_id(), Some("ann"));
    // A user is no room.
    assert_eq!((server.room_count(), server.room("ann").len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_user_is_online_while_one_connection_is_connected() {
    let server = people().build().unwrap();
    let ann = server.user("ann");
    assert!(!ann.is_online());
    let (phone, tab) = (come(&server, "ann", "1").await, come(&server, "ann", "2").await);
    drop(phone);
    crate::support::clock::settle().await;
    assert!(ann.is_online());
    drop(tab);
    crate::support::clock::settle().await;
    assert!(!ann.is_online());
    let sent = ann.send(numbered(1)).unwrap();
    assert_eq!((sent.reached, sent.suspended), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_user_can_be_kicked_from_all_devices() {
    let server = people().build().unwrap();
    let mut clients = [come(&server, "ann", "1").await, come(&server, "ann", "2").await];
    let _bob = come(&server, "bob", "3").await;
    let code = CloseCode::new(4003).unwrap();
    assert_eq!(server.user("ann").kick_with(code, "banned"), 2);
    assert_eq!((server.connection_count(), server.user_count()), (1, 1));
    for client in &mut clients {
        assert_eq!(close_frame(client).await, Some(CloseFrame::new(code, "banned")));
    }
    assert_eq!(server.user("ann").kick(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_user_is_refused_and_the_session_goes_on() {
    let server = people().build().unwrap();
    let mut ann = come(&server, "ann", "x").await;
    for target in ["/ws?user=eve&id=x", "/ws?id=x"] {
        let refused = TestClient::connect(&server, target).await.unwrap_err();
        assert!(refused.to_string().contains("403"), "{refused}");
    }
    server.send("x", numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_no_user_is_not_given_to_one() {
    let server = people().build().unwrap();
    drop(TestClient::connect(&server, "/ws?id=x").await.unwrap());
    crate::support::clock::settle().await;
    let refused = TestClient::connect(&server, "/ws?user=eve&id=x").await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    assert!(TestClient::connect(&server, "/ws?id=x").await.is_ok());
}
