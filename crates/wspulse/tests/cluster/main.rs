//! Many servers in one process, and between them a network in memory that fails as networks do.

mod asking;
mod asking_codecs;
mod asking_hostile;
mod asking_many;
mod asking_members;
mod asking_people;
mod broadcasts;
mod drains;
mod drains_at_random;
mod ids;
mod ids_at_random;
mod ids_peers;
mod ids_twice;
mod log_moves;
mod logs;
mod losses;
mod moves;
mod moves_by_hand;
mod moves_interrupted;
mod moves_meanwhile;
mod moves_overtaken;
mod nodes;
mod presence;
mod presence_drains;
mod presence_lives;
mod presence_losses;
mod presence_moves;
mod presence_peers;
#[path = "../support/mod.rs"]
mod support;
mod traveller;
mod words_of_others;

use std::time::Duration;

use wspulse::testing::TestClient;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse::{Admission, Rejection, Server, ServerBuilder};

use support::clients::{Client, numbers};

/// Admits to the query's `room` under its `id`, as its `user` if there is one.
fn rooms() -> ServerBuilder {
    Server::builder_sync(|request| {
        let ask = |name| request.query(name).ok_or_else(Rejection::unauthorized);
        let admission = Admission::room(&*ask("room")?).id(&*ask("id")?);
        Ok(match request.query("user") {
            Some(user) => admission.user(&*user),
            None => admission,
        })
    })
    .send_buffer_size(4096)
    // Clients of these tests answer only while they are read.
    .heartbeat(Duration::from_mins(5), Duration::from_mins(10))
}

/// A server with its end of the network.
fn node(network: &MemoryNetwork, builder: ServerBuilder) -> (Server, MemoryEngine) {
    let engine = network.engine();
    (builder.cluster(engine.clone()).build().unwrap(), engine)
}

/// Servers that have begun and know each other.
async fn cluster(network: &MemoryNetwork, nodes: usize) -> Vec<Server> {
    cluster_of(network, nodes, rooms).await
}

async fn cluster_of(
    network: &MemoryNetwork,
    nodes: usize,
    builder: impl Fn() -> ServerBuilder,
) -> Vec<Server> {
    let servers: Vec<_> = (0..nodes).map(|_| node(network, builder()).0).collect();
    know_each_other(&servers).await;
    servers
}

async fn know_each_other(servers: &[Server]) {
    for server in servers {
        server.cluster().unwrap().started().await.unwrap();
    }
    let know_all =
        || servers.iter().all(|it| it.cluster().unwrap().nodes().len() == servers.len() - 1);
    while !know_all() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn come(server: &Server, target: &str) -> Client {
    TestClient::connect(server, &format!("/ws?{target}")).await.expect("admitted")
}

/// The numbers of the next frames, which come within a minute or not at all.
async fn hears(client: &mut Client, count: usize) -> Vec<usize> {
    let all = tokio::time::timeout(Duration::from_mins(1), numbers(client, count));
    all.await.expect("so many frames")
}
