//! Ids are taken, given up and fought for: one wins, and nothing is left behind.

use std::time::Duration;

use shuttle::thread;

use super::hooks::Hooks;
use super::stage::{Client, Received, advance, close, connection, explore, frame, join, server};
use crate::app::server::Server;
use crate::{ConnectionState, Disconnect};

/// Shorter than a heartbeat's interval.
const WINDOW: Duration = Duration::from_secs(5);

#[test]
fn of_two_clients_with_one_id_one_stays() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let rivals = [(); 2].map(|()| {
            let server = server.clone();
            thread::spawn(move || join(&server, "room", "ann").expect("the server is open"))
        });
        let clients: Vec<Client> =
            rivals.into_iter().map(|rival| rival.join().expect("no panic")).collect();
        assert_eq!((server.connection_count(), server.room("room").len()), (1, 1));
        connection(&server, "ann").send(frame("a1")).expect("there is room");
        close(&server);
        let mut received: Vec<_> = clients.iter().map(Client::wait_for_end).collect();
        received.sort_by_key(Vec::len);
        let [loser, winner] = &received[..] else { unreachable!("two clients") };
        assert_eq!(loser, &[Received::Close(1000)]);
        assert_eq!(winner, &[Received::Frame("a1".to_owned()), Received::Close(1001)]);
        let told = [
            "room created",
            "ann opened",
            "ann closed: duplicate",
            "ann opened",
            "ann closed: server_close",
            "room destroyed",
        ];
        // The second is in before the first is out, so that the room is not made anew.
        assert_eq!(hooks.told(), told);
    });
}

#[test]
fn of_several_ends_one_counts() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let client = join(&server, "room", "ann").expect("the server is open");
        let contender = |end: fn(&Server) -> bool| {
            let server = server.clone();
            thread::spawn(move || end(&server))
        };
        let connection = connection(&server, "ann");
        let kick = contender(|server| server.kick("ann").is_ok());
        let another_kick = contender(|server| server.kick("ann").is_ok());
        let was_closed = server.end(connection.shared(), Disconnect::Closed);
        assert_eq!(connection.state(), ConnectionState::Closed);
        assert_eq!(server.connection_count(), 0);
        // Who has ended it has left its room as well when that returns.
        assert!(!was_closed || server.room_count() == 0);
        let ends = [kick, another_kick].map(|end| end.join().expect("no panic"));
        assert_eq!(server.room_count(), 0);
        let winners = ends.into_iter().chain([was_closed]).filter(|won| *won).count();
        assert_eq!(winners, 1);
        close(&server);
        assert_eq!(client.wait_for_end(), [Received::Close(1000)]);
        let closed = if was_closed { "ann closed: normal" } else { "ann closed: kick" };
        assert_eq!(hooks.told(), ["room created", "ann opened", closed, "room destroyed"]);
    });
}

#[test]
fn a_return_at_the_end_of_the_resume_window_is_a_resumption_or_a_new_connection() {
    explore(|| {
        let server = server(|builder| builder.resume_window(WINDOW));
        let first = join(&server, "room", "ann").expect("the server is open");
        let old = connection(&server, "ann");
        first.hang_up();
        first.wait_for_end();
        let expiry = thread::spawn(|| advance(WINDOW));
        let second = join(&server, "room", "ann").expect("the server is open");
        expiry.join().expect("no panic");
        // Whatever came first, who has returned is there and is heard.
        let now = connection(&server, "ann");
        now.send(frame("a1")).expect("there is room");
        assert_eq!(second.wait_for_frames(1), ["a1"]);
        assert_eq!(now == old, old.state() != ConnectionState::Closed);
        close(&server);
    });
}

#[test]
fn nothing_is_left_of_connections_that_came_and_went_together() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let comers = ["ann", "bob"].map(|id| {
            let server = server.clone();
            thread::spawn(move || {
                let client = join(&server, "room", id).expect("the server is open");
                server.kick(id).expect("it is there");
                client.wait_for_end();
            })
        });
        comers.into_iter().for_each(|comer| comer.join().expect("no panic"));
        assert_eq!((server.connection_count(), server.room_count()), (0, 0));
        close(&server);
        let told = hooks.told();
        let created = told.iter().filter(|event| *event == "room created").count();
        let destroyed = told.iter().filter(|event| *event == "room destroyed").count();
        assert_eq!((created, told.len()), (destroyed, 4 + 2 * created), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("room destroyed"), "{told:?}");
        drop(server);
        assert!(hooks.are_free(), "something holds on to the server");
    });
}
