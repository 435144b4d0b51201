//! Others write with a transport whose task sleeps, while that is woken, ended, cut, or comes back.

use std::time::Duration;

use shuttle::thread;

use super::stage::server;
use super::stage::{Client, Received, close, connection, explore, frame, join, join_with_capacity};
use crate::ground::ping_schedule::Mark;
use crate::{Connection, Delivery, DuplicatePolicy, Frame, Server};

/// Bob, who takes so many bytes at first, in a room that is large enough for others to write for
/// him.
fn bob_in_a_large_room(server: &Server, bytes: usize) -> (Client, [Client; 2]) {
    let others = ["ann", "eve"].map(|id| join(server, "room", id).expect("the server is open"));
    (join_with_capacity(server, "room", "bob", bytes).expect("the server is open"), others)
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

#[test]
fn what_others_write_comes_once_and_in_order_beside_direct_sends() {
    explore(|| {
        let server = server(|builder| builder);
        let (bob, _others) = bob_in_a_large_room(&server, usize::MAX);
        let broadcaster = broadcast(&server, &["a1", "a2"]);
        for event in ["b1", "b2"] {
            connection(&server, "bob").send(frame(event)).expect("there is room");
        }
        let frames = bob.wait_for_frames(4);
        for sender in ["a", "b"] {
            let own: Vec<_> = frames.iter().filter(|event| event.starts_with(sender)).collect();
            assert!(own.is_sorted() && own.len() == 2, "{frames:?}");
        }
        broadcaster.join().expect("no panic");
        close(&server);
    });
}

#[test]
fn what_a_lent_stream_did_not_take_its_task_writes() {
    explore(|| {
        let server = server(|builder| builder);
        let (bob, _others) = bob_in_a_large_room(&server, 5);
        let broadcaster = broadcast(&server, &["a1", "a2", "a3"]);
        bob.drain();
        assert_eq!(bob.wait_for_frames(3), ["a1", "a2", "a3"]);
        broadcaster.join().expect("no panic");
        close(&server);
    });
}

#[test]
fn a_small_buffer_has_room_for_what_its_member_lacks_of_the_rooms_log() {
    explore(|| {
        let server = server(|builder| builder.send_buffer_size(2));
        // He takes one frame, follows, and takes no more.
        let (bob, _others) = bob_in_a_large_room(&server, 16);
        let bobs = connection(&server, "bob");
        let broadcaster = broadcast(&server, &["a1", "a2", "a3", "a4", "a5", "a6"]);
        broadcaster.join().expect("no panic");
        bob.drain();
        close(&server);
        let stats = bobs.outbound_stats();
        assert_eq!((stats.accepted, stats.sent + stats.dropped), (6, 6));
    });
}

/// Pings Bob from another thread, twice at the beat for which he is open.
fn ping(server: &Server) -> thread::JoinHandle<()> {
    let bob = connection(server, "bob");
    thread::spawn(move || {
        for _ in 0..2 {
            bob.shared().mailbox.open_for_ping(Mark::EXAMPLE);
            bob.shared().ping_or_ring(Mark::EXAMPLE);
        }
    })
}

/// Sends to Bob, who takes so many bytes at first, while others ping him.
fn send_beside_pings(bytes: usize) {
    let server = server(|builder| builder);
    let bob = join_with_capacity(&server, "room", "bob", bytes).expect("the server is open");
    let pinger = ping(&server);
    for event in ["b1", "b2"] {
        connection(&server, "bob").send(frame(event)).expect("there is room");
    }
    bob.drain();
    assert_eq!(bob.wait_for_frames(2), ["b1", "b2"]);
    pinger.join().expect("no panic");
    server.kick("bob").expect("it is there");
    bob.wait_for_end();
    close(&server);
}

#[test]
fn frames_that_come_while_others_ping_are_written() {
    explore(|| send_beside_pings(usize::MAX));
}

#[test]
fn broadcasts_to_a_large_room_come_while_others_ping_its_members() {
    explore(|| {
        let server = server(|builder| builder);
        let (bob, _others) = bob_in_a_large_room(&server, usize::MAX);
        let (broadcaster, pinger) = (broadcast(&server, &["a1", "a2"]), ping(&server));
        assert_eq!(bob.wait_for_frames(2), ["a1", "a2"]);
        broadcaster.join().expect("no panic");
        pinger.join().expect("no panic");
        close(&server);
    });
}

#[test]
fn what_a_socket_did_not_take_of_the_ping_of_others_its_task_writes() {
    explore(|| send_beside_pings(1));
}

#[test]
fn an_end_that_is_posted_while_a_transport_is_lent_is_told() {
    explore(|| {
        let server = server(|builder| builder);
        let (bob, _others) = bob_in_a_large_room(&server, usize::MAX);
        let ended = connection(&server, "bob");
        let broadcaster = broadcast(&server, &["a1", "a2"]);
        server.kick("bob").expect("it is there");
        let received = bob.wait_for_end();
        broadcaster.join().expect("no panic");
        assert_eq!(received.last(), Some(&Received::Close(1000)), "{received:?}");
        close(&server);
        let stats = ended.outbound_stats();
        assert_eq!(stats.sent, received.len() as u64 - 1);
        assert_eq!((stats.accepted, stats.pending), (stats.sent + stats.dropped, 0));
    });
}

#[test]
fn every_frame_is_sent_or_dropped_although_the_client_goes_while_its_transport_is_lent() {
    explore(|| {
        let server = server(|builder| builder);
        let (bob, _others) = bob_in_a_large_room(&server, 5);
        let ended = connection(&server, "bob");
        let broadcaster = broadcast(&server, &["a1", "a2"]);
        bob.hang_up();
        bob.wait_for_end();
        broadcaster.join().expect("no panic");
        close(&server);
        let stats = ended.outbound_stats();
        assert_eq!((stats.accepted, stats.pending), (stats.sent + stats.dropped, 0));
    });
}

#[test]
fn who_comes_back_while_its_transport_is_lent_misses_nothing() {
    explore(|| {
        let server = server(|builder| {
            builder
                .resume_window(Duration::from_mins(1))
                .duplicates(DuplicatePolicy::Resume)
                .delivery(Delivery::AtLeastOnce)
        });
        let (first, _others) = bob_in_a_large_room(&server, usize::MAX);
        let broadcaster = broadcast(&server, &["a1", "a2"]);
        let second = join(&server, "room", "bob").expect("the server is open");
        broadcaster.join().expect("no panic");
        first.wait_for_end();
        let frames = second.wait_for_frames(2);
        assert_eq!(frames, ["a1", "a2"]);
        close(&server);
    });
}

#[test]
fn what_a_callback_sends_to_others_comes_while_they_are_ended_or_written_to() {
    explore(|| {
        let server = server(|builder| {
            builder.on_message(|conn: Connection, frame: Frame| {
                let _ = conn.server().send("bob", frame);
            })
        });
        let ann = join(&server, "here", "ann").expect("the server is open");
        let bob = join(&server, "there", "bob").expect("the server is open");
        let sender = {
            let bob = connection(&server, "bob");
            thread::spawn(move || bob.send(frame("b1")).expect("there is room"))
        };
        ann.say_text(r#"{"event":"a1"}"#);
        ann.say_text(r#"{"event":"a2"}"#);
        let mut frames = bob.wait_for_frames(3);
        frames.retain(|event| event != "b1");
        assert_eq!(frames, ["a1", "a2"]);
        sender.join().expect("no panic");
        server.kick("bob").expect("it is there");
        bob.wait_for_end();
        close(&server);
    });
}

#[test]
fn what_comes_while_a_transport_is_lent_is_read_when_it_is_back() {
    explore(|| {
        let server = server(|builder| {
            builder.on_message(|conn: Connection, frame: Frame| drop(conn.send(frame)))
        });
        let (bob, _others) = bob_in_a_large_room(&server, usize::MAX);
        let broadcaster = broadcast(&server, &["a1"]);
        bob.say_text(r#"{"event":"b1"}"#);
        bob.wait_for_frames(2);
        broadcaster.join().expect("no panic");
        close(&server);
    });
}
