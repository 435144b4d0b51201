//! Members come while others broadcast to a room that keeps what it is told.

use std::time::Duration;

use shuttle::thread;

use super::rooms::Other;
use super::stage::{close, connection, explore, frame, join, join_with_codec, server};
use crate::{Delivery, RoomOptions, ServerBuilder};

fn keeping(builder: ServerBuilder) -> ServerBuilder {
    builder.room_options(|_| RoomOptions::new().history(8, Duration::from_mins(1)))
}

#[test]
fn who_joins_while_others_broadcast_hears_each_frame_once_and_in_order() {
    explore(|| {
        let server = server(keeping);
        let ann = join(&server, "room", "ann").expect("the server is open");
        let speaker = {
            let server = server.clone();
            thread::spawn(move || {
                for event in ["a1", "a2"] {
                    server.broadcast("room", frame(event)).expect("the server is open");
                }
            })
        };
        let bob = join(&server, "room", "bob").expect("the server is open");
        speaker.join().expect("no panic");
        assert_eq!(connection(&server, "bob").outbound_stats().accepted, 2);
        for client in [ann, bob] {
            assert_eq!(client.wait_for_frames(2), ["a1", "a2"]);
        }
        close(&server);
    });
}

#[test]
fn who_brings_another_codec_hears_all_that_is_kept_and_all_that_is_live() {
    explore(|| {
        let server = server(|builder| {
            let builder = keeping(builder).also_codec(Other).delivery(Delivery::ExactlyOnce);
            builder.resume_window(Duration::from_mins(1))
        });
        let _ann = join(&server, "room", "ann").expect("the server is open");
        server.broadcast("room", frame("a1")).expect("the server is open");
        let speaker = {
            let server = server.clone();
            thread::spawn(move || server.broadcast("room", frame("a2")).expect("it is open"))
        };
        let bob = join_with_codec(&server, "room", "bob", "other").expect("the server is open");
        speaker.join().expect("no panic");
        assert_eq!(bob.wait_for_frames(2), ["a1", "a2"]);
        close(&server);
    });
}
