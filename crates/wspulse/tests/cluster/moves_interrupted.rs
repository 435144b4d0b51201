//! Handshakes that come to nothing while they bring a session from another server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wspulse::cluster::GapIn;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, ConnectRequest, Frame, Server, ServerBuilder};
use wspulse_core::protocol::ResumeOffer;

use super::support::clients::numbered;
use super::support::speaker::{JSON, Speaker, configured};
use super::traveller::{ANN, Traveller, come_somewhere, exactly_once, refused};
use super::{come, hears, know_each_other, node};

/// Servers between which each message takes up to 20 ms.
async fn slow(seed: u64, count: usize, builder: impl Fn() -> ServerBuilder) -> Vec<Server> {
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::ZERO..Duration::from_millis(20);
    let network = MemoryNetwork::with_faults(seed, faults);
    let servers: Vec<_> = (0..count).map(|_| node(&network, builder()).0).collect();
    know_each_other(&servers).await;
    servers
}

/// Begins to come to a server with a client's token, and hangs up after that time.
async fn begins_to_come(ann: &Traveller, server: &Server, hangs_up_after: Duration) {
    let resume = ResumeOffer { token: ann.hello.token.clone(), count: ann.had };
    let mut parts = request_parts(ANN);
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, format!("{JSON}, {resume}").parse().unwrap());
    drop(timeout(hangs_up_after, TestClient::connect_with(server, parts)).await);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_hangs_up_while_it_comes_goes_on_with_the_next_handshake() {
    for millis in 0..80 {
        let servers = slow(millis, 3, exactly_once).await;
        let mut ann = Traveller::begin(&servers[0]).await;
        servers[0].send("ann", Frame::new("waits")).unwrap();
        begins_to_come(&ann, &servers[1], Duration::from_millis(millis)).await;
        come_somewhere(&mut ann, &servers, 2).await;
        ann.hears(&["waits"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_once_its_session_is_there_does_not_lose_it() {
    let admits_to_too_many_rooms = |request: &ConnectRequest| {
        let admission = Admission::room("lobby").id("ann");
        if request.query("more").is_some() {
            admission.also_in(["hall", "yard"])
        } else {
            admission
        }
    };
    let builder = || {
        let builder = Server::builder_sync(move |request| Ok(admits_to_too_many_rooms(&request)));
        configured(builder).max_rooms_per_connection(2)
    };
    let servers = slow(0, 2, builder).await;
    let (speaker, hello) = Speaker::begin(&servers[0], ANN).await;
    let mut ann = Traveller { speaker, hello, had: 0 };
    servers[0].send("ann", Frame::new("waits")).unwrap();
    assert_eq!(refused(&servers[1], "/ws?more", &ann.hello.token).await, 500);
    ann.comes_to(&servers[1]).await;
    ann.hears(&["waits"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_on_its_way_to_a_server_that_is_drained_goes_on_elsewhere() {
    for millis in 0..60 {
        let servers = slow(millis, 3, exactly_once).await;
        let mut ann = Traveller::begin(&servers[0]).await;
        servers[0].send("ann", Frame::new("waits")).unwrap();
        let comes = begins_to_come(&ann, &servers[1], Duration::from_secs(2));
        let drains = async {
            sleep(Duration::from_millis(millis)).await;
            servers[1].drain(Duration::from_secs(1)).await;
        };
        tokio::join!(comes, drains);
        let others = [servers[0].clone(), servers[2].clone()];
        come_somewhere(&mut ann, &others, 0).await;
        ann.hears(&["waits"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_to_a_room_that_was_heard_there_waits_for_no_other_server() {
    let network = MemoryNetwork::new();
    let nodes: Vec<_> = (0..3).map(|_| node(&network, exactly_once())).collect();
    let servers: Vec<_> = nodes.iter().map(|(server, _)| server.clone()).collect();
    know_each_other(&servers).await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    let mut ann = Traveller::begin(&servers[0]).await;
    sleep(Duration::from_secs(10)).await;
    network.cut(&nodes[2].1);
    let began = Instant::now();
    ann.comes_to(&servers[1]).await;
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    network.heal();
    servers[2].broadcast("lobby", Frame::new("of the third")).unwrap();
    ann.hears(&["of the third"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_server_has_said_that_is_gone_by_now_is_told_as_lost_if_others_have_heard_it() {
    let (network, gaps) = (MemoryNetwork::new(), Arc::new(AtomicUsize::new(0)));
    let builder = || {
        let gaps = Arc::clone(&gaps);
        exactly_once().on_gap(move |gap| {
            let of_session = matches!(gap.within, GapIn::Connection(_));
            gaps.fetch_add(usize::from(of_session), Ordering::Relaxed);
        })
    };
    let nodes: Vec<_> = (0..3).map(|_| node(&network, builder())).collect();
    let servers: Vec<_> = nodes.iter().map(|(server, _)| server.clone()).collect();
    know_each_other(&servers).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let mut ann = Traveller::begin(&servers[0]).await;
    network.cut_between(&nodes[0].1, &nodes[2].1);
    servers[2].broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(hears(&mut bob, 1).await, [1]);
    network.cut(&nodes[2].1);
    sleep(Duration::from_secs(5)).await;
    ann.comes_to(&servers[1]).await;
    servers[1].send("ann", Frame::new("then")).unwrap();
    ann.hears(&["then"]).await;
    assert_eq!(gaps.load(Ordering::Relaxed), 1);
}
