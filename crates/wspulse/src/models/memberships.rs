//! Connections join and leave rooms, while others broadcast to them, end them or close the server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::sync::atomic::{AtomicBool, AtomicUsize};
use shuttle::thread;

use super::hooks::Hooks;
use super::stage::{Client, admit, close, connection, explore, frame, join, server};
use crate::app::server::Server;
use crate::settings::connect::Admission;
use crate::settings::error::JoinError;

/// How far a member has got that joins a room and leaves it again.
const HAS_JOINED: usize = 1;
const LEAVES: usize = 2;
const HAS_LEFT: usize = 3;

fn enter_all(server: &Server, id: &str, rooms: &[&str]) -> Client {
    let client = admit(server, Admission::without_room().id(id)).expect("the server is open");
    for room in rooms {
        connection(server, id).join(room).expect("it is there");
    }
    client
}

/// Every room that was there is over.
fn assert_nothing_is_left(server: &Server, hooks: &Hooks) {
    assert_eq!((server.room_count(), server.user_count()), (0, 0));
    let told = hooks.told();
    let count = |what: &str| told.iter().filter(|event| event.ends_with(what)).count();
    assert_eq!(count("created"), count("destroyed"), "{told:?}");
}

#[test]
fn a_broadcast_reaches_who_has_joined_before_and_nobody_who_has_left_before() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "home", "bob").expect("the server is open");
        let progress = Arc::new(AtomicUsize::new(0));
        let member = {
            let (progress, bob) = (Arc::clone(&progress), connection(&server, "bob"));
            thread::spawn(move || {
                assert_eq!(bob.join("attic"), Ok(true));
                progress.store(HAS_JOINED, Ordering::SeqCst);
                progress.store(LEAVES, Ordering::SeqCst);
                assert!(bob.leave("attic"));
                progress.store(HAS_LEFT, Ordering::SeqCst);
            })
        };
        let before = progress.load(Ordering::SeqCst);
        let reached = server.broadcast("attic", frame("a1")).expect("the server is open").reached;
        let after = progress.load(Ordering::SeqCst);
        assert!(reached == 1 || before < HAS_JOINED || after >= LEAVES, "joined, and missed it");
        assert!(reached == 0 || before < HAS_LEFT, "left before, and got it");
        member.join().expect("no panic");
        assert_eq!(client.wait_for_frames(reached).len(), reached);
        assert_eq!((server.room("attic").len(), server.room_count()), (0, 1));
        close(&server);
    });
}

#[test]
fn nothing_is_left_in_any_room_of_who_ends_while_it_joins() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let client = join(&server, "home", "bob").expect("the server is open");
        let bob = connection(&server, "bob");
        let joiner = {
            let bob = bob.clone();
            thread::spawn(move || bob.join("attic"))
        };
        let speaker = {
            let server = server.clone();
            thread::spawn(move || server.broadcast("attic", frame("a1")).expect("it is open"))
        };
        server.kick("bob").expect("it is there");
        assert!(bob.rooms().is_empty(), "it has ended");
        let joined = joiner.join().expect("no panic");
        let closed = JoinError::Closed { room: "attic".to_owned() };
        assert!(joined == Ok(true) || joined == Err(closed), "{joined:?}");
        let reached = speaker.join().expect("no panic").reached;
        assert_eq!(bob.outbound_stats().accepted, reached as u64);
        client.wait_for_end();
        assert_eq!(client.frames().len(), reached);
        assert_nothing_is_left(&server, &hooks);
        close(&server);
    });
}

#[test]
fn nothing_is_left_in_any_room_of_who_joins_while_the_server_closes() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let client = join(&server, "home", "bob").expect("the server is open");
        let bob = connection(&server, "bob");
        let joiner = thread::spawn(move || {
            let joined = bob.join("attic");
            (bob.join("cellar"), joined)
        });
        close(&server);
        client.wait_for_end();
        let _either = joiner.join().expect("no panic");
        assert_nothing_is_left(&server, &hooks);
        drop(server);
        assert!(hooks.are_free(), "something holds on to the server");
    });
}

#[test]
fn audiences_that_name_rooms_in_another_order_have_one_order_for_all() {
    explore(|| {
        let server = server(|builder| builder);
        let clients = [("ann", &["a", "b"][..]), ("bob", &["a"]), ("cid", &["b"])]
            .map(|(id, rooms)| enter_all(&server, id, rooms));
        let speakers = [("a1", ["a", "b"]), ("b1", ["b", "a"])].map(|(event, rooms)| {
            let server = server.clone();
            thread::spawn(move || {
                let reached = server.to(rooms).broadcast(frame(event)).expect("it is open").reached;
                assert_eq!(reached, 3, "each once");
            })
        });
        let joiner = {
            let server = server.clone();
            thread::spawn(move || {
                connection(&server, "bob").join("b").expect("it is there");
            })
        };
        let [ann, bob, cid] = clients.map(|client| client.wait_for_frames(2));
        assert!(ann == bob && ann == cid, "{ann:?}, {bob:?}, {cid:?}");
        speakers.into_iter().chain([joiner]).for_each(|thread| thread.join().expect("no panic"));
        close(&server);
    });
}

