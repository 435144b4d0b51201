//! Clients that go on to a third server while their session is on its way to the second one.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse::testing::TestClient;
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::{DuplicatePolicy, Frame, Server, ServerBuilder};

use super::support::clients::Client;
use super::support::clock::WINDOW;
use super::support::speaker::Speaker;
use super::traveller::{ANN, Traveller, come_somewhere, exactly_once};
use super::{know_each_other, node, rooms};

/// How long a client may take that is told to come again, a moment later, once.
const TOLD_ONCE: Duration = Duration::from_millis(300);

fn with_resume() -> ServerBuilder {
    rooms().resume_window(WINDOW).duplicates(DuplicatePolicy::Resume)
}

/// Servers between which each message takes 3 ms.
async fn three(builder: impl Fn() -> ServerBuilder) -> Vec<Server> {
    let network = MemoryNetwork::with_faults(1, NetworkFaults::NONE);
    let servers: Vec<_> = (0..3).map(|_| node(&network, builder()).0).collect();
    know_each_other(&servers).await;
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::from_millis(3)..Duration::from_millis(4);
    network.set_faults(faults);
    servers
}

/// Comes to one server after the other until one lets it in.
async fn plain_comes_somewhere(servers: &[Server], first: usize) -> Client {
    for place in first..first + 200 {
        match TestClient::connect(&servers[place % servers.len()], ANN).await {
            Ok(client) => return client,
            Err(refused) => assert_eq!(refused.status().as_u16(), 503),
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("nobody lets it in");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_asked_for_while_it_still_arrives_goes_along_a_moment_later() {
    for millis in 0..=15 {
        let servers = three(exactly_once).await;
        let mut ann = Traveller::begin(&servers[0]).await;
        sleep(Duration::from_secs(1)).await;
        // Its network fails without a word before it hears anything of the second server.
        let _unheard = Speaker::come_back(&servers[1], ANN, &ann.hello.token, 0).await;
        sleep(Duration::from_millis(millis)).await;
        let began = Instant::now();
        come_somewhere(&mut ann, &servers, 2).await;
        assert!(began.elapsed() < TOLD_ONCE, "after {millis} ms: {:?}", began.elapsed());
        servers[0].broadcast("lobby", Frame::new("news")).unwrap();
        ann.hears(&["news"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_clients_session_that_is_asked_for_while_it_still_arrives_goes_along_a_moment_later()
 {
    for millis in 0..=15 {
        let servers = three(with_resume).await;
        let _first = TestClient::connect(&servers[0], ANN).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let _second = TestClient::connect(&servers[1], ANN).await.unwrap();
        sleep(Duration::from_millis(millis)).await;
        let began = Instant::now();
        let _third = plain_comes_somewhere(&servers, 2).await;
        assert!(began.elapsed() < TOLD_ONCE, "after {millis} ms: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_asked_for_in_vain_takes_its_client_back_at_once() {
    let slow = || with_resume().on_message(|_, _| sleep(Duration::from_secs(30)));
    let servers = three(slow).await;
    let mut ann = TestClient::connect(&servers[0], ANN).await.unwrap();
    ann.send(&Frame::new("takes half a minute")).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let refused = TestClient::connect(&servers[1], ANN).await.expect_err("it is busy");
    assert_eq!(refused.status().as_u16(), 503);
    let _back = TestClient::connect(&servers[0], ANN).await.expect("it stays, and is let in");
}
