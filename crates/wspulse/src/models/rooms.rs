//! Members come and go while others broadcast, and are woken in waves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shuttle::sync::atomic::AtomicBool;
use shuttle::thread;

use wspulse_core::codec::{Codec, DecodeError, EncodeError, InboundMessage, JsonCodec};

use super::stage::{close, connection, explore, frame, join, join_with_codec, server};
use crate::{Delivery, Frame, MessageKind};

#[test]
fn who_has_joined_before_a_broadcast_gets_it() {
    explore(|| {
        let server = server(|builder| builder);
        let has_joined = Arc::new(AtomicBool::new(false));
        let joiner = {
            let (server, has_joined) = (server.clone(), Arc::clone(&has_joined));
            thread::spawn(move || {
                let client = join(&server, "room", "bob").expect("the server is open");
                has_joined.store(true, Ordering::SeqCst);
                client
            })
        };
        let must_come = has_joined.load(Ordering::SeqCst);
        server.broadcast("room", frame("a1")).expect("the server is open");
        let client = joiner.join().expect("no panic");
        let accepted = connection(&server, "bob").outbound_stats().accepted;
        assert!(accepted == 1 || !must_come, "joined before, and missed it");
        assert_eq!(
            client.wait_for_frames(usize::try_from(accepted).expect("few")).len() as u64,
            accepted
        );
        close(&server);
    });
}

#[test]
fn who_has_left_before_a_broadcast_does_not_get_it() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "bob").expect("the server is open");
        let connection = connection(&server, "bob");
        let has_left = Arc::new(AtomicBool::new(false));
        let leaver = {
            let (server, has_left) = (server.clone(), Arc::clone(&has_left));
            thread::spawn(move || {
                server.kick("bob").expect("it is there");
                has_left.store(true, Ordering::SeqCst);
            })
        };
        let must_not_come = has_left.load(Ordering::SeqCst);
        server.broadcast("room", frame("a1")).expect("the server is open");
        leaver.join().expect("no panic");
        let accepted = connection.outbound_stats().accepted;
        assert!(accepted == 0 || !must_not_come, "left before, and got it");
        client.wait_for_end();
        assert_eq!(client.frames().len() as u64, accepted);
        close(&server);
    });
}

/// JSON under another name.
pub(super) struct Other;

impl Codec for Other {
    fn name(&self) -> Option<&str> {
        Some("other")
    }

    fn kind(&self, frame: &Frame) -> MessageKind {
        JsonCodec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        JsonCodec.decode(message)
    }
}

#[test]
fn who_brings_another_codec_misses_no_broadcast_from_then_on() {
    explore(|| {
        let server = server(|builder| {
            let builder = builder.also_codec(Other).delivery(Delivery::ExactlyOnce);
            builder.resume_window(Duration::from_mins(1))
        });
        let ann = join(&server, "room", "ann").expect("the server is open");
        let joiner = {
            let server = server.clone();
            thread::spawn(move || {
                let client = join_with_codec(&server, "room", "bob", "other");
                let reached = server.broadcast("room", frame("b1")).expect("the server is open");
                assert_eq!(reached.reached, 2);
                client.expect("the server is open")
            })
        };
        let reached = server.broadcast("room", frame("a1")).expect("the server is open").reached;
        let _bob = joiner.join().expect("no panic");
        let accepted = connection(&server, "bob").outbound_stats().accepted;
        assert_eq!(accepted, reached as u64);
        let order = ann.wait_for_frames(2);
        assert!(order == ["a1", "b1"] || reached == 2, "{order:?}, and bob has one of them");
        close(&server);
    });
}

#[test]
fn all_members_get_the_broadcasts_of_a_room_in_one_order() {
    explore(|| {
        let server = server(|builder| builder);
        let clients = ["ann", "bob"].map(|id| join(&server, "room", id).expect("it is open"));
        let speakers = ["a1", "b1"].map(|event| {
            let server = server.clone();
            thread::spawn(move || server.broadcast("room", frame(event)).expect("it is open"))
        });
        let [ann, bob] = clients.map(|client| client.wait_for_frames(2));
        assert_eq!(ann, bob);
        speakers.into_iter().for_each(|speaker| {
            speaker.join().expect("no panic");
        });
        close(&server);
    });
}

#[test]
fn no_member_of_a_large_room_sleeps_through_a_broadcast() {
    explore(|| {
        let server = server(|builder| builder);
        // The last of the members takes the place of who leaves: one that a wave has passed by.
        let [ann, leaving, bob] =
            ["ann", "eve", "bob"].map(|id| join(&server, "room", id).expect("it is open"));
        let speakers = ["a1", "b1"].map(|event| {
            let server = server.clone();
            thread::spawn(move || server.broadcast("room", frame(event)).expect("it is open"))
        });
        let leaver = {
            let server = server.clone();
            thread::spawn(move || {
                server.kick("eve").expect("it is there");
                leaving.wait_for_end();
            })
        };
        for client in [ann, bob] {
            client.wait_for_frames(2);
        }
        speakers.into_iter().for_each(|speaker| {
            speaker.join().expect("no panic");
        });
        leaver.join().expect("no panic");
        close(&server);
    });
}
