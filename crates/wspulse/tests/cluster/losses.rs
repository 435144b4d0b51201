//! What the network loses is found and asked for; what cannot be had any more is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wspulse::cluster::{Gap, GapIn, Missed};
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::testing::play;

use super::support::clients::numbered;
use super::{cluster, come, hears, know_each_other, node, rooms};

fn loses(per_mille: u16) -> NetworkFaults {
    let mut faults = NetworkFaults::NONE;
    faults.lost_per_mille = per_mille;
    faults
}

#[tokio::test(start_paused = true)]
async fn what_a_network_loses_comes_all_the_same_in_its_order() {
    let network = MemoryNetwork::with_faults(7, loses(100));
    let servers = cluster(&network, 2).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    for number in 1..=1_000 {
        servers[0].broadcast("lobby", numbered(number)).unwrap();
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(hears(&mut bob, 1_000).await, (1..=1_000).collect::<Vec<_>>());
    assert!(servers[1].cluster().unwrap().readings().asked > 0, "nothing was lost");
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_is_missed_within_two_beats_though_none_follows_it() {
    let network = MemoryNetwork::new();
    let servers = cluster(&network, 2).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    servers[0].broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(hears(&mut bob, 1).await, [1]);
    network.set_faults(loses(1_000));
    servers[0].broadcast("lobby", numbered(2)).unwrap();
    super::support::clock::settle().await;
    network.set_faults(NetworkFaults::NONE);
    let began = tokio::time::Instant::now();
    assert_eq!(hears(&mut bob, 1).await, [2]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_said_while_the_network_is_gone_comes_once_it_is_back() {
    let network = MemoryNetwork::new();
    let (here, engine) = node(&network, rooms());
    let (there, _) = node(&network, rooms());
    let servers = [here, there];
    know_each_other(&servers).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    engine.interrupt();
    for number in 1..=5_000 {
        servers[0].broadcast("lobby", numbered(number)).unwrap();
        if number % 100 == 0 {
            assert_eq!(hears(&mut ann, 100).await.len(), 100, "those here hear it at once");
        }
    }
    assert!(!servers[0].cluster().unwrap().is_connected());
    tokio::time::sleep(Duration::from_secs(30)).await;
    engine.restore();
    let mut heard = Vec::new();
    while heard.len() < 5_000 {
        heard.extend(hears(&mut bob, 100).await);
    }
    assert_eq!(heard, (1..=5_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_keeps_any_more_is_told_as_a_gap_of_so_many_at_its_place() {
    let told: Arc<Mutex<Vec<Gap>>> = Arc::default();
    let network = MemoryNetwork::new();
    let (here, engine) = node(&network, rooms());
    let tells = Arc::clone(&told);
    let (there, _) = node(
        &network,
        rooms().on_gap(move |gap| {
            if let GapIn::Room(room) = &gap.within {
                room.local().broadcast(numbered(0)).unwrap();
            }
            tells.lock().unwrap().push(gap);
        }),
    );
    let servers = [here, there];
    know_each_other(&servers).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    servers[0].broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(hears(&mut bob, 1).await, [1]);
    engine.interrupt();
    for number in 2..=8 {
        servers[0].broadcast("lobby", numbered(number)).unwrap();
    }
    // It is kept for a minute.
    tokio::time::sleep(Duration::from_secs(70)).await;
    servers[0].broadcast("lobby", numbered(9)).unwrap();
    engine.restore();
    assert_eq!(hears(&mut bob, 2).await, [0, 9]);
    let gaps = told.lock().unwrap();
    let missed: Vec<_> = gaps.iter().map(|gap| gap.missed).collect();
    assert_eq!(missed, [Missed::Frames(7)]);
    assert_eq!(gaps[0].origin, servers[0].cluster().unwrap().id());
}

#[test]
fn whatever_a_network_does_each_server_is_heard_in_its_order_or_the_gap_is_told() {
    play(20, |mut dice| async move {
        let network = MemoryNetwork::from_seed(dice.within(0..u64::MAX));
        let gaps: Arc<Mutex<Vec<Gap>>> = Arc::default();
        let mut servers = Vec::new();
        for _ in 0..3 {
            let gaps = Arc::clone(&gaps);
            let builder = rooms().on_gap(move |gap| gaps.lock().unwrap().push(gap));
            servers.push(node(&network, builder).0);
        }
        know_each_other(&servers).await;
        let mut bob = come(&servers[2], "room=lobby&id=bob").await;
        for number in 1..=300 {
            servers[usize::from(number % 2 == 0)].broadcast("lobby", numbered(number)).unwrap();
            tokio::time::sleep(Duration::from_millis(dice.within(0..30))).await;
        }
        network.set_faults(NetworkFaults::NONE);
        let heard = hears(&mut bob, 300).await;
        for of in 0..2 {
            let one: Vec<_> = heard.iter().copied().filter(|it| it % 2 == of).collect();
            assert!(one.is_sorted(), "{one:?}");
            assert_eq!(one.len(), 150);
        }
        assert!(gaps.lock().unwrap().is_empty(), "{gaps:?}");
    });
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_of_nobody_sends_nothing_but_that_it_is_there() {
    let servers = cluster(&MemoryNetwork::new(), 1).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let sent = || servers[0].cluster().unwrap().readings().messages_sent;
    let before = sent();
    for number in 1..=10 {
        servers[0].broadcast("lobby", numbered(number)).unwrap();
        assert_eq!(hears(&mut ann, 1).await, [number]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(sent() - before <= 1, "{} messages, and not a beat", sent() - before);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_before_another_server_is_known_comes_once_it_is() {
    let network = MemoryNetwork::new();
    let (here, _) = node(&network, rooms());
    let (there, engine) = node(&network, rooms());
    network.cut(&engine);
    let servers = [here, there];
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 1..=3 {
        servers[0].broadcast("lobby", numbered(number)).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(servers[0].cluster().unwrap().nodes(), [], "it knows of nobody");
    network.heal();
    assert_eq!(hears(&mut bob, 3).await, [1, 2, 3]);
}
