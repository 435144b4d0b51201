//! What compression makes of messages is counted, in both directions.

use wspulse::testing::{Recorder, TestClient};
use wspulse::{Compression, Server};

use super::client::{DEFLATE, Offering};
use super::support::clients::numbered;
use super::support::clock::settle;
use super::{echo, long};

fn recorded() -> (Server, Recorder) {
    let recorder = Recorder::default();
    let builder = echo().compression(Compression::shared()).metrics(recorder.clone());
    (builder.build().unwrap(), recorder)
}

/// A payload's bytes before and after compression.
#[derive(Debug, PartialEq, Eq)]
struct Bytes {
    plain: usize,
    compressed: usize,
}

/// What a hook was told: the connection, how many messages, and their bytes.
fn told(recorder: &Recorder, hook: &str) -> Vec<(String, usize, Bytes)> {
    let number = |word: &str| word.parse().expect("a number");
    let read = |line: String| match *line.split(' ').collect::<Vec<_>>() {
        ["messages_compressed", _, id, messages, plain, "to", compressed] => {
            let bytes = Bytes { plain: number(plain), compressed: number(compressed) };
            (id.to_owned(), number(messages), bytes)
        }
        ["message_inflated", _, id, compressed, "to", plain] => {
            (id.to_owned(), 1, Bytes { plain: number(plain), compressed: number(compressed) })
        }
        _ => panic!("{line}"),
    };
    recorder.only(hook).into_iter().map(read).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_counts_by_its_bytes_before_and_after_in_each_direction() {
    let (server, recorder) = recorded();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let sent = ann.send_compressed(&long(7)).await;
    let heard = ann.hear().await;
    settle().await;
    let plain = heard.plain_bytes;
    let came = Bytes { plain, compressed: sent };
    assert_eq!(told(&recorder, "message_inflated"), [("ann".to_owned(), 1, came)]);
    let went = Bytes { plain, compressed: heard.wire_bytes };
    assert_eq!(told(&recorder, "messages_compressed"), [("ann".to_owned(), 1, went)]);
    assert_eq!(recorder.only("message_received"), [format!("message_received lobby {plain}")]);
}

#[tokio::test(start_paused = true)]
async fn what_goes_and_comes_as_it_is_is_not_counted_as_compressed() {
    let (server, recorder) = recorded();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let mut plain = TestClient::connect(&server, "/ws?id=plain").await.expect("admitted");
    plain.send(&long(1)).await.unwrap();
    assert_eq!(plain.frame().await.unwrap(), long(1));
    server.send("ann", numbered(1)).unwrap();
    server.send("ann", long(2).uncompressed()).unwrap();
    for _ in 0..2 {
        assert!(!ann.hear().await.is_compressed);
    }
    settle().await;
    assert_eq!(told(&recorder, "message_inflated"), []);
    assert_eq!(told(&recorder, "messages_compressed"), []);
    assert_eq!(recorder.sent(), 3);
}

#[tokio::test(start_paused = true)]
async fn each_member_of_a_room_counts_what_it_was_sent_one_by_one_and_in_bursts() {
    const MEMBERS: usize = 40;
    for burst in [1, 7] {
        let (server, recorder) = recorded();
        let mut members = Vec::new();
        for number in 0..MEMBERS {
            members.push(Offering::connect(&server, &format!("{number}"), DEFLATE).await);
        }
        settle().await;
        let mut expected = vec![(0, 0, 0); MEMBERS];
        for round in 0..3 {
            for frame in 0..burst {
                server.broadcast("lobby", long(round * burst + frame)).unwrap();
                // As it is, in the middle of a burst.
                server.broadcast("lobby", numbered(frame)).unwrap();
            }
            for (member, expected) in members.iter_mut().zip(&mut expected) {
                for _ in 0..2 * burst {
                    let heard = member.hear().await;
                    if heard.is_compressed {
                        expected.0 += 1;
                        expected.1 += heard.plain_bytes;
                        expected.2 += heard.wire_bytes;
                    }
                }
            }
        }
        settle().await;
        let mut counted = vec![(0, 0, 0); MEMBERS];
        for (id, messages, bytes) in told(&recorder, "messages_compressed") {
            let counted = &mut counted[id.parse::<usize>().expect("a number")];
            counted.0 += messages;
            counted.1 += bytes.plain;
            counted.2 += bytes.compressed;
        }
        assert_eq!(counted, expected, "in bursts of {burst}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_watches_a_server_sees_what_compression_makes_of_its_messages() {
    let server = echo().compression(Compression::shared()).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let watch = server.watch();
    let sent = ann.send_compressed(&long(7)).await;
    let heard = ann.hear().await;
    settle().await;
    let totals = watch.totals();
    let (received, went) = (totals.received_compressed, totals.sent_compressed);
    assert_eq!((received.messages, went.messages), (1, 1));
    assert_eq!(
        (received.payload_bytes, went.payload_bytes),
        (totals.received_bytes, totals.sent_bytes)
    );
    assert_eq!(received.compressed_bytes, sent as u64);
    assert_eq!(went.compressed_bytes, heard.wire_bytes as u64);
}
