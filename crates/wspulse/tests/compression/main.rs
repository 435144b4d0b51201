//! Compressed messages, from the handshake to the wire and back: permessage-deflate (RFC 7692).

mod client;
mod counted;
mod rates;
mod rooms;
mod secrets;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, Compression, Frame, Rejection, Server, ServerBuilder};

use client::{DEFLATE, Heard, Offering};
use support::clients::numbered;

/// Echoes, to whoever comes with an `id`, in the lobby.
fn echo() -> ServerBuilder {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").id(&*id))
    })
    .on_message(|connection, frame| drop(connection.send(frame)))
    .max_message_size(10_000)
}

fn compressing() -> ServerBuilder {
    echo().compression(Compression::shared())
}

/// A frame that is worth compressing.
fn long(number: usize) -> Frame {
    Frame::new("n").json(&vec![number; 300]).expect("numbers are JSON")
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_compressed_once_that_is_agreed_on() {
    let server = compressing().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", "permessage-deflate").await;
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(ann.answer.as_deref(), Some(agreed));
    ann.send_compressed(&long(7)).await;
    let Heard { frame, is_compressed, wire_bytes, .. } = ann.hear().await;
    assert_eq!((frame, is_compressed), (long(7), true));
    assert!(wire_bytes < 100, "{wire_bytes}");
}

#[tokio::test(start_paused = true)]
async fn what_is_short_goes_as_it_is() {
    let server = compressing().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    ann.send_compressed(&numbered(1)).await;
    let heard = ann.hear().await;
    assert_eq!((heard.frame, heard.is_compressed), (numbered(1), false));
    server.send("ann", long(2)).unwrap();
    assert!(ann.hear().await.is_compressed);
}

#[tokio::test(start_paused = true)]
async fn from_which_size_on_and_how_hard_is_the_applications_choice() {
    let compression = Compression::shared().min_bytes(10).level(1);
    let server = echo().compression(compression).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let frame = Frame::new("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    server.send("ann", frame.clone()).unwrap();
    let heard = ann.hear().await;
    assert_eq!((heard.frame, heard.is_compressed), (frame, true));
}

#[tokio::test(start_paused = true)]
async fn a_server_may_take_compressed_messages_and_send_none() {
    let compression = Compression::shared().min_bytes(usize::MAX);
    let server = echo().compression(compression).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    ann.send_compressed(&long(1)).await;
    let heard = ann.hear().await;
    assert_eq!((heard.frame, heard.is_compressed), (long(1), false));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_to_go_uncompressed_does() {
    let server = compressing().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    server.send("ann", long(1).uncompressed()).unwrap();
    server.broadcast("lobby", long(2).uncompressed()).unwrap();
    server.broadcast("lobby", long(3)).unwrap();
    for (number, is_compressed) in [(1, false), (2, false), (3, true)] {
        let heard = ann.hear().await;
        assert_eq!((heard.frame, heard.is_compressed), (long(number), is_compressed));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_offer_it_or_not_so_gets_plain_messages_and_no_answer() {
    let server = compressing().build().unwrap();
    for (id, offer) in [("ann", "other"), ("bob", "permessage-deflate; server_max_window_bits=8")] {
        let mut client = Offering::connect(&server, id, offer).await;
        assert_eq!(client.answer, None);
        server.send(id, long(1)).unwrap();
        assert!(!client.hear().await.is_compressed);
    }
    let mut plain = TestClient::connect(&server, "/ws?id=cid").await.expect("admitted");
    plain.send(&long(1)).await.unwrap();
    assert_eq!(plain.frame().await.unwrap(), long(1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_compress_answers_no_offer_and_takes_nothing_compressed() {
    let server = echo().build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    assert_eq!(ann.answer, None);
    ann.send_compressed(&long(1)).await;
    assert_eq!(ann.close_code().await, 1002);
}

#[tokio::test(start_paused = true)]
async fn offers_that_cannot_be_read_are_a_bad_request() {
    let server = compressing().build().unwrap();
    for offer in ["permessage-deflate; =", "(", "permessage-deflate; a=\"b"] {
        let mut request = request_parts("/ws?id=ann");
        request.headers.insert("sec-websocket-extensions", offer.parse().unwrap());
        let refused = TestClient::connect_with(&server, request).await.expect_err("refused");
        assert_eq!(refused.status(), 400, "{offer}");
        assert!(refused.body().contains("Sec-WebSocket-Extensions"), "{}", refused.body());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_grows_beyond_the_limit_ends_its_connection_alone() {
    let server = compressing().build().unwrap();
    let mut bob = Offering::connect(&server, "bob", DEFLATE).await;
    for (bytes, code) in [(10_001, 1009), (5_000_000, 1009)] {
        let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
        ann.send_raw_compressed(&vec![b' '; bytes]).await;
        assert_eq!(ann.close_code().await, code);
    }
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    ann.send_garbage().await;
    assert_eq!(ann.close_code().await, 1007);
    bob.send_compressed(&long(1)).await;
    assert_eq!(bob.hear().await.frame, long(1));
}
