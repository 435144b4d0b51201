//! What the length of a compressed message tells of a secret.

use std::time::Duration;

use serde_json::json;
use wspulse::router::{Reply, Router};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{Connection, Frame, Outgoing, RoomOptions, Server};

use super::client::{DEFLATE, Offering};
use super::compressing;

const SECRET: &str = "token=7d1f4c0b9a63e852";
/// As many bytes each, the first of which are right.
const GUESSES: [&str; 3] =
    ["token=7d1f4c0b9a63e852", "token=7d1f4c0bXWVUTSRQ", "XWVUTSRQPONMLKJIHGFEDC"];

/// Long enough to be compressed.
fn frame(parts: &[&str]) -> Frame {
    let filling: Vec<_> = (0..100).collect();
    Frame::new("said").json(&json!({ "filling": filling, "parts": parts })).expect("JSON")
}

async fn wire_bytes(server: &Server, client: &mut Offering, frame: impl Into<Outgoing>) -> usize {
    server.send("ann", frame).unwrap();
    client.hear().await.wire_bytes
}

#[tokio::test(start_paused = true)]
async fn how_long_a_message_is_tells_nothing_of_those_before_it() {
    let server = compressing().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    for guess in GUESSES {
        let before = wire_bytes(&server, &mut ann, frame(&[guess])).await;
        wire_bytes(&server, &mut ann, frame(&[SECRET])).await;
        assert_eq!(wire_bytes(&server, &mut ann, frame(&[guess])).await, before, "{guess}");
    }
}

#[tokio::test(start_paused = true)]
async fn beside_a_secret_a_right_guess_is_as_long_as_a_wrong_one_if_the_frame_is_uncompressed() {
    let server = compressing().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let (mut compressed, mut plain) = (Vec::new(), Vec::new());
    for guess in GUESSES {
        let frame = frame(&[SECRET, guess]);
        compressed.push(wire_bytes(&server, &mut ann, frame.clone()).await);
        plain.push(wire_bytes(&server, &mut ann, frame.uncompressed()).await);
    }
    assert!(compressed.is_sorted_by(|right, wrong| right < wrong), "the danger: {compressed:?}");
    assert!(plain.iter().all(|bytes| *bytes == plain[0]), "{plain:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_to_go_uncompressed_does() {
    let server = compressing().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let (connection, room) = (server.connection("ann").expect("it is there"), server.room("lobby"));
    let (one, all) = (|| connection.request(frame(&[])), || room.request(frame(&[])));
    let second = Duration::from_secs(1);
    let (_, _, _, _, ()) = tokio::join!(
        one().within(second),
        one().uncompressed().within(second),
        all().within(second),
        all().uncompressed().within(second),
        async {
            for is_compressed in [true, false, true, false] {
                assert_eq!(ann.hear().await.is_compressed, is_compressed);
            }
        }
    );
}

#[tokio::test(start_paused = true)]
async fn presence_that_is_to_be_told_uncompressed_is() {
    for (options, is_compressed) in [
        (RoomOptions::new().tell_presence(), true),
        (RoomOptions::new().tell_presence_uncompressed(), false),
    ] {
        let server = compressing().room_options(move |_| options).build().unwrap();
        let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
        let ann_here = server.connection("ann").expect("it is there");
        ann_here.set_presence("lobby", &"a".repeat(900)).unwrap();
        let heard = ann.hear().await;
        assert_eq!((heard.frame.event(), heard.is_compressed), ("presence", is_compressed));
        assert!(heard.plain_bytes > 900, "{}", heard.plain_bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn members_on_another_server_are_asked_uncompressed_as_well() {
    let network = MemoryNetwork::new();
    let node = || compressing().cluster(network.engine()).build().unwrap();
    let servers = [node(), node()];
    let of = |server: &Server| server.cluster().expect("one of many");
    while servers.iter().any(|server| of(server).nodes().is_empty()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut bob = Offering::connect(&servers[1], "bob", DEFLATE).await;
    let cluster = of(&servers[0]);
    let ask = || cluster.request("lobby", frame(&[]));
    let second = Duration::from_secs(1);
    let (_, _, ()) =
        tokio::join!(ask().within(second), ask().uncompressed().within(second), async {
            let heard = [bob.hear().await.is_compressed, bob.hear().await.is_compressed];
            assert_eq!(heard.iter().filter(|is_compressed| **is_compressed).count(), 1);
        });
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_to_go_uncompressed_does() {
    let later = |connection: Connection, question: Frame| {
        connection.reply(&question, frame(&[SECRET]).uncompressed()).unwrap();
        Reply::later()
    };
    let router = Router::builder()
        .on("said", || Reply::new(frame(&[SECRET])))
        .on("secret", || Reply::new(frame(&[SECRET]).uncompressed()))
        .on("later", later)
        .build()
        .unwrap();
    let server = compressing().router(router).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    for (event, is_compressed) in [("said", true), ("secret", false), ("later", false)] {
        ann.send_compressed(&Frame::new(event).with_id("1")).await;
        let heard = ann.hear().await;
        assert_eq!((heard.frame.event(), heard.is_compressed), ("reply", is_compressed), "{event}");
    }
}
