//! What the length of a compressed message tells of a secret.

use serde_json::json;
use wspulse::{Frame, Outgoing, Server};

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
