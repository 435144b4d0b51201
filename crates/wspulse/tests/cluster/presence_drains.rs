//! Who is in a room while servers are drained: whoever goes elsewhere is shown to nobody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{PresenceState, RoomOptions, Server, ServerBuilder};

use super::presence::{TOLD, present};
use super::presence_moves::watched;
use super::support::clock::WINDOW;
use super::traveller::{Traveller, exactly_once};
use super::{know_each_other, node};

const WITHIN: Duration = Duration::from_secs(10);

/// What was told of `ann`, by the server that has told it.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(usize, PresenceState)>>>);

impl Told {
    fn builder(&self, place: usize) -> ServerBuilder {
        let told = self.clone();
        exactly_once().room_options(|_| RoomOptions::new().presence()).on_presence(
            move |_, changes| {
                let of_ann = changes.people.iter().filter(|it| it.id.as_str() == "ann");
                told.0.lock().unwrap().extend(of_ann.map(|it| (place, it.state)));
            },
        )
    }

    /// What these servers have told, the one after the other.
    fn on(&self, places: &[usize]) -> Vec<Vec<PresenceState>> {
        let told = self.0.lock().unwrap();
        let of = |place| told.iter().filter(move |(at, _)| *at == place).map(|(_, state)| *state);
        places.iter().map(|place| of(*place).collect()).collect()
    }
}

/// Three servers with somebody on each, and `ann` on the first one.
async fn three() -> (Vec<Server>, Vec<super::Client>, Traveller, Told) {
    let told = Told::default();
    let network = MemoryNetwork::new();
    let servers: Vec<_> = (0..3).map(|place| node(&network, told.builder(place)).0).collect();
    know_each_other(&servers).await;
    let watching = watched(&servers).await;
    let ann = Traveller::begin(&servers[0]).await;
    sleep(TOLD).await;
    assert_eq!(told.on(&[0, 1, 2]), vec![[PresenceState::Here]; 3]);
    (servers, watching, ann, told)
}

fn is_there(servers: &[Server], state: PresenceState) {
    for server in servers {
        assert!(present(server).contains(&("ann".to_owned(), state)), "{:?}", present(server));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_elsewhere_while_its_server_is_drained_neither_leaves_nor_comes() {
    let (servers, _watching, mut ann, told) = three().await;
    let drained = {
        let server = servers[0].clone();
        tokio::spawn(async move { server.drain(WITHIN).await })
    };
    sleep(WITHIN / 2).await;
    ann.comes_to(&servers[1]).await;
    drained.await.unwrap();
    sleep(WITHIN).await;
    is_there(&servers[1..], PresenceState::Here);
    assert_eq!(told.on(&[1, 2]), vec![[PresenceState::Here]; 2]);
    servers[1].kick("ann").unwrap();
    sleep(TOLD).await;
    assert_eq!(told.on(&[1, 2]), vec![[PresenceState::Here, PresenceState::Gone]; 2]);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_after_the_end_of_its_server_never_leaves() {
    for place in [1, 2] {
        let (servers, _watching, mut ann, told) = three().await;
        ann.hangs_up();
        servers[0].drain(WITHIN).await;
        sleep(WITHIN).await;
        ann.comes_to(&servers[place]).await;
        sleep(WITHIN).await;
        is_there(&servers[1..], PresenceState::Here);
        let states = [PresenceState::Here, PresenceState::Away, PresenceState::Here];
        assert_eq!(told.on(&[1, 2]), vec![states; 2]);
        servers[place].kick("ann").unwrap();
        sleep(TOLD).await;
        assert!(told.on(&[1, 2]).iter().all(|it| it[3..] == [PresenceState::Gone]));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_come_back_is_away_and_then_gone_once_on_each_server() {
    let (servers, _watching, mut ann, told) = three().await;
    ann.hangs_up();
    sleep(TOLD).await;
    is_there(&servers, PresenceState::Away);
    servers[0].drain(WITHIN).await;
    is_there(&servers[1..], PresenceState::Away);
    sleep(WINDOW).await;
    sleep(WITHIN).await;
    let states = [PresenceState::Here, PresenceState::Away, PresenceState::Gone];
    assert_eq!(told.on(&[1, 2]), vec![states; 2]);
    for server in &servers[1..] {
        assert!(present(server).iter().all(|(id, _)| id != "ann"), "{:?}", present(server));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_away_on_one_server_after_the_other_never_leaves() {
    let (servers, _watching, mut ann, told) = three().await;
    ann.hangs_up();
    servers[0].drain(Duration::ZERO).await;
    // Whoever has inherited the session is drained as well.
    servers[1].drain(Duration::ZERO).await;
    ann.comes_to(&servers[2]).await;
    sleep(WITHIN).await;
    is_there(&servers[2..], PresenceState::Here);
    let states = [PresenceState::Here, PresenceState::Away, PresenceState::Here];
    assert_eq!(told.on(&[2]), [states]);
}
