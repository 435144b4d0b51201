//! A session that goes from one server to another is shown to nobody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::testing::play;
use wspulse::{PresenceState, RoomOptions, Server, ServerBuilder};

use super::presence::{TOLD, present};
use super::traveller::{Traveller, come_somewhere, exactly_once};
use super::{cluster_of, come};

/// What was told of `ann`, on all servers.
type Told = Arc<Mutex<Vec<PresenceState>>>;

fn telling_of_ann(told: &Told) -> impl Fn() -> ServerBuilder {
    let told = Arc::clone(told);
    move || {
        let told = Arc::clone(&told);
        exactly_once().room_options(|_| RoomOptions::new().presence()).on_presence(
            move |_, changes| {
                let of_ann = changes.people.iter().filter(|it| it.id.as_str() == "ann");
                told.lock().unwrap().extend(of_ann.map(|it| it.state));
            },
        )
    }
}

pub(crate) async fn watched(servers: &[Server]) -> Vec<super::Client> {
    let mut watching = Vec::new();
    for (place, server) in servers.iter().enumerate() {
        watching.push(come(server, &format!("room=lobby&id=watch-{place}")).await);
    }
    watching
}

#[tokio::test(start_paused = true)]
async fn a_session_that_goes_on_at_another_server_neither_leaves_nor_comes() {
    let told = Told::default();
    let servers = cluster_of(&MemoryNetwork::new(), 3, telling_of_ann(&told)).await;
    let _watching = watched(&servers).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    sleep(TOLD).await;
    assert_eq!(*told.lock().unwrap(), [PresenceState::Here; 3]);
    for place in [1, 2, 1, 0] {
        ann.comes_to(&servers[place]).await;
        sleep(2 * TOLD).await;
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(*told.lock().unwrap(), [PresenceState::Here; 3]);
    servers[0].kick("ann").unwrap();
    sleep(TOLD).await;
    assert_eq!(told.lock().unwrap()[3..], [PresenceState::Gone; 3]);
}

#[tokio::test(start_paused = true)]
async fn metadata_go_along_where_they_are_known() {
    let told = Told::default();
    let servers = cluster_of(&MemoryNetwork::new(), 2, telling_of_ann(&told)).await;
    let _watching = watched(&servers).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    servers[0].connection("ann").unwrap().set_presence("lobby", &7).unwrap();
    sleep(TOLD).await;
    ann.comes_to(&servers[1]).await;
    sleep(TOLD).await;
    for server in &servers {
        let people = server.room("lobby").presence().unwrap().people;
        assert_eq!(people[0].meta(), Some("7"));
    }
}

#[test]
fn over_a_network_that_loses_and_repeats_it_never_leaves_either() {
    play(10, |mut dice| async move {
        let told = Told::default();
        let mut faults = NetworkFaults::ALL;
        faults.interrupted_per_mille = 0;
        let network = MemoryNetwork::with_faults(dice.within(0..u64::MAX), NetworkFaults::NONE);
        let servers = cluster_of(&network, 3, telling_of_ann(&told)).await;
        let _watching = watched(&servers).await;
        let mut ann = Traveller::begin(&servers[0]).await;
        sleep(TOLD).await;
        network.set_faults(faults);
        for _ in 0..20 {
            let first = usize::try_from(dice.within(0..3)).unwrap();
            come_somewhere(&mut ann, &servers, first).await;
            sleep(Duration::from_millis(dice.within(0..300))).await;
        }
        network.set_faults(NetworkFaults::NONE);
        sleep(Duration::from_secs(10)).await;
        let told = told.lock().unwrap();
        assert!(!told.contains(&PresenceState::Gone), "{told:?}");
        for server in &servers {
            assert!(present(server).contains(&("ann".to_owned(), PresenceState::Here)));
        }
    });
}
