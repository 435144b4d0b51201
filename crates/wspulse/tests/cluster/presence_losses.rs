//! Who is there is the same on all servers again, whatever the network and other servers do.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse::PresenceState::{Away, Here};
use wspulse::Server;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork, NetworkFaults};
use wspulse::testing::play;

use super::presence::{Member, TOLD, WINDOW, is, present, telling};
use super::{come, know_each_other, node};

const SECOND: Duration = Duration::from_secs(1);

/// After so long without a word a server counts as silent; its last word may be a second old.
const SILENT: Duration = Duration::from_secs(3);

async fn two(network: &MemoryNetwork) -> ([Server; 2], [MemoryEngine; 2]) {
    let (here, engine) = node(network, telling());
    let (there, other) = node(network, telling());
    let servers = [here, there];
    know_each_other(&servers).await;
    (servers, [engine, other])
}

#[tokio::test(start_paused = true)]
async fn what_the_network_has_lost_is_told_within_two_seconds() {
    let network = MemoryNetwork::new();
    let (servers, _engines) = two(&network).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    ann.hears(TOLD).await;
    let mut faults = NetworkFaults::NONE;
    faults.lost_per_mille = 1_000;
    network.set_faults(faults);
    let _cid = come(&servers[1], "room=lobby&id=cid").await;
    servers[1].kick("bob").unwrap();
    assert_eq!(ann.hears(TOLD).await, [], "it is lost");
    network.set_faults(NetworkFaults::NONE);
    assert_eq!(ann.hears(2 * SECOND).await, [is("bob", "gone"), is("cid", "here")]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_at_a_server_that_dies_is_away_and_after_the_window_gone() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    ann.hears(TOLD).await;
    network.cut(&engines[1]);
    // Its last word was said within the second before.
    let ms = Duration::from_millis;
    assert_eq!(ann.hears(ms(1_850)).await, []);
    assert_eq!(ann.hears(ms(1_300)).await, [is("bob", "away")]);
    assert_eq!(ann.hears(WINDOW.saturating_sub(ms(1_300))).await, [], "it may come back");
    assert_eq!(ann.hears(ms(1_300)).await, [is("bob", "gone")]);
    assert_eq!(ann.knows(), [("ann", "here")]);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_elsewhere_after_its_server_has_died_never_leaves() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network).await;
    let (third, _) = node(&network, telling());
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    ann.hears(TOLD).await;
    network.cut(&engines[1]);
    assert_eq!(ann.hears(SILENT + TOLD).await, [is("bob", "away")]);
    let _bob = come(&third, "room=lobby&id=bob").await;
    assert_eq!(ann.hears(TOLD).await, [is("bob", "here")]);
    assert_eq!(ann.hears(2 * WINDOW).await, []);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_at_a_server_that_was_silent_for_a_while_is_here_again() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    ann.hears(TOLD).await;
    network.cut(&engines[1]);
    assert_eq!(ann.hears(SILENT + SECOND).await, [is("bob", "away")]);
    network.heal();
    assert_eq!(ann.hears(SECOND + TOLD).await, [is("bob", "here")]);
    assert_eq!(ann.hears(2 * WINDOW).await, []);
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_partition_agree_once_it_has_healed() {
    for for_long in [SECOND, SILENT + SECOND, SILENT + WINDOW + SECOND, Duration::from_mins(5)] {
        let network = MemoryNetwork::new();
        let (servers, engines) = two(&network).await;
        let _watch = [
            come(&servers[0], "room=lobby&id=here").await,
            come(&servers[1], "room=lobby&id=there").await,
        ];
        let _bob = come(&servers[1], "room=lobby&id=bob").await;
        let _cid = come(&servers[1], "room=lobby&id=cid").await;
        sleep(TOLD).await;
        network.cut(&engines[1]);
        servers[1].kick("bob").unwrap();
        let _ann = come(&servers[0], "room=lobby&id=ann").await;
        let dan = come(&servers[1], "room=lobby&id=dan").await;
        sleep(for_long).await;
        drop(dan);
        network.heal();
        sleep(2 * SECOND + TOLD).await;
        let all = [("ann", Here), ("cid", Here), ("dan", Away), ("here", Here), ("there", Here)];
        let all = all.map(|(id, state)| (id.to_owned(), state));
        for server in &servers {
            assert_eq!(present(server), all, "after {for_long:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_has_nobody_within_four_seconds() {
    let network = MemoryNetwork::new();
    let (servers, _engines) = two(&network).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    ann.hears(TOLD).await;
    let began = Instant::now();
    let ends = async {
        servers[1].close().await;
        began.elapsed()
    };
    let (changes, _) = tokio::join!(ann.hears(4 * SECOND), ends);
    assert_eq!(changes, [is("bob", "gone")]);
}

#[test]
fn a_list_that_is_asked_for_while_others_come_and_go_is_right_in_the_end() {
    play(20, |mut dice| async move {
        let mut faults = NetworkFaults::NONE;
        faults.delay = Duration::ZERO..Duration::from_millis(300);
        let network = MemoryNetwork::with_faults(dice.within(0..u64::MAX), NetworkFaults::NONE);
        let (servers, _engines) = two(&network).await;
        network.set_faults(faults);
        let mut clients = Vec::new();
        let mut number = 0_u64;
        let mut come_and_go = async |rounds| {
            for _ in 0..rounds {
                number += 1;
                clients.push(come(&servers[0], &format!("room=lobby&id={number}")).await);
                if number.is_multiple_of(3) {
                    let leaves = dice.within(1..number + 1).to_string();
                    drop(servers[0].kick(&leaves));
                }
                sleep(Duration::from_millis(dice.within(0..60))).await;
            }
        };
        come_and_go(20).await;
        let comes = Member::come(&servers[1], "room=lobby&id=bob");
        let (mut bob, ()) = tokio::join!(comes, come_and_go(40));
        bob.hears(3 * SECOND).await;
        let all = present(&servers[0]);
        assert_eq!(present(&servers[1]), all);
        assert_eq!(bob.people.len(), all.len());
    });
}

#[test]
fn a_server_that_begins_with_members_at_once_learns_who_is_elsewhere() {
    play(20, |mut dice| async move {
        let network = MemoryNetwork::with_faults(dice.within(0..u64::MAX), NetworkFaults::NONE);
        let (servers, _engines) = two(&network).await;
        let _ann = come(&servers[0], "room=lobby&id=ann").await;
        sleep(dice.time(Duration::ZERO..5 * SECOND)).await;
        let mut faults = NetworkFaults::NONE;
        faults.delay = Duration::ZERO..Duration::from_millis(300);
        network.set_faults(faults);
        let (third, _) = node(&network, telling());
        let _bob = come(&third, "room=lobby&id=bob").await;
        sleep(4 * SECOND).await;
        let all = [("ann".to_owned(), Here), ("bob".to_owned(), Here)];
        for server in [&servers[0], &third] {
            assert_eq!(present(server), all);
        }
    });
}
