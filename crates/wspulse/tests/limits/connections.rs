//! Limits on connections, in all and by address: who is refused, who is not, and exactly when.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use wspulse::http::{Accepted, Response};
use wspulse::testing::{Recorder, Refused, TestClient, request_parts};
use wspulse::{Admission, ConnectionState, DuplicatePolicy, PeerAddr, Server, ServerBuilder};

use crate::support::clients::dial;
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;

type Client = TestClient<DuplexStream>;

/// Status and body.
async fn answer(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
    (status, String::from_utf8(body.into()).expect("text"))
}

async fn refused(server: &Server, id: &str) -> (u16, String) {
    let target = format!("/ws?id={id}");
    let Refused(response) = TestClient::connect(server, &target).await.expect_err("a refusal");
    answer(response).await
}

fn full() -> (u16, String) {
    (503, "too many connections\n".to_owned())
}

fn full_from_here() -> (u16, String) {
    (429, "too many connections from this address\n".to_owned())
}

/// A handshake whose HTTP server knows the peer's address.
async fn knock(server: &Server, id: &str, from: &str) -> Result<Accepted, Response> {
    let mut parts = request_parts(&format!("/ws?id={id}"));
    let address =
        if from.contains(':') { format!("[{from}]:5000") } else { format!("{from}:5000") };
    parts.extensions.insert(PeerAddr(address.parse::<SocketAddr>().expect("an address")));
    server.handshake(parts)?.connect().await
}

/// Connects from an address.
async fn enter(server: &Server, id: &str, from: &str) -> Client {
    let accepted = knock(server, id, from).await.expect("admitted");
    let (ours, theirs) = tokio::io::duplex(1024);
    accepted.attach(theirs, &[]);
    settle().await;
    TestClient::new(ours)
}

async fn refused_from(server: &Server, id: &str, from: &str) -> (u16, String) {
    answer(knock(server, id, from).await.expect_err("a refusal")).await
}

fn two_each() -> ServerBuilder {
    open_house().max_connections_per_addr(2).resume_window(WINDOW)
}

