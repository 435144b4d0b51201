//! Whole servers around a NATS server that is killed and stopped: nothing is lost, nothing comes twice.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};
use wspulse::cluster::{Found, NodeState, NotSent};
use wspulse::testing::TestClient;
use wspulse::{Admission, Frame, Rejection, RoomOptions, Server};
use wspulse_nats::Builder;

use crate::nats_server::NatsServer;

const PATIENCE: Duration = Duration::from_mins(1);

async fn server(nats: &NatsServer) -> Server {
    server_of(nats.builder()).await
}

async fn server_of(builder: Builder) -> Server {
    let engine = builder.build().unwrap();
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .send_buffer_size(4096)
        .cluster(engine)
        .build()
        .unwrap();
    server.cluster().unwrap().started().await.unwrap();
    server
}

/// Two that know each other, and a member on the second.
async fn two(nats: &NatsServer) -> ([Server; 2], TestClient<DuplexStream>) {
    acquainted([server(nats).await, server(nats).await]).await
}

async fn acquainted(servers: [Server; 2]) -> ([Server; 2], TestClient<DuplexStream>) {
    let know_each_other =
        || servers.iter().all(|server| server.cluster().unwrap().nodes().len() == 1);
    until(know_each_other).await;
    let member = TestClient::connect(&servers[1], "/ws").await.expect("admitted");
    (servers, member)
}

async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it comes to that");
}

fn say(server: &Server, numbers: std::ops::Range<u32>) {
    for number in numbers {
        server.broadcast("lobby", Frame::new("n").json(&number).unwrap()).unwrap();
    }
}

