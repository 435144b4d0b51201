//! Clients that come under one id to several servers at the same time: one of them stays.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use wspulse::testing::TestClient;
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::{DuplicatePolicy, ServerBuilder};

use super::support::clients::Client;
use super::support::clock::WINDOW;
use super::{cluster_of, rooms};

const SERVERS: usize = 3;

fn seeds(all: u64) -> std::ops::Range<u64> {
    let told = |name| std::env::var(name).ok().map(|told| told.parse::<u64>().unwrap());
    if let Some(seed) = told("WSPULSE_SEED") {
        return seed..seed + 1;
    }
    0..told("WSPULSE_SEEDS").unwrap_or(all)
}

fn resuming() -> ServerBuilder {
    rooms().resume_window(WINDOW)
}

fn replacing() -> ServerBuilder {
    rooms()
}

fn with_resume() -> ServerBuilder {
    resuming().duplicates(DuplicatePolicy::Resume)
}

/// A number from a seed, another for each place.
fn draw(seed: u64, place: u64, below: u64) -> u64 {
    let mixed =
        (seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 32) % below
}

/// How long two servers may have one id once their network is whole again.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

/// All come within some milliseconds, of which some are let in: how many connections there are then, and
/// how many when faults have ceased for a while.
async fn come_at_once(
    seed: u64,
    faults: NetworkFaults,
    builder: fn() -> ServerBuilder,
    is_there: bool,
) -> (usize, usize) {
    let network = MemoryNetwork::with_faults(seed, NetworkFaults::NONE);
    let servers = cluster_of(&network, SERVERS, builder).await;
    let _before = if is_there {
        Some(TestClient::connect(&servers[0], "/ws?room=lobby&id=ann").await.expect("let in"))
    } else {
        None
    };
    network.set_faults(faults);
    let mut coming = JoinSet::new();
    for (place, server) in servers.iter().enumerate() {
        let (server, after) = (server.clone(), draw(seed, place as u64, 8));
        coming.spawn(async move {
            sleep(Duration::from_millis(after)).await;
            TestClient::connect(&server, "/ws?room=lobby&id=ann").await
        });
    }
    let mut let_in: Vec<Client> = Vec::new();
    while let Some(came) = coming.join_next().await {
        if let Ok(client) = came.unwrap() {
            let_in.push(client);
        }
    }
    sleep(Duration::from_millis(200)).await;
    let count = || servers.iter().filter(|it| it.connection("ann").is_some()).count();
    let at_once = count();
    network.set_faults(NetworkFaults::NONE);
    sleep(SETTLED_WITHIN).await;
    (at_once, count())
}

fn delayed(below_ms: u64) -> NetworkFaults {
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::ZERO..Duration::from_millis(below_ms);
    faults
}

#[tokio::test(start_paused = true)]
async fn of_clients_that_come_to_several_servers_at_once_one_stays() {
    for seed in seeds(100) {
        for builder in [replacing, resuming] {
            let stay = come_at_once(seed, NetworkFaults::NONE, builder, false).await;
            assert_eq!(stay, (1, 1), "seed {seed}");
            let stay = come_at_once(seed, delayed(1 + seed % 20), builder, false).await;
            assert_eq!(stay, (1, 1), "delayed, seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_if_one_was_there_before() {
    for seed in seeds(100) {
        for builder in [replacing, resuming, with_resume] {
            let stay = come_at_once(seed, delayed(1 + seed % 20), builder, true).await;
            assert_eq!(stay, (1, 1), "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_network_that_loses_messages_one_stays_once_it_loses_none() {
    let mut doubled = 0;
    for seed in seeds(100) {
        let mut faults = delayed(10);
        (faults.lost_per_mille, faults.twice_per_mille) = (150, 50);
        let (at_once, stay) = come_at_once(seed, faults, replacing, false).await;
        assert!(at_once >= 1, "seed {seed}");
        assert_eq!(stay, 1, "seed {seed}");
        doubled += usize::from(at_once > 1);
    }
    println!("{doubled} seeds have had more than one");
}
