//! Somebody begins and ceases to look while frames pass and while the connection ends: what is told is
//! in order, and nobody waits for ever.

use shuttle::thread;

use super::stage::{Client, close, connection, explore, frame, join, join_with_capacity, server};
use crate::{Connection, Direction, Frame, Server, Tap};

/// Ann, who takes so many bytes at first, in a room that is large enough for others to write for her.
fn ann_in_a_large_room(server: &Server, bytes: usize) -> (Client, [Client; 2]) {
    let others = ["bob", "eve"].map(|id| join(server, "room", id).expect("the server is open"));
    (join_with_capacity(server, "room", "ann", bytes).expect("the server is open"), others)
}

/// Broadcasts these from another thread.
fn broadcast(server: &Server, events: &'static [&'static str]) -> thread::JoinHandle<()> {
    let server = server.clone();
    thread::spawn(move || {
        for event in events {
            let _ = server.broadcast("room", frame(event));
        }
    })
}

/// What is seen until the connection has ended, which way it went and its event.
fn see_all(mut tap: Tap) -> Vec<(Direction, String)> {
    let mut seen = Vec::new();
    while let Some(message) = shuttle::future::block_on(tap.next()) {
        assert_eq!(message.left_out(), 0, "there is room for all");
        let frame = message.decode().expect("all are frames");
        seen.push((message.direction(), frame.event().to_owned()));
    }
    seen
}

fn to_client(frames: &[String]) -> Vec<(Direction, String)> {
    frames.iter().map(|event| (Direction::ToClient, event.clone())).collect()
}

/// Begins to look, and ceases, from another thread.
fn glance(connection: &Connection) -> thread::JoinHandle<()> {
    let connection = connection.clone();
    thread::spawn(move || {
        let mut tap = connection.tap(8);
        let _ = tap.try_next();
    })
}

/// Ann, who takes so many bytes at first, is watched from the beginning while another comes to look
/// and goes.
fn watch_beside_a_glance(bytes: usize) {
    let server = server(|builder| builder);
    let (ann, _others) = ann_in_a_large_room(&server, bytes);
    let conn = connection(&server, "ann");
    let tap = conn.tap_sent(8);
    let (broadcaster, glancer) = (broadcast(&server, &["a1"]), glance(&conn));
    conn.send(frame("b1")).expect("there is room");
    ann.drain();
    let frames = ann.wait_for_frames(2);
    broadcaster.join().expect("no panic");
    glancer.join().expect("no panic");
    close(&server);
    assert_eq!(see_all(tap), to_client(&frames));
}

#[test]
fn who_looks_sees_all_in_order_while_another_comes_to_look_and_goes() {
    explore(|| watch_beside_a_glance(usize::MAX));
}

#[test]
fn who_looks_sees_all_in_order_that_a_socket_takes_in_pieces() {
    explore(|| watch_beside_a_glance(20));
}

#[test]
fn who_begins_to_look_while_frames_pass_sees_all_from_one_of_them_on() {
    explore(|| {
        let server = server(|builder| builder);
        let (ann, _others) = ann_in_a_large_room(&server, usize::MAX);
        let conn = connection(&server, "ann");
        let broadcaster = broadcast(&server, &["a1", "a2"]);
        let tap = conn.tap_sent(8);
        // From now on nothing may be missed.
        conn.send(frame("b1")).expect("there is room");
        let frames = ann.wait_for_frames(3);
        broadcaster.join().expect("no panic");
        close(&server);
        let seen = see_all(tap);
        assert!(to_client(&frames).ends_with(&seen), "{seen:?} of {frames:?}");
        let own = frames.iter().position(|event| event == "b1").expect("it has come");
        assert!(seen.len() >= frames.len() - own, "{seen:?} of {frames:?}");
    });
}

#[test]
fn who_looks_is_told_of_the_end_although_it_comes_meanwhile() {
    explore(|| {
        let server = server(|builder| builder);
        let (ann, _others) = ann_in_a_large_room(&server, usize::MAX);
        let conn = connection(&server, "ann");
        let broadcaster = broadcast(&server, &["a1"]);
        let looking = {
            let conn = conn.clone();
            thread::spawn(move || see_all(conn.tap(8)))
        };
        server.kick("ann").expect("it is there");
        ann.wait_for_end();
        let seen = looking.join().expect("no panic");
        broadcaster.join().expect("no panic");
        let frames = ann.frames();
        // Who looks too late sees nothing.
        assert!(to_client(&frames).ends_with(&seen), "{seen:?} of {frames:?}");
        assert_eq!(see_all(conn.tap(8)), []);
        close(&server);
    });
}

#[test]
fn what_clients_say_is_seen_in_the_order_in_which_it_comes() {
    explore(|| {
        let server = server(|builder| {
            builder.on_message(|conn: Connection, frame: Frame| drop(conn.send(frame)))
        });
        let ann = join(&server, "room", "ann").expect("the server is open");
        let conn = connection(&server, "ann");
        let tap = conn.tap(8);
        let glancer = glance(&conn);
        for event in ["a1", "a2"] {
            ann.say_text(&format!(r#"{{"event":"{event}"}}"#));
        }
        ann.wait_for_frames(2);
        glancer.join().expect("no panic");
        close(&server);
        let seen = see_all(tap);
        for way in [Direction::FromClient, Direction::ToClient] {
            let events: Vec<_> =
                seen.iter().filter(|seen| seen.0 == way).map(|seen| &seen.1).collect();
            assert_eq!(events, ["a1", "a2"], "{seen:?}");
        }
        // Nobody looks any more, and no message is looked at more closely.
        assert!(!server.requests().look_closer());
    });
}
