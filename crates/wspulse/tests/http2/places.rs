//! What one address may have that is no WebSocket: streams, and connections without any.

use axum::Router;
use axum::routing;
use tokio::io::AsyncReadExt as _;
use wspulse::serve::Http2;
use wspulse::testing::{Dialler, TestClient, request_head};

use crate::raw::{HEADERS, REFUSED_STREAM, RST_STREAM, Raw, SETTINGS, frame, request};
use crate::support::clients::echoes;
use crate::support::clock::settle;
use crate::support::house::echo;
use crate::support::listener::serve_in_memory;
use crate::support::logs::Logs;
use crate::ways::Connection;

const HERE: &str = "192.0.2.1:5000";
const THERE: &str = "192.0.2.2:5000";

fn served(places: usize) -> Dialler {
    let app = Router::new()
        .route("/stuck", routing::get(std::future::pending::<String>))
        .route_service("/ws", echo().build().unwrap());
    let (dialler, serving) =
        serve_in_memory(app, |serve| serve.http2(Http2::new()).max_pending_per_addr(places));
    drop(serving);
    dialler
}

/// What is answered to a request for a page that is not there.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    NotFound,
    /// It has no place.
    Refused,
}

/// The next answer, and its stream.
async fn next_answer(raw: &mut Raw) -> (u32, Told) {
    /// `:status 404`, the thirteenth of the table (RFC 7541, Appendix A).
    const NOT_FOUND: u8 = 0x8d;
    let answer = raw.next_of(&[HEADERS, RST_STREAM]).await;
    if answer.kind == HEADERS {
        assert_eq!(answer.payload[0], NOT_FOUND);
        return (answer.stream, Told::NotFound);
    }
    assert_eq!(answer.payload, REFUSED_STREAM.to_be_bytes());
    (answer.stream, Told::Refused)
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_place_is_refused_so_that_it_may_be_repeated_and_named_in_the_log() {
    let logs = Logs::capture();
    let dialler = served(1);
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&request(1, "GET", "/stuck")).await;
    raw.write(&request(3, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (3, Told::Refused));
    logs.one("WARN", "max_pending_per_addr");
    raw.write(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await;
    settle().await;
    raw.write(&request(5, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (5, Told::NotFound));
}

#[tokio::test(start_paused = true)]
async fn by_default_a_connection_has_a_place_for_each_of_its_streams() {
    let app = Router::new().route("/stuck", routing::get(std::future::pending::<String>));
    let (dialler, _serving) = serve_in_memory(app, |serve| serve.http2(Http2::new()));
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    for number in 0..255 {
        raw.write(&request(2 * number + 1, "GET", "/stuck")).await;
    }
    raw.write(&request(511, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (511, Told::NotFound));
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_connection_take_a_place_each() {
    let dialler = served(3);
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    for stream in [1, 3, 5] {
        raw.write(&request(stream, "GET", "/stuck")).await;
    }
    raw.write(&request(7, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (7, Told::Refused));
    // Those of other addresses have their own.
    let mut other = Raw::connect_from(&dialler, THERE).await;
    other.write(&request(1, "GET", "/none")).await;
    assert_eq!(next_answer(&mut other).await, (1, Told::NotFound));

    raw.write(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await;
    settle().await;
    raw.write(&request(9, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (9, Told::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_right_before_the_end_of_its_connection_gives_its_place_back() {
    let dialler = served(1);
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    let malformed = frame(SETTINGS, 0, 0, &[7; 5]);
    raw.write(&[request(1, "GET", "/stuck"), malformed].concat()).await;
    raw.ended().await;
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&request(1, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (1, Told::NotFound));
}

#[tokio::test(start_paused = true)]
async fn requests_of_both_versions_are_counted_together() {
    let dialler = served(2);
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&request(1, "GET", "/stuck")).await;
    settle().await;
    let _silent = dialler.dial_from(HERE);
    settle().await;
    raw.write(&request(3, "GET", "/none")).await;
    assert_eq!(next_answer(&mut raw).await, (3, Told::Refused));
    let mut refused = dialler.dial_from(HERE);
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0, "closed at once");
}

#[tokio::test(start_paused = true)]
async fn websockets_and_a_connection_that_has_some_take_no_place() {
    let dialler = served(1);
    let mut connection = Connection::over(dialler.dial_from(HERE)).await;
    let mut clients = Vec::new();
    for number in 0..5 {
        let mut client = connection.open("/ws").await;
        echoes(&mut client, number).await;
        clients.push(client);
    }
    let mut over_http1 = TestClient::new(dialler.dial_from(HERE));
    over_http1.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    assert!(over_http1.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    echoes(&mut over_http1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_last_websocket_has_gone_ends_without_a_place() {
    let dialler = served(1);
    let mut connection = Connection::over(dialler.dial_from(HERE)).await;
    let ann = connection.open("/ws").await;
    settle().await;
    let _silent = dialler.dial_from(HERE);
    settle().await;
    drop(ann);
    connection.driver.await.unwrap().unwrap();
}