async fn hears(member: &mut TestClient<DuplexStream>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let frame = timeout(PATIENCE, member.frame()).await.expect("a frame").unwrap();
        assert_eq!(frame.to_json::<u32>().unwrap(), number);
    }
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn what_is_said_while_nats_is_killed_and_comes_again_arrives_once_and_in_order() {
    let nats = NatsServer::start();
    let (servers, mut member) = two(&nats).await;
    say(&servers[0], 0..1_000);
    hears(&mut member, 0..1_000).await;
    nats.kill();
    until(|| !servers[0].cluster().unwrap().is_connected()).await;
    say(&servers[0], 1_000..2_000);
    nats.start_again();
    until(|| servers[0].cluster().unwrap().is_connected()).await;
    say(&servers[0], 2_000..3_000);
    hears(&mut member, 1_000..3_000).await;
    for server in &servers {
        server.close().await;
    }
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn what_is_said_while_nats_stands_still_arrives_once_and_in_order() {
    let nats = NatsServer::start();
    let (servers, mut member) = two(&nats).await;
    say(&servers[0], 0..50);
    hears(&mut member, 0..50).await;
    nats.signal("-STOP");
    for at in 1..=40 {
        say(&servers[0], at * 50..(at + 1) * 50);
        // As a server says it, and not all at once.
        sleep(Duration::from_millis(100)).await;
    }
    nats.signal("-CONT");
    hears(&mut member, 50..2_050).await;
    for server in &servers {
        server.close().await;
    }
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_connection_is_found_sent_to_and_kicked_on_another_server_and_named_as_lacking_without_nats()
 {
    let nats = NatsServer::start();
    let (servers, mut member) = two(&nats).await;
    let cluster = servers[0].cluster().unwrap();
    let there = servers[1].cluster().unwrap().id();
    let id = servers[1].all_connections()[0].id().to_owned();
    assert!(matches!(cluster.find(&id).await, Found::At(found) if found.node == there));
    for number in 0..100_u32 {
        cluster.send(&id, Frame::new("n").json(&number).unwrap()).await.unwrap();
    }
    hears(&mut member, 0..100).await;
    let members = cluster.connections("lobby").await;
    assert!(members.is_complete());
    assert_eq!((members.value.count, &*members.value.listed[0].id), (1, &*id));
    nats.kill();
    until(|| !cluster.is_connected()).await;
    let sent = cluster.send(&id, Frame::new("n")).await;
    assert!(matches!(&sent, Err(NotSent::NotReached { gone, .. }) if *gone == [there]), "{sent:?}");
    nats.start_again();
    until(|| cluster.is_connected() && servers[1].cluster().unwrap().is_connected()).await;
    assert_eq!(cluster.kick(&id).await.unwrap().nodes, [there]);
    assert!(servers[1].connection(&id).is_none());
    // One that has left is asked no more.
    servers[1].close().await;
    until(|| !cluster.nodes().iter().any(|node| node.state == NodeState::Serving)).await;
    assert_eq!(cluster.find(&id).await, Found::Nowhere);
    servers[0].close().await;
}

fn with_presence(nats: &NatsServer) -> Server {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").id(&*id))
    })
    .resume_window(Duration::from_mins(1))
    .room_options(|_| RoomOptions::new().tell_presence())
    .cluster(nats.builder().build().unwrap())
    .build()
    .unwrap()
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn members_are_told_who_is_on_another_server_also_after_nats_was_gone() {
    let nats = NatsServer::start();
    let servers = [with_presence(&nats), with_presence(&nats)];
    let know_each_other =
        || servers.iter().all(|server| server.cluster().unwrap().nodes().len() == 1);
    until(know_each_other).await;
    let mut ann = TestClient::connect(&servers[0], "/ws?id=ann").await.expect("admitted");
    let present = |server: &Server| {
        let people = server.room("lobby").presence().unwrap().people;
        people.iter().map(|it| it.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    until(|| present(&servers[0]) == ["ann"]).await;
    let _bob = TestClient::connect(&servers[1], "/ws?id=bob").await.expect("admitted");
    until(|| servers.iter().all(|server| present(server) == ["ann", "bob"])).await;
    let told = async {
        loop {
            let frame = ann.frame().await.unwrap();
            if String::from_utf8_lossy(frame.payload()).contains("\"bob\"") {
                return frame;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, told).await.expect("she is told").event(), "presence");
    nats.kill();
    until(|| servers.iter().all(|server| !server.cluster().unwrap().is_connected())).await;
    servers[1].kick("bob").unwrap();
    let _cid = TestClient::connect(&servers[1], "/ws?id=cid").await.expect("admitted");
    nats.start_again();
    until(|| servers.iter().all(|server| present(server) == ["ann", "cid"])).await;
    for server in &servers {
        server.close().await;
    }
}

/// One of a NATS cluster; the first has no other one to connect to.
fn routed(to: Option<&NatsServer>) -> NatsServer {
    let routes = to.map(|other| format!("\"{}\"", other.route())).unwrap_or_default();
    let config = "cluster { name: three, listen: \"127.0.0.1:-1\", routes: [";
    NatsServer::with_config(&format!("{config}{routes}] }}"))
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn what_is_said_while_one_of_three_nats_servers_dies_arrives_once_and_in_order() {
    let first = routed(None);
    let (second, third) = (routed(Some(&first)), routed(Some(&first)));
    let named = first.builder().server(second.url()).server(third.url());
    // So that it is with the first, which will die.
    second.kill();
    third.kill();
    let speaker = server_of(named).await;
    second.start_again();
    third.start_again();
    let (servers, mut member) = acquainted([speaker, server(&third).await]).await;
    let cluster = servers[0].cluster().unwrap();
    say(&servers[0], 0..500);
    hears(&mut member, 0..500).await;
    first.kill();
    // One after the other, until it is with another one, and for a while after.
    let mut said = 500;
    let mut was_gone = false;
    while !was_gone || !cluster.is_connected() || said < 1_500 {
        was_gone |= !cluster.is_connected();
        say(&servers[0], said..said + 1);
        said += 1;
        sleep(Duration::from_millis(1)).await;
    }
    hears(&mut member, 500..said).await;
    for server in servers {
        server.close().await;
    }
}
