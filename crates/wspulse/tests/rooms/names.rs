//! A name of a room, a user or a connection may be any text, owned, borrowed or shared.

use std::borrow::Cow;
use std::sync::Arc;

use wspulse::testing::TestClient;
use wspulse::{Admission, Frame, Rejection, Server};

use crate::support::clock::settle;

fn server(room: &String, user: &String, id: &String) -> Server {
    let (room, user, id) = (room.clone(), user.clone(), id.clone());
    let admit = move |_| {
        let rooms = vec![format!("{room}-2"), format!("{room}-3")];
        let admission = Admission::room(&room).also_in(&rooms).user(&user).id(&id);
        Ok::<_, Rejection>(admission.protocol(&"chat".to_owned()))
    };
    Server::builder_sync(admit).build().expect("valid options")
}

#[tokio::test(start_paused = true)]
async fn a_borrowed_string_names_whatever_has_a_name() {
    let [room, user, id] = ["lobby", "ann", "ann/1"].map(str::to_owned);
    let server = server(&room, &user, &id);
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
fn so_does_text_of_any_other_kind() {
    let server = Server::builder_without_connect().build().expect("valid options");
    let shared: Arc<str> = "lobby".into();
    let rooms = [
        server.room("lobby"),
        server.room("lobby".to_owned()),
        server.room(Box::<str>::from("lobby")),
        server.room(Cow::Borrowed("lobby")),
        server.room(&shared),
        server.room(shared),
    ];
    assert!(rooms.iter().all(|room| room.id() == "lobby"));
}
