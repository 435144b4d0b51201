//! A frame may say of which room it is.

use wspulse::testing::Received;
use wspulse::{Frame, Server, ServerBuilder};

use crate::support::clients::{Client, dial};
use crate::support::house::open_house;

fn news() -> Frame {
    Frame::new("news")
}

/// A member of the lobby and of the attic.
async fn stage(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Client) {
    let server = configure(open_house()).build().unwrap();
    let client = dial(&server, "ann").await;
    server.connection("ann").unwrap().join("attic").unwrap();
    (server, client)
}

async fn heard(client: &mut Client) -> String {
    let received = client.receive().await.unwrap();
    let Received::Message(_, text) = received else { panic!("{received:?} came") };
    String::from_utf8(text.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_a_room_says_to_which_if_it_is_to() {
    let (server, mut ann) = stage(|builder| builder.name_rooms(true)).await;
    server.broadcast("attic", news()).unwrap();
    assert_eq!(heard(&mut ann).await, r#"{"event":"news","room":"attic"}"#);
    server.connection("ann").unwrap().room().broadcast(news()).unwrap();
    assert_eq!(heard(&mut ann).await, r#"{"event":"news","room":"lobby"}"#);
    server.to(["attic"]).broadcast(news()).unwrap();
    assert_eq!(heard(&mut ann).await, r#"{"event":"news","room":"attic"}"#);
}

#[tokio::test(start_paused = true)]
async fn what_is_of_no_room_or_of_several_names_none() {
    let (server, mut ann) = stage(|builder| builder.name_rooms(true)).await;
    server.send("ann", news()).unwrap();
    server.broadcast_all(news()).unwrap();
    server.to(["attic", "lobby"]).broadcast(news()).unwrap();
    for _ in 0..3 {
        assert_eq!(heard(&mut ann).await, r#"{"event":"news"}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_no_frame_names_its_room() {
    let (server, mut ann) = stage(|builder| builder).await;
    server.broadcast("attic", news()).unwrap();
    server.to(["attic"]).broadcast(news()).unwrap();
    for _ in 0..2 {
        assert_eq!(heard(&mut ann).await, r#"{"event":"news"}"#);
    }
}
