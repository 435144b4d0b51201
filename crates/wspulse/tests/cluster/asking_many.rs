//! What all servers have together, and who has not said.

use std::time::Duration;

use tokio::time::Instant;
use wspulse::cluster::{ClusterCounts, ClusterRoom};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{Admission, Server};

use super::asking::asking;
use super::support::clients::{close, close_frame};
use super::{cluster, come, know_each_other, node, rooms};

fn ids(mut all: Vec<String>) -> Vec<String> {
    all.sort_unstable();
    all
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_room_are_listed_with_their_servers() {
    let servers = cluster(&MemoryNetwork::new(), 3).await;
    let mut clients = Vec::new();
    for (server, id) in servers.iter().zip(["ann", "bob", "cid"]) {
        clients.push(come(server, &format!("room=lobby&id={id}")).await);
    }
    clients.push(come(&servers[1], "room=garden&id=dan").await);
    let members = asking(&servers[0]).connections("lobby").await;
    assert!(members.is_complete());
    assert_eq!(members.from[0], asking(&servers[0]).id());
    assert_eq!((members.from.len(), members.value.count, members.value.truncated.len()), (3, 3, 0));
    let bob = members.value.listed.iter().find(|it| it.id == "bob").unwrap();
    assert_eq!((bob.node, &*bob.room), (asking(&servers[1]).id(), "lobby"));
    let all = members.value.listed.into_iter().map(|it| it.id).collect();
    assert_eq!(ids(all), ["ann", "bob", "cid"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_cut_off_is_named_and_the_others_are_heard() {
    let network = MemoryNetwork::new();
    let (servers, engines): (Vec<_>, Vec<_>) = (0..4).map(|_| node(&network, rooms())).unzip();
    know_each_other(&servers).await;
    let mut clients = Vec::new();
    for (server, id) in servers.iter().zip(["ann", "bob", "cid", "dan"]) {
        clients.push(come(server, &format!("room=lobby&id={id}")).await);
    }
    network.cut(&engines[2]);
    engines[3].interrupt();
    let began = Instant::now();
    let members = asking(&servers[0]).connections("lobby").await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(members.silent, [asking(&servers[2]).id()]);
    assert_eq!(members.gone, [asking(&servers[3]).id()]);
    let all = members.value.listed.into_iter().map(|it| it.id).collect();
    assert_eq!(ids(all), ["ann", "bob"]);
    let counts = asking(&servers[0]).counts().await;
    assert_eq!((counts.value.connections, counts.silent.len(), counts.gone.len()), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_more_members_than_an_answer_holds_says_so_and_how_many() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut clients = Vec::new();
    for number in 0..1_030 {
        clients.push(come(&servers[1], &format!("room=lobby&id={number}")).await);
    }
    let members = asking(&servers[0]).connections("lobby").await.value;
    assert_eq!((members.listed.len(), members.count), (1_024, 1_030));
    assert_eq!(members.truncated, [asking(&servers[1]).id()]);
    // Its own, a server lists all.
    let members = asking(&servers[1]).connections("lobby").await.value;
    assert_eq!((members.listed.len(), members.truncated.len()), (1_030, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_no_more_bytes_than_half_a_message() {
    let network = MemoryNetwork::new();
    let long = || Server::builder_sync(|_| Ok(Admission::room("lobby").user("x".repeat(200_000))));
    let (servers, _) = super::asking::two(&network, long).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(come(&servers[1], "").await);
    }
    let members = asking(&servers[0]).connections("lobby").await.value;
    assert_eq!((members.listed.len(), members.count, members.truncated.len()), (2, 5, 1));
}

#[tokio::test(start_paused = true)]
async fn rooms_are_those_of_all_servers_with_all_their_members() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let _ann = come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    let _cid = come(&servers[1], "room=garden&id=cid").await;
    let rooms = asking(&servers[0]).rooms().await;
    assert!(rooms.is_complete());
    let of = |room: &ClusterRoom| (room.id.clone(), room.members);
    let rooms: Vec<_> = rooms.value.listed.iter().map(of).collect();
    assert_eq!(rooms, [("garden".to_owned(), 1), ("lobby".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_more_rooms_than_an_answer_holds_says_so() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut clients = Vec::new();
    for host in 0..9 {
        clients.push(come(&servers[1], &format!("room={host}&id={host}")).await);
        let connection = servers[1].connection(&host.to_string()).unwrap();
        for room in 1..120 {
            connection.join(&format!("{host}.{room}")).unwrap();
        }
    }
    let rooms = asking(&servers[0]).rooms().await.value;
    assert_eq!((rooms.listed.len(), rooms.truncated.len()), (1_024, 1));
}

#[tokio::test(start_paused = true)]
async fn counts_are_sums_of_what_each_server_has() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let _ann = come(&servers[0], "room=lobby&id=ann&user=ann").await;
    let _phone = come(&servers[1], "room=lobby&id=phone&user=ann").await;
    let _cid = come(&servers[1], "room=garden&id=cid").await;
    let ClusterCounts { connections, rooms, users, .. } = asking(&servers[0]).counts().await.value;
    assert_eq!((connections, rooms, users), (3, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_user_is_kicked_on_all_servers() {
    let servers = cluster(&MemoryNetwork::new(), 3).await;
    let mut devices = Vec::new();
    for (server, id) in [(0, "desk"), (1, "phone"), (1, "tablet")] {
        devices.push(come(&servers[server], &format!("room=lobby&id={id}&user=ann")).await);
    }
    let _bob = come(&servers[2], "room=lobby&id=bob&user=bob").await;
    let cluster = asking(&servers[0]);
    let listed = cluster.user_connections("ann").await.value.listed;
    let all = listed.into_iter().map(|it| it.id).collect();
    assert_eq!(ids(all), ["desk", "phone", "tablet"]);
    let kicked = cluster.kick_user("ann").await;
    assert_eq!((kicked.value, kicked.is_complete()), (3, true));
    for device in &mut devices {
        assert_eq!(close_frame(device).await, Some(close(1000, "kicked")));
    }
    assert_eq!(cluster.user_connections("ann").await.value.count, 0);
    assert_eq!(cluster.counts().await.value.connections, 1);
}
