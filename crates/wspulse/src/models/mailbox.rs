//! A connection's task goes to sleep while others leave frames and commands for it: none is missed.

use shuttle::thread;

use super::stage::{Received, close, connection, explore, frame, join, join_with_capacity, server};
use crate::Disconnect;

#[test]
fn frames_that_are_sent_while_the_task_goes_to_sleep_are_written() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "ann").expect("the server is open");
        let senders = [["a1", "a2"], ["b1", "b2"]].map(|events| {
            let connection = connection(&server, "ann");
            thread::spawn(move || {
                for event in events {
                    connection.send(frame(event)).expect("there is room");
                }
            })
        });
        let frames = client.wait_for_frames(4);
        for sender in ["a", "b"] {
            let own: Vec<_> = frames.iter().filter(|event| event.starts_with(sender)).collect();
            assert!(own.is_sorted() && own.len() == 2, "{frames:?}");
        }
        senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
        close(&server);
    });
}

#[test]
fn frames_that_are_sent_while_the_socket_is_blocked_are_written_when_it_is_not() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join_with_capacity(&server, "room", "ann", 5).expect("the server is open");
        let sender = {
            let connection = connection(&server, "ann");
            thread::spawn(move || {
                for event in ["a1", "a2", "a3"] {
                    connection.send(frame(event)).expect("there is room");
                }
            })
        };
        client.drain();
        assert_eq!(client.wait_for_frames(3), ["a1", "a2", "a3"]);
        sender.join().expect("no panic");
        close(&server);
    });
}

#[test]
fn an_end_that_is_posted_while_the_task_goes_to_sleep_is_told() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "ann").expect("the server is open");
        let watcher = {
            let connection = connection(&server, "ann");
            thread::spawn(move || shuttle::future::block_on(connection.done()))
        };
        let sender = {
            let connection = connection(&server, "ann");
            thread::spawn(move || connection.send(frame("a1")).is_ok())
        };
        server.kick("ann").expect("it is there");
        let received = client.wait_for_end();
        watcher.join().expect("no panic");
        let was_accepted = sender.join().expect("no panic");
        let frames = received.len() - 1;
        assert_eq!(frames == 1, was_accepted, "{received:?}");
        assert_eq!(received.last(), Some(&Received::Close(1000)));
        close(&server);
    });
}

#[test]
fn every_accepted_frame_is_sent_or_dropped_although_the_client_goes() {
    explore(|| {
        let server = server(|builder| builder.send_buffer_size(1));
        let client = join_with_capacity(&server, "room", "ann", 5).expect("the server is open");
        let connection = connection(&server, "ann");
        let sender = {
            let connection = connection.clone();
            thread::spawn(move || {
                ["a1", "a2", "a3"]
                    .into_iter()
                    .filter(|event| connection.send(frame(event)).is_ok())
                    .count() as u64
            })
        };
        client.hang_up();
        client.wait_for_end();
        let accepted = sender.join().expect("no panic");
        close(&server);
        let stats = connection.outbound_stats();
        assert_eq!((stats.accepted, stats.pending), (accepted, 0));
        assert_eq!(stats.accepted, stats.sent + stats.dropped);
    });
}

#[test]
fn the_callbacks_of_a_successor_begin_when_those_before_it_are_over() {
    explore(|| {
        let server = server(|builder| builder);
        let first = join(&server, "room", "ann").expect("the server is open");
        let old = connection(&server, "ann");
        let other_end = {
            let (server, old) = (server.clone(), old.clone());
            thread::spawn(move || server.end(old.shared(), Disconnect::Closed))
        };
        let second = join(&server, "room", "ann").expect("the server is open");
        other_end.join().expect("no panic");
        first.wait_for_end();
        connection(&server, "ann").send(frame("a1")).expect("there is room");
        assert_eq!(second.wait_for_frames(1), ["a1"]);
        // It waits for callbacks that would never begin if their release were lost.
        close(&server);
    });
}