#[test]
fn a_user_is_there_from_its_first_connection_to_its_last() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let come = |id: &str| {
            let admission = Admission::without_room().user("ann").id(id);
            admit(&server, admission).expect("the server is open")
        };
        let first = come("1");
        let ender = {
            let server = server.clone();
            thread::spawn(move || server.kick("1").expect("it is there"))
        };
        let speaker = {
            let server = server.clone();
            thread::spawn(move || server.user("ann").send(frame("a1")).expect("it is open"))
        };
        let second = come("2");
        let must_come = server.user("ann").send(frame("a2")).expect("the server is open");
        assert!((1..=2).contains(&must_come.reached), "the second has come");
        ender.join().expect("no panic");
        speaker.join().expect("no panic");
        let left = server.user("ann").connections();
        assert_eq!((left.len(), server.user_count()), (1, 1));
        assert_eq!(left[0].id(), "2");
        first.wait_for_end();
        let accepted = left[0].outbound_stats().accepted;
        let heard = second.wait_for_frames(usize::try_from(accepted).expect("few"));
        assert!(heard.contains(&"a2".to_owned()), "{heard:?}");
        assert_eq!(server.user("ann").kick(), 1);
        assert_nothing_is_left(&server, &hooks);
        close(&server);
    });
}

#[test]
fn who_is_told_of_its_end_is_in_no_room() {
    explore(|| {
        let hooks = Hooks::default();
        let told = hooks.clone();
        let server = server(|builder| {
            let builder = builder.metrics(hooks.clone()).on_leave(|conn, room| {
                assert!(!conn.is_in(room.id()) && conn.rooms().is_empty(), "it has ended");
            });
            builder.on_disconnect(move |conn, _| {
                let server = conn.server();
                let is_left = conn.rooms().is_empty() && server.room("home").is_empty();
                told.note(format!("told, {}", if is_left { "left" } else { "in a room" }));
            })
        });
        let client = join(&server, "home", "bob").expect("the server is open");
        let joiner = {
            let bob = connection(&server, "bob");
            thread::spawn(move || bob.join("attic"))
        };
        server.kick("bob").expect("it is there");
        client.wait_for_end();
        let _either = joiner.join().expect("no panic");
        close(&server);
        let told = hooks.told();
        assert!(told.iter().any(|event| event == "told, left"), "{told:?}");
        let place = |event: &str| told.iter().position(|it| it == event);
        assert!(place("bob closed: kick") < place("home destroyed"), "{told:?}");
    });
}

#[test]
fn who_ends_while_it_joins_has_each_broadcast_that_has_reached_it() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let client = join(&server, "home", "bob").expect("the server is open");
        let bob = connection(&server, "bob");
        let joiner = {
            let bob = bob.clone();
            thread::spawn(move || bob.join("attic"))
        };
        let speaker = {
            let server = server.clone();
            thread::spawn(move || server.broadcast("attic", frame("a1")).expect("it is open"))
        };
        server.kick("bob").expect("it is there");
        let joined = joiner.join().expect("no panic");
        assert!(matches!(joined, Ok(true) | Err(JoinError::Closed { .. })), "{joined:?}");
        let reached = speaker.join().expect("no panic").reached;
        assert!(reached == 0 || joined.is_ok(), "it was never there");
        client.wait_for_end();
        assert_eq!(client.frames().len(), reached);
        assert_eq!(bob.outbound_stats().sent, reached as u64);
        assert_nothing_is_left(&server, &hooks);
        close(&server);
    });
}

/// Whose end is told to everybody, as applications do it. A panic in it is caught, as that of a lock
/// which its thread holds already: so it says whether it is done.
struct Farewell {
    server: Server,
    is_done: Arc<AtomicBool>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.server.broadcast_all(frame("gone"));
        self.is_done.store(true, Ordering::SeqCst);
    }
}

#[test]
fn the_data_of_who_has_ended_may_broadcast_to_all_when_they_are_dropped() {
    explore(|| {
        let server = server(|builder| builder);
        let is_done = Arc::new(AtomicBool::new(false));
        let farewell = Farewell { server: server.clone(), is_done: Arc::clone(&is_done) };
        let admission = Admission::room("room").id("ann").data(farewell);
        let client = admit(&server, admission).expect("the server is open");
        let speaker = {
            let server = server.clone();
            thread::spawn(move || drop(server.broadcast_all(frame("a1"))))
        };
        server.kick("ann").expect("it is there");
        client.wait_for_end();
        speaker.join().expect("no panic");
        close(&server);
        assert!(is_done.load(Ordering::SeqCst), "it waits for itself");
    });
}
