//! Servers that come and go.

use std::time::Duration;

use wspulse::testing::cluster::MemoryNetwork;

use super::support::clients::numbered;
use super::{cluster, come, hears, node, rooms};

#[test]
fn a_server_of_a_cluster_is_built_inside_of_a_runtime() {
    let error = rooms().cluster(MemoryNetwork::new().engine()).build().unwrap_err();
    assert_eq!(error.option(), "cluster");
}

#[tokio::test(start_paused = true)]
async fn a_server_knows_the_others_and_how_many_connections_they_have() {
    let servers = cluster(&MemoryNetwork::new(), 3).await;
    let _ann = come(&servers[1], "room=lobby&id=ann").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let known = servers[0].cluster().unwrap().nodes();
    let of = |server: usize| {
        let id = servers[server].cluster().unwrap().id();
        known.iter().find(|node| node.id == id).copied().unwrap()
    };
    assert_eq!((of(1).connections, of(2).connections), (1, 0));
    assert!(!of(1).is_silent);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_cut_off_is_silent_until_it_is_back() {
    let network = MemoryNetwork::new();
    let (here, _) = node(&network, rooms());
    let (there, engine) = node(&network, rooms());
    let servers = [here, there];
    super::know_each_other(&servers).await;
    let is_silent = || servers[0].cluster().unwrap().nodes()[0].is_silent;
    network.cut(&engine);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(is_silent());
    network.heal();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!is_silent());
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_a_close_arrives() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    servers[0].broadcast("lobby", numbered(1)).unwrap();
    servers[0].close().await;
    assert_eq!(hears(&mut bob, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_holds_any_more_leaves_the_cluster() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let [here, there] = servers.try_into().expect("two");
    drop(there);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(here.cluster().unwrap().nodes()[0].is_silent);
}
