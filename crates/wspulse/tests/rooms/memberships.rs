//! A connection may be in many rooms, and hears each of them while it is in it.

use wspulse::testing::{Recorder, TestClient};
use wspulse::{Admission, ConnectRequest, Connection, JoinError, Rejection, Server, ServerBuilder};

use crate::support::clients::{Client, dial, hears_nothing, numbered, numbers};
use crate::support::house::{admit, open_house};
use crate::support::stage::Stage;

/// Admits to the home room of the query's `room`, if it has one, and to those of `also`.
fn admit_to_several(request: &ConnectRequest) -> Admission {
    let admission = match request.query("room") {
        Some(room) => Admission::room(&*room),
        None => Admission::without_room(),
    };
    let also = request.query("also").unwrap_or_default();
    let also = also.split(',').filter(|room| !room.is_empty());
    admission.also_in(also).id(&*request.query("id").expect("each test names one"))
}

fn several() -> ServerBuilder {
    Server::builder_sync(|request| Ok::<_, Rejection>(admit_to_several(&request)))
}

async fn come(server: &Server, query: &str) -> (Client, Connection) {
    let id = query.split("id=").nth(1).unwrap().split('&').next().unwrap();
    let client = TestClient::connect(server, &format!("/ws?{query}")).await.expect("admitted");
    (client, server.connection(id).expect("registered before the 101"))
}

