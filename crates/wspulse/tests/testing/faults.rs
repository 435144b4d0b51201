//! Links fail in every way that networks have, and are restored.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wspulse::testing::{Fault, LiveClient, Received, TestClient, TestServer, Way, request_head};
use wspulse::{Admission, CallbackKind, Delivery, Frame, Server, ServerBuilder, TransportLost};

const WINDOW: Duration = Duration::from_mins(1);

/// What is said to `ann`, who comes back by her URL.
fn builder() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_message(|conn, frame| drop(conn.send(frame)))
        .resume_window(WINDOW)
}

async fn ann() -> (TestServer, LiveClient) {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws").await;
    test.callbacks().expect_connect("ann").await;
    (test, ann)
}

fn tell(test: &TestServer, number: u32) {
    let frame = Frame::new("n").json(&number).unwrap();
    test.server().send("ann", frame).unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_ends_see_a_reset_and_the_next_transport_is_a_good_one() {
    let (test, mut ann) = ann().await;
    ann.link().fail(Fault::Reset);
    assert!(ann.expect_lost().await.contains("reset"));
    let cause = test.callbacks().expect_transport_drop("ann").await;
    assert!(matches!(cause, TransportLost::Io(_)), "{cause:?}");
    tell(&test, 1);
    ann.reconnect().await;
    ann.expect_json("n", 1).await;
    test.callbacks().expect_transport_restore("ann").await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_down_refuses_whoever_dials_until_it_is_restored() {
    let (test, mut ann) = ann().await;
    ann.link().fail(Fault::Down);
    test.callbacks().expect_transport_drop("ann").await;
    assert_eq!(ann.link().dial().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    ann.link().restore();
    ann.reconnect().await;
    ann.send_json("n", 1);
    ann.expect_json("n", 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_over_a_silent_link_arrives_once_it_is_restored() {
    let (test, ann) = ann().await;
    ann.link().fail(Fault::Silence);
    tell(&test, 1);
    ann.send_json("n", 2);
    ann.refute("n").await;
    test.callbacks().refute(CallbackKind::Message, "ann").await;
    ann.link().restore();
    ann.expect_json("n", 1).await;
    ann.expect_json("n", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_stays_silent_costs_the_transport_by_its_pongs() {
    let (test, ann) = ann().await;
    ann.link().fail(Fault::Silence);
    test.pass(Duration::from_secs(31)).await;
    let cause = test.callbacks().expect_transport_drop("ann").await;
    assert!(matches!(cause, TransportLost::PongTimeout), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_stalls_one_way_goes_on_the_other() {
    let (test, ann) = ann().await;
    ann.link().fail(Fault::Stall(Way::Down));
    ann.send_json("n", 1);
    test.callbacks().expect(CallbackKind::Message, "ann").await;
    ann.refute("n").await;
    ann.link().restore();
    ann.expect_json("n", 1).await;

    ann.link().fail(Fault::Stall(Way::Up));
    tell(&test, 2);
    ann.expect_json("n", 2).await;
    ann.send_json("n", 3);
    test.callbacks().refute(CallbackKind::Message, "ann").await;
    ann.link().restore();
    ann.expect_json("n", 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_link_ends_one_way_and_goes_on_the_other() {
    let test = TestServer::new(builder()).unwrap();
    let link = test.link("ann");
    let mut ann = TestClient::new(link.dial().unwrap());
    ann.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    ann.read_response_head().await.unwrap();
    link.fail(Fault::HalfClose(Way::Down));
    assert_eq!(ann.receive().await.unwrap(), Received::End);
    ann.send(&Frame::new("n")).await.unwrap();
    test.callbacks().expect(CallbackKind::Message, "ann").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_sees_the_end_of_a_stream_that_is_half_closed() {
    let (test, ann) = ann().await;
    ann.link().fail(Fault::HalfClose(Way::Up));
    let cause = test.callbacks().expect_transport_drop("ann").await;
    assert!(matches!(cause, TransportLost::EndOfStream), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_may_pass_byte_by_byte() {
    let (test, ann) = ann().await;
    ann.link().fail(Fault::ByteByByte);
    for number in 0..20 {
        ann.send_json("n", number);
    }
    for number in 0..20 {
        ann.expect_json("n", number).await;
    }
    test.callbacks().refute(CallbackKind::TransportDrop, "ann").await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_cut_in_the_middle_either_way() {
    let test = TestServer::new(builder().delivery(Delivery::AtLeastOnce)).unwrap();
    let mut ann = test.client("ann").connect("/ws").await;
    ann.link().fail_mid_frame(Way::Down, Fault::Reset);
    tell(&test, 1);
    assert!(ann.expect_lost().await.contains("reset"));
    ann.refute("n").await;
    test.callbacks().expect_transport_drop("ann").await;
    ann.reconnect().await;
    // It has not arrived, so it is written again.
    ann.expect_json("n", 1).await;

    ann.link().fail_mid_frame(Way::Up, Fault::Reset);
    ann.send_json("n", 2);
    test.callbacks().expect_transport_drop("ann").await;
    test.callbacks().refute(CallbackKind::Message, "ann").await;
}

#[tokio::test(start_paused = true)]
async fn a_link_fails_after_the_bytes_that_were_said() {
    let test = TestServer::new(builder()).unwrap();
    let link = test.link("raw");
    link.fail_after(Way::Down, 12, Fault::Reset);
    let mut stream = link.dial().unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    let error = stream.read_to_end(&mut head).await.unwrap_err();
    assert_eq!(
        (&head[..], error.kind()),
        (&b"HTTP/1.1 426"[..], std::io::ErrorKind::ConnectionReset)
    );
    assert_eq!(link.passed_bytes(Way::Down), 12);
    // Those after it are good ones.
    let mut stream = link.dial().unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut head).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_where_a_silent_link_is_full() {
    let test = TestServer::new(builder()).unwrap();
    let link = test.link("raw");
    link.set_waiting_bytes_max(10);
    link.fail(Fault::Silence);
    let mut stream = link.dial().unwrap();
    assert_eq!(stream.write(&[0; 64]).await.unwrap(), 10);
    let more = tokio::time::timeout(Duration::from_hours(1), stream.write(&[0])).await;
    assert!(more.is_err(), "{more:?}");
}
