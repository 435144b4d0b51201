//! The server closes while clients come, go and are sent to.

use shuttle::thread;

use super::hooks::Hooks;
use super::stage::{Received, close, connection, explore, frame, join, server};

#[test]
fn who_comes_while_the_server_closes_is_refused_or_told() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| {
            let callbacks = hooks.clone();
            builder
                .metrics(hooks.clone())
                .on_disconnect(move |own, _end| callbacks.note(format!("{} called", own.id())))
        });
        let comer = {
            let server = server.clone();
            thread::spawn(move || join(&server, "room", "ann"))
        };
        close(&server);
        assert_eq!((server.connection_count(), server.room_count()), (0, 0));
        // The server has closed: all that there was to say is said by now.
        let mut told = hooks.told();
        told.sort();
        match comer.join().expect("no panic") {
            Ok(client) => {
                let closed = "ann closed: server_close";
                let all = ["ann called", closed, "ann opened", "room created", "room destroyed"];
                assert_eq!(told, all);
                assert_eq!(client.wait_for_end(), [Received::Close(1001)]);
            }
            Err(_refused) => assert!(told.is_empty(), "{told:?}"),
        }
        assert!(join(&server, "room", "bob").is_err());
    });
}

#[test]
fn hooks_of_an_end_by_another_thread_have_returned_when_the_server_has_closed() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let client = join(&server, "room", "ann").expect("the server is open");
        let kicker = {
            let server = server.clone();
            thread::spawn(move || server.kick("ann").is_ok())
        };
        close(&server);
        let told = hooks.told();
        let was_kicked = kicker.join().expect("no panic");
        let closed = if was_kicked { "ann closed: kick" } else { "ann closed: server_close" };
        assert_eq!(told, ["room created", "ann opened", closed, "room destroyed"]);
        client.wait_for_end();
    });
}

#[test]
fn what_was_accepted_before_the_shutdown_is_written_before_its_close_frame() {
    explore(|| {
        let server = server(|builder| builder);
        let clients = ["ann", "bob"].map(|id| join(&server, "room", id).expect("it is open"));
        let speaker = {
            let server = server.clone();
            thread::spawn(move || server.broadcast("room", frame("a1")).is_ok())
        };
        let connections = ["ann", "bob"].map(|id| connection(&server, id));
        close(&server);
        speaker.join().expect("no panic");
        for (client, connection) in clients.into_iter().zip(connections) {
            let received = client.wait_for_end();
            let accepted = connection.outbound_stats().accepted;
            assert_eq!(received.len() as u64, accepted + 1, "{received:?}");
            assert_eq!(received.last(), Some(&Received::Close(1001)));
        }
    });
}

#[test]
fn all_who_close_the_server_wait_for_the_same_end() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "ann").expect("the server is open");
        let closers = [(); 2].map(|()| {
            let server = server.clone();
            thread::spawn(move || close(&server))
        });
        for closer in closers {
            closer.join().expect("no panic");
            assert_eq!(server.connection_count(), 0);
        }
        assert_eq!(client.wait_for_end(), [Received::Close(1001)]);
    });
}