fn names(connection: &Connection) -> Vec<String> {
    connection.rooms().iter().map(|room| room.id().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_room_hears_its_broadcasts_beside_those_of_its_home_room() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    assert!(connection.join("attic").unwrap());
    assert_eq!(stage.server.broadcast("attic", numbered(1)).unwrap().reached, 1);
    connection.room().broadcast(numbered(2)).unwrap();
    assert_eq!(numbers(&mut ann, 2).await, [1, 2]);
    assert_eq!(names(&connection), ["lobby", "attic"]);
    assert_eq!((connection.room_id(), stage.server.room("attic").len()), ("lobby", 1));
    assert!(connection.is_in("attic") && connection.is_in("lobby") && !connection.is_in("cellar"));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_a_room_hears_it_no_more() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    connection.join("attic").unwrap();
    assert!(connection.leave("attic") && !connection.leave("attic"));
    assert_eq!(stage.server.broadcast("attic", numbered(1)).unwrap().reached, 0);
    hears_nothing(&mut ann).await;
    assert_eq!((names(&connection), stage.server.room_count()), (vec!["lobby".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_home_room_can_be_left_and_joined_again() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    assert!(connection.leave("lobby"));
    assert!(names(&connection).is_empty() && stage.server.room_count() == 0);
    assert_eq!(connection.room().broadcast(numbered(1)).unwrap().reached, 0);
    assert!(connection.join("lobby").unwrap());
    assert_eq!(connection.room().broadcast(numbered(2)).unwrap().reached, 1);
    assert_eq!((numbers(&mut ann, 1).await, connection.room_id()), (vec![2], "lobby"));
}

/// Ann's home room has ended without her, and another of its name has begun, in which bob is.
async fn with_a_home_room_that_began_anew(server: &Server) -> ([Client; 2], Connection) {
    let (ann, connection) = come(server, "id=ann&room=lobby").await;
    let (bob, other) = come(server, "id=bob&room=hall").await;
    assert!(connection.leave("lobby") && other.join("lobby").unwrap());
    ([ann, bob], connection)
}

#[tokio::test(start_paused = true)]
async fn the_home_room_is_listed_first_although_it_ended_and_began_anew() {
    let server = several().build().unwrap();
    let ([mut ann, _bob], connection) = with_a_home_room_that_began_anew(&server).await;
    for room in ["attic", "lobby", "cellar"] {
        connection.join(room).unwrap();
    }
    assert_eq!(names(&connection), ["lobby", "attic", "cellar"]);
    assert_eq!(connection.room().broadcast(numbered(1)).unwrap().reached, 2);
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    assert!(connection.leave("lobby") && !connection.leave("lobby"));
    assert_eq!(names(&connection), ["attic", "cellar"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_who_ends_in_a_home_room_that_began_anew() {
    let server = several().build().unwrap();
    let (_clients, connection) = with_a_home_room_that_began_anew(&server).await;
    connection.join("lobby").unwrap();
    connection.join("attic").unwrap();
    server.kick("ann").unwrap();
    assert!(names(&connection).is_empty());
    assert_eq!((server.room("lobby").len(), server.room("attic").len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn joining_a_room_twice_changes_nothing() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    assert!(connection.join("attic").unwrap());
    assert!(!connection.join("attic").unwrap() && !connection.join("lobby").unwrap());
    stage.server.broadcast("attic", numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn an_admission_may_name_several_rooms_or_none() {
    let server = several().build().unwrap();
    let (mut ann, connection) = come(&server, "id=ann&room=hall&also=attic,cellar").await;
    assert_eq!(names(&connection), ["hall", "attic", "cellar"]);
    let (mut bob, homeless) = come(&server, "id=bob").await;
    assert!(names(&homeless).is_empty() && homeless.room_id().is_empty());
    homeless.join("attic").unwrap();
    assert_eq!(server.broadcast("attic", numbered(1)).unwrap().reached, 2);
    assert_eq!((numbers(&mut ann, 1).await, numbers(&mut bob, 1).await), (vec![1], vec![1]));
    assert_eq!(server.broadcast("", numbered(2)).unwrap().reached, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_back_is_in_the_rooms_that_it_was_in() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    connection.join("attic").unwrap();
    connection.leave("lobby");
    drop(ann);
    stage.dropped().await;
    let sent = stage.server.broadcast("attic", numbered(1)).unwrap();
    assert_eq!((sent.reached, sent.suspended), (1, 1));
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    assert_eq!(names(&connection), ["attic"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_in_any_room_of_who_has_ended() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    for room in ["attic", "cellar"] {
        connection.join(room).unwrap();
    }
    stage.server.kick("ann").unwrap();
    assert_eq!((stage.server.room_count(), stage.server.rooms().len()), (0, 0));
    assert!(names(&connection).is_empty());
    let refused = connection.join("attic").unwrap_err();
    assert_eq!(refused, JoinError::Closed { room: "attic".into() });
    assert_eq!((stage.server.room_count(), connection.leave("attic")), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_in_as_many_rooms_as_it_may_and_no_more() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let mut stage = Stage::new(|builder| builder.max_rooms_per_connection(3).metrics(metrics));
    let (_ann, connection) = stage.join("ann").await;
    connection.join("attic").unwrap();
    connection.join("cellar").unwrap();
    let refused = connection.join("hall").unwrap_err();
    assert_eq!(refused, JoinError::TooManyRooms { room: "hall".into(), rooms_max: 3 });
    assert_eq!((stage.server.room("hall").len(), stage.server.room_count()), (0, 3));
    assert_eq!(recorder.only("limit_reached"), ["limit_reached max_rooms_per_connection"]);
    connection.leave("attic");
    assert!(connection.join("hall").unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_is_admitted_to_too_many_rooms_is_answered_500() {
    let server = several().max_rooms_per_connection(2).build().unwrap();
    let target = "/ws?id=ann&room=hall&also=attic,cellar";
    let refused = TestClient::connect(&server, target).await.unwrap_err();
    assert!(refused.to_string().contains("500"), "{refused}");
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_an_admission_names_twice_counts_once() {
    let server = several().max_rooms_per_connection(2).build().unwrap();
    let target = "/ws?id=ann&room=hall&also=hall,attic,attic,hall";
    let admitted = TestClient::connect(&server, target).await;
    assert!(admitted.is_ok(), "{admitted:?}");
    assert_eq!(names(&server.connection("ann").unwrap()), ["hall", "attic"]);
    assert_eq!(server.broadcast("attic", numbered(1)).unwrap().reached, 1);
    let refused = TestClient::connect(&server, "/ws?id=bob&also=hall,attic,attic,cellar").await;
    assert!(refused.unwrap_err().to_string().contains("500"));
    server.kick("ann").unwrap();
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn rooms_are_listed_with_their_members() {
    let server = open_house().build().unwrap();
    let _clients = [dial(&server, "ann").await, dial(&server, "bob").await];
    server.connection("ann").unwrap().join("attic").unwrap();
    let mut rooms: Vec<_> =
        server.rooms().iter().map(|room| (room.id().to_owned(), room.len())).collect();
    rooms.sort();
    assert_eq!(rooms, [("attic".to_owned(), 1), ("lobby".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn members_that_leave_a_large_room_leave_the_others_in_it() {
    let server = Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)));
    let server = server.build().unwrap();
    let mut clients = Vec::new();
    for n in 0..70 {
        clients.push(dial(&server, &n.to_string()).await);
        server.connection(&n.to_string()).unwrap().join("attic").unwrap();
    }
    for n in (0..70).step_by(2) {
        assert!(server.connection(&n.to_string()).unwrap().leave("attic"));
    }
    assert_eq!(server.broadcast("attic", numbered(7)).unwrap().reached, 35);
    for (n, client) in clients.iter_mut().enumerate() {
        if n % 2 == 0 {
            hears_nothing(client).await;
        } else {
            assert_eq!(numbers(client, 1).await, [7]);
        }
    }
}
