//! A broadcast to several rooms reaches each connection once.

use wspulse::testing::TestClient;
use wspulse::{Admission, BroadcastError, Frame, Rejection, Server};

use crate::support::clients::{Client, hears_nothing, numbered, numbers};

/// Clients by id, each in the rooms that are named after the user.
async fn stage(people: &[(&str, &[&str])]) -> (Server, Vec<Client>) {
    let server = Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok::<_, Rejection>(Admission::without_room().user(&*id).id(&*id))
    });
    let server = server.build().unwrap();
    let mut clients = Vec::new();
    for (id, rooms) in people {
        clients.push(TestClient::connect(&server, &format!("/ws?id={id}")).await.unwrap());
        for room in *rooms {
            server.connection(id).unwrap().join(room).unwrap();
        }
    }
    (server, clients)
}

#[tokio::test(start_paused = true)]
async fn who_is_in_several_rooms_of_an_audience_hears_it_once() {
    let people: [(&str, &[&str]); 4] =
        [("ann", &["a", "b"]), ("bob", &["b"]), ("cid", &["a", "c"]), ("dan", &["c"])];
    let (server, mut clients) = stage(&people).await;
    let sent = server.to(["a", "b", "a", "nowhere"]).and_user("bob").broadcast(numbered(1));
    assert_eq!(sent.unwrap().reached, 3);
    for client in &mut clients[..3] {
        assert_eq!(numbers(client, 1).await, [1]);
        hears_nothing(client).await;
    }
    hears_nothing(&mut clients[3]).await;
}

#[tokio::test(start_paused = true)]
async fn connections_rooms_and_users_can_be_left_out() {
    let people: [(&str, &[&str]); 4] =
        [("ann", &["a"]), ("bob", &["a", "muted"]), ("cid", &["a"]), ("dan", &["a"])];
    let (server, mut clients) = stage(&people).await;
    let ann = server.connection("ann").unwrap();
    let audience = server.to(["a"]).except(&ann).except_room("muted").except_user("cid");
    assert_eq!(audience.broadcast(numbered(1)).unwrap().reached, 1);
    assert_eq!(numbers(&mut clients[3], 1).await, [1]);
    for client in &mut clients[..3] {
        hears_nothing(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_all_reaches_everybody() {
    let (server, mut clients) = stage(&[("ann", &["a"]), ("bob", &[])]).await;
    assert_eq!(server.broadcast_all(numbered(1)).unwrap().reached, 2);
    for client in &mut clients {
        assert_eq!(numbers(client, 1).await, [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_audience_of_a_closed_server_gets_its_frame_back() {
    let (server, _clients) = stage(&[("ann", &["a"])]).await;
    server.close().await;
    let refused = server.to(["a"]).broadcast(Frame::new("late")).unwrap_err();
    assert!(matches!(refused, BroadcastError::ServerClosed { .. }), "{refused}");
    let refused = server.broadcast_all(Frame::new("late")).unwrap_err();
    assert_eq!(refused.into_frame().event(), "late");
}
