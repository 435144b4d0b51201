//! Members come, lose their transports and end while others hear who is there.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::Mutex;
use shuttle::thread;

use super::stage::{advance, close, connection, explore, join, server};
use crate::app::server::Server;
use crate::{PresenceState, RoomOptions, ServerBuilder};

/// What was told of a room: its last sequence, and who is there after it.
#[derive(Default)]
struct Heard {
    sequence: u64,
    people: Vec<(String, PresenceState)>,
}

fn hearing(builder: ServerBuilder) -> (ServerBuilder, Arc<Mutex<Heard>>) {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let hears = Arc::clone(&heard);
    let builder = builder
        .resume_window(Duration::from_mins(1))
        .room_options(|_| RoomOptions::new().presence())
        .on_presence(move |_, changes| {
            let mut heard = hears.lock().expect("no panic before");
            for person in changes.people {
                let id = person.id.as_str().to_owned();
                let before = heard.people.iter().position(|(known, _)| *known == id);
                let before = before.map(|place| heard.people.remove(place).1);
                assert_ne!(before, Some(person.state), "it was told before");
                match person.state {
                    PresenceState::Gone => assert!(before.is_some(), "{id} was never there"),
                    PresenceState::Here | PresenceState::Away => {
                        heard.people.push((id, person.state));
                    }
                }
            }
            heard.sequence = changes.sequence;
        });
    (builder, heard)
}

/// Lets the task that tells go on until it has nothing to tell.
fn fold(server: &Server) {
    while server.folding().is_busy() {
        advance(Duration::from_millis(50));
        thread::yield_now();
    }
}

/// Whether it was told that somebody is there with a transport.
fn is_here(server: &Server, id: &str) -> bool {
    let snapshot = server.room("room").presence().expect("it has one");
    snapshot.people.iter().any(|it| it.id.as_str() == id && it.state == PresenceState::Here)
}

#[test]
fn whatever_becomes_of_a_member_is_told_in_the_end() {
    explore(|| {
        let mut told = None;
        let server = server(|builder| {
            let (builder, heard) = hearing(builder);
            told = Some(heard);
            builder
        });
        let told = told.expect("the server is built");
        let client = join(&server, "room", "ann").expect("the server is open");
        let _bob = join(&server, "room", "bob").expect("the server is open");
        let bob = connection(&server, "bob");
        let leaver = thread::spawn(move || client.hang_up());
        let mover = thread::spawn(move || {
            bob.leave("room");
            bob.join("room").expect("it has not ended");
        });
        fold(&server);
        leaver.join().expect("no panic");
        mover.join().expect("no panic");
        fold(&server);
        // The task of the one who hung up may have it still to notice, and to tell.
        while is_here(&server, "ann") {
            fold(&server);
            thread::yield_now();
        }
        let snapshot = server.room("room").presence().expect("it has one");
        let people: Vec<_> =
            snapshot.people.iter().map(|it| (it.id.as_str().to_owned(), it.state)).collect();
        let (ann, bob) = ("ann".to_owned(), "bob".to_owned());
        assert_eq!(people, [(ann, PresenceState::Away), (bob, PresenceState::Here)]);
        {
            let mut heard = told.lock().expect("no panic before");
            heard.people.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!((heard.sequence, &heard.people), (snapshot.sequence, &people));
        }
        close(&server);
    });
}

#[test]
fn a_member_that_ends_while_its_server_closes_is_no_ghost() {
    explore(|| {
        let mut told = None;
        let server = server(|builder| {
            let (builder, heard) = hearing(builder);
            told = Some(heard);
            builder
        });
        let told = told.expect("the server is built");
        let _ann = join(&server, "room", "ann").expect("the server is open");
        fold(&server);
        let kicker = {
            let server = server.clone();
            thread::spawn(move || drop(server.kick("ann")))
        };
        close(&server);
        kicker.join().expect("no panic");
        close(&server);
        assert_eq!(told.lock().expect("no panic before").people, []);
        assert!(!server.folding().is_busy());
    });
}

#[test]
fn a_room_that_begins_anew_while_somebody_enters_it_keeps_who_is_there() {
    explore(|| {
        let server = server(|builder| hearing(builder).0);
        let ann = join(&server, "room", "ann").expect("the server is open");
        let leaver = {
            let server = server.clone();
            thread::spawn(move || connection(&server, "ann").leave("room"))
        };
        let bob = join(&server, "room", "bob").expect("the server is open");
        leaver.join().expect("no panic");
        server.room("room").presence().expect("the rule says so");
        fold(&server);
        close(&server);
        ann.wait_for_end();
        bob.wait_for_end();
    });
}