#[tokio::test(start_paused = true)]
async fn one_connection_more_than_allowed_is_refused_and_counted() {
    let recorder = Recorder::default();
    let server = open_house().max_connections(2).metrics(recorder.clone()).build().unwrap();
    let _clients = [dial(&server, "ann").await, dial(&server, "ben").await];
    assert_eq!(refused(&server, "cleo").await, full());
    assert_eq!(server.connection_count(), 2);
    assert_eq!(recorder.only("upgrade_refused"), ["upgrade_refused 503"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_makes_place_for_another() {
    let server = open_house().max_connections(1).build().unwrap();
    for id in ["ann", "ben", "cleo"] {
        let _client = dial(&server, id).await;
        assert_eq!(refused(&server, "dora").await, full());
        server.kick(id).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_connection_keeps_its_place_and_comes_back_to_a_full_server() {
    let server = open_house().max_connections(1).resume_window(WINDOW).build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    let ann = server.connection("ann").unwrap();
    assert_eq!(ann.state(), ConnectionState::Suspended);
    assert_eq!(refused(&server, "ben").await, full());
    let _ann = dial(&server, "ann").await;
    settle().await;
    assert_eq!(ann.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_replaces_its_predecessor_on_a_full_server() {
    let server = open_house().max_connections(1).build().unwrap();
    let mut old = dial(&server, "ann").await;
    let _new = dial(&server, "ann").await;
    assert_eq!(old.closed().await.unwrap().unwrap().reason(), "duplicate connection id");
    assert_eq!(server.connection_count(), 1);
    assert_eq!(refused(&server, "ben").await, full());
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_to_a_new_transport_on_a_full_server() {
    let server = open_house()
        .max_connections(1)
        .resume_window(WINDOW)
        .duplicates(DuplicatePolicy::Resume)
        .build()
        .unwrap();
    let _old = dial(&server, "ann").await;
    let ann = server.connection("ann").unwrap();
    let _new = dial(&server, "ann").await;
    assert_eq!(server.connection("ann"), Some(ann));
}

/// A full server whose connections have these ids, and how often its connect function was asked
/// by those who came too late.
async fn asked_by_latecomers(id: &'static str) -> usize {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = Server::builder_sync(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Admission::room("lobby").id(id))
    });
    let server = server.max_connections(2).build().unwrap();
    let handshakes = [(); 2].map(|()| server.handshake(request_parts("/ws")).unwrap());
    for (number, handshake) in handshakes.into_iter().enumerate() {
        let admission = Admission::room("lobby");
        let named = if id.is_empty() { admission } else { admission.id(number.to_string()) };
        let _accepted = handshake.admit(named).await.unwrap();
    }
    for _ in 0..3 {
        let late = TestClient::connect(&server, "/ws").await.expect_err("full");
        assert_eq!(late.0.status(), 503);
    }
    asked.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_full_server_asks_who_comes_as_long_as_it_may_be_one_who_comes_back() {
    assert_eq!(asked_by_latecomers("newcomer").await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_server_to_which_nobody_can_come_back_asks_no_more() {
    assert_eq!(asked_by_latecomers("").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_admits_by_itself_is_held_to_the_limit_as_well() {
    let server = open_house().max_connections(1).build().unwrap();
    let [first, second] = [(); 2].map(|()| server.handshake(request_parts("/ws")).unwrap());
    let _accepted = first.admit(Admission::room("lobby").id("ann")).await.unwrap();
    let response = second.admit(Admission::room("lobby").id("ben")).await.unwrap_err();
    assert_eq!(answer(response).await, full());
}

#[tokio::test(start_paused = true)]
async fn each_address_has_places_of_its_own() {
    let server = two_each().build().unwrap();
    let _here = [
        enter(&server, "ann", "192.0.2.1").await,
        enter(&server, "ben", "192.0.2.1").await,
        enter(&server, "cleo", "192.0.2.2").await,
    ];
    assert_eq!(refused_from(&server, "dora", "192.0.2.1").await, full_from_here());
    let _dora = enter(&server, "dora", "192.0.2.2").await;
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_network_share_their_places() {
    let server = two_each().build().unwrap();
    let _clients = [
        enter(&server, "ann", "2001:db8:0:1::1").await,
        enter(&server, "ben", "2001:db8:0:1::2").await,
    ];
    assert_eq!(refused_from(&server, "cleo", "2001:db8:0:1:9::3").await, full_from_here());
    let _neighbour = enter(&server, "cleo", "2001:db8:0:2::1").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_address_is_counted() {
    let recorder = Recorder::default();
    let server = two_each().metrics(recorder.clone()).build().unwrap();
    let _clients =
        [enter(&server, "ann", "192.0.2.1").await, enter(&server, "ben", "192.0.2.1").await];
    refused_from(&server, "cleo", "192.0.2.1").await;
    assert_eq!(recorder.only("upgrade_refused"), ["upgrade_refused 429"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_makes_place_at_its_address() {
    let server = two_each().build().unwrap();
    let mut clients = Vec::new();
    for id in ["ann", "ben"] {
        clients.push(enter(&server, id, "192.0.2.1").await);
    }
    server.kick("ann").unwrap();
    clients.push(enter(&server, "cleo", "192.0.2.1").await);
    assert_eq!(refused_from(&server, "dora", "192.0.2.1").await, full_from_here());
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_takes_up_a_place_until_its_window_ends() {
    let server = open_house().max_connections_per_addr(1).resume_window(WINDOW).build().unwrap();
    drop(enter(&server, "ann", "192.0.2.1").await);
    settle().await;
    assert_eq!(refused_from(&server, "ben", "192.0.2.1").await, full_from_here());
    tokio::time::sleep(WINDOW).await;
    let _ben = enter(&server, "ben", "192.0.2.1").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_counts_where_its_client_came_from_last() {
    let server = open_house().max_connections_per_addr(1).resume_window(WINDOW).build().unwrap();
    let _there = enter(&server, "ben", "192.0.2.2").await;
    drop(enter(&server, "ann", "192.0.2.1").await);
    settle().await;
    let _back = enter(&server, "ann", "192.0.2.2").await;
    let ann = server.connection("ann").unwrap();
    assert_eq!(ann.peer_addr(), "192.0.2.2:5000".parse().ok(), "let in where no place was left");

    let _cleo = enter(&server, "cleo", "192.0.2.1").await;
    server.kick("ben").unwrap();
    assert_eq!(refused_from(&server, "dora", "192.0.2.2").await, full_from_here());
    server.kick("ann").unwrap();
    let _dora = enter(&server, "dora", "192.0.2.2").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_comes_back_from_nowhere_waits_on() {
    let server = open_house().max_connections_per_addr(1).resume_window(WINDOW).build().unwrap();
    drop(enter(&server, "ann", "192.0.2.1").await);
    settle().await;
    assert_eq!(refused(&server, "ann").await.0, 500);
    let ann = server.connection("ann").unwrap();
    assert_eq!(ann.state(), ConnectionState::Suspended);
}

#[tokio::test(start_paused = true)]
async fn the_address_in_a_proxys_header_outranks_that_of_the_proxy() {
    let server = open_house()
        .max_connections_per_addr(1)
        .peer_addr(|request| request.header("x-real-ip")?.parse().ok())
        .build()
        .unwrap();
    let through_proxy = |client: &str| {
        let mut parts = request_parts("/ws");
        parts.headers.insert("x-real-ip", client.parse().unwrap());
        parts.extensions.insert(PeerAddr("127.0.0.1:80".parse().unwrap()));
        let admitted = match server.handshake(parts) {
            Ok(handshake) => {
                let admitted = handshake.admit(Admission::room("lobby")).now_or_never();
                admitted.expect("alone, it waits for nobody")
            }
            Err(refused) => Err(refused),
        };
        admitted.map_err(|refused| refused.status())
    };
    let _accepted = [through_proxy("192.0.2.1:1").unwrap(), through_proxy("192.0.2.2:1").unwrap()];
    assert_eq!(through_proxy("192.0.2.1:2").unwrap_err(), 429);
    let _proxys_own = through_proxy("unknown").unwrap();
    assert_eq!(through_proxy("unknown").unwrap_err(), 429);
}

#[tokio::test(start_paused = true)]
async fn clients_whose_address_is_unknown_are_refused_where_there_is_a_limit_by_address() {
    let server = open_house().max_connections_per_addr(1).build().unwrap();
    let unknown = (500, "the client's address is unknown\n".to_owned());
    assert_eq!(refused(&server, "ann").await, unknown);
    assert_eq!(server.connection_count(), 0);
}

/// As `axum::serve` serves it, with the addresses that axum has.
#[tokio::test]
async fn a_limit_by_address_holds_behind_axums_own_server() {
    let server = open_house().max_connections_per_addr(1).build().unwrap();
    let app = axum::Router::new().route_service("/ws", server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(axum::serve(listener, service).into_future());
    let ann = TestClient::connect_tcp(address, "/ws?id=ann").await.unwrap();
    let refused = TestClient::connect_tcp(address, "/ws?id=ben").await.unwrap_err();
    assert!(refused.to_string().contains("429"), "{refused}");
    assert_eq!(server.connection_count(), 1);
    serving.abort();
    drop(ann);
    server.close().await;
}

/// Has 200 handshakes made at once, on several threads, and tells how many were let in, along with
/// what keeps them there.
async fn rush(server: &Server, id: fn(usize) -> String) -> Vec<Accepted> {
    const CLIENTS: usize = 200;
    let start = Arc::new(Barrier::new(CLIENTS));
    let knocking = (0..CLIENTS).map(|number| {
        let (server, start) = (server.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            knock(&server, &id(number), "192.0.2.1").await.ok()
        })
    });
    let knocking: Vec<_> = knocking.collect();
    join_all(knocking).await.into_iter().filter_map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_at_once_exactly_as_many_are_let_in_as_there_are_places() {
    let server = open_house().max_connections(50).build().unwrap();
    let accepted = rush(&server, |number| number.to_string()).await;
    assert_eq!((accepted.len(), server.connection_count()), (50, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_at_once_exactly_as_many_are_let_in_as_one_address_has_places() {
    let server = open_house().max_connections_per_addr(50).build().unwrap();
    let accepted = rush(&server, |number| number.to_string()).await;
    assert_eq!((accepted.len(), server.connection_count()), (50, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn places_are_free_again_after_a_rush_of_clients_that_replace_each_other() {
    let server = open_house().max_connections_per_addr(50).build().unwrap();
    // Each id comes twice.
    let accepted = rush(&server, |number| (number / 2).to_string()).await;
    assert!(accepted.len() >= 50);
    assert_eq!(server.connection_count(), 50);
    for connection in server.all_connections() {
        connection.close();
    }
    let accepted = rush(&server, |number| number.to_string()).await;
    assert_eq!((accepted.len(), server.connection_count()), (50, 50));
}
