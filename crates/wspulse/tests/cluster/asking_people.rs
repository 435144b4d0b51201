//! Who is in a room with presence, on all servers.

use std::time::Duration;

use wspulse::cluster::ClusterPerson;
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{PersonId, PresenceError, PresenceState, RoomOptions, ServerBuilder};

use super::asking::{asking, two};
use super::{cluster, come, rooms};

const SECOND: Duration = Duration::from_secs(1);

fn with_presence() -> ServerBuilder {
    rooms().resume_window(60 * SECOND).room_options(|_| RoomOptions::new().presence())
}

/// Their ids, states, metadata, and on how many servers they are.
fn told(people: &[ClusterPerson]) -> Vec<(&str, PresenceState, Option<&str>, usize)> {
    people
        .iter()
        .map(|it| (it.person.id.as_str(), it.person.state, it.person.meta(), it.nodes.len()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_user_on_two_servers_is_one_person_who_is_here_if_it_is_on_one() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network, with_presence).await;
    let desk = come(&servers[0], "room=lobby&id=desk&user=ann").await;
    let _phone = come(&servers[1], "room=lobby&id=phone&user=ann").await;
    let bob = come(&servers[1], "room=lobby&id=bob").await;
    servers[1].connection("phone").unwrap().set_presence("lobby", &7).unwrap();
    drop((desk, bob));
    tokio::time::sleep(SECOND).await;
    let people = asking(&servers[0]).presence("lobby").await.unwrap();
    assert!(people.is_complete());
    let ann = ("ann", PresenceState::Here, Some("7"), 2);
    assert_eq!(told(&people.value.people), [ann, ("bob", PresenceState::Away, None, 1)]);
    assert!(matches!(people.value.people[1].person.id, PersonId::Connection(_)));
    network.cut(&engines[1]);
    let people = asking(&servers[0]).presence("lobby").await.unwrap();
    assert_eq!(people.silent, [asking(&servers[1]).id()]);
    // Metadata are the person's, on whichever server they were set.
    assert_eq!(told(&people.value.people), [("ann", PresenceState::Away, Some("7"), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_room_without_presence_has_none_on_all_servers_either() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let _ann = come(&servers[0], "room=lobby&id=ann").await;
    let people = asking(&servers[0]).presence("lobby").await;
    assert!(matches!(people, Err(PresenceError::NoPresence { .. })), "{people:?}");
}
