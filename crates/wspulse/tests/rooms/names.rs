//! A name of a room, a user or a connection may be any text, owned, borrowed or shared.

use std::borrow::Cow;
use std::sync::Arc;

use wspulse::testing::TestClient;
use wspulse::{Admission, Frame, Rejection, Server};

use crate::support::clock::settle;

fn server(names: &[String; 3]) -> Server {
    let [room, user, id] = names.clone();
    let protocol = "chat".to_owned();
    let admit = move |_| {
        let rooms = vec![format!("{room}-2"), format!("{room}-3")];
        let admission = Admission::room(&room).also_in(&rooms).user(&user).id(&id);
        Ok::<_, Rejection>(admission.protocol(&protocol))
    };
    Server::builder_sync(admit).build().expect("valid options")
}

#[tokio::test(start_paused = true)]
async fn a_borrowed_string_names_whatever_has_a_name() {
    let names = ["lobby", "ann", "ann/1"].map(str::to_owned);
    let server = server(&names);
    let [room, user, id] = names;
    let mut client = TestClient::connect(&server, "/ws").await.expect("admitted");
    settle().await;
    let connection = server.connection(&id).expect("it is there");
    assert_eq!((server.room(&room).len(), server.user(&user).connection_count()), (1, 1));
    let rooms = vec![room, "lobby-2".to_owned()];
    let sent = server.to(&rooms).and_user(&user).broadcast(Frame::new("all")).unwrap();
    assert_eq!(sent.reached, 1);
    assert_eq!(client.frame().await.unwrap().event(), "all");
    for audience in [server.to(&rooms).except_room(&rooms[1]), server.to(&rooms).except_user(&user)]
    {
        assert_eq!(audience.broadcast(Frame::new("none")).unwrap().reached, 0);
    }
    assert!(connection.is_in(&rooms[1]));
}

#[test]
fn an_event_that_the_server_sends_by_itself_is_named_by_a_borrowed_string_too() {
    let names = ["session", "presence", "history", "answer", "failure"].map(str::to_owned);
    let [session, presence, history, reply, error] = &names;
    let builder = Server::builder_without_connect().session_event(session);
    let builder = builder.presence_event(presence).history_event(history);
    assert!(builder.reply_events(reply, error).build().is_ok());
}

#[test]
fn so_does_text_of_any_other_kind() {
    let server = Server::builder_without_connect().build().expect("valid options");
    let (owned, shared) = ("lobby".to_owned(), Arc::<str>::from("lobby"));
    let rooms = [
        server.room("lobby"),
        server.room(&owned),
        server.room(owned),
        server.room(Box::<str>::from("lobby")),
        server.room(Cow::Borrowed("lobby")),
        server.room(&shared),
        server.room(shared),
    ];
    assert!(rooms.iter().all(|room| room.id() == "lobby"));
}
