//! What servers have at the moment, through OpenTelemetry.

use std::time::Duration;

use crate::support::{Reader, assert_has};
use tokio::time::sleep;
use wspulse::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use wspulse::metrics::FramesMissed;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{
    Admission, Delivery, Frame, GroupKind, MetricsCollector, Rejection, RoomOptions, Server,
};
use wspulse_otel::OtelCollector;

const FOLDED: Duration = Duration::from_millis(60);

fn server(reader: &Reader) -> Server {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").user(&id[..1]).id(&*id))
    })
    .metrics(OtelCollector::new(&reader.meter()))
    .room_options(|_| RoomOptions::new().tell_presence())
    .resume_window(FOLDED * 100)
    .delivery(Delivery::AtLeastOnce)
    .build()
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn users_members_and_people_are_there_while_they_are_there() {
    let reader = Reader::new();
    let server = server(&reader);
    let ann = TestClient::connect(&server, "/ws?id=a1").await.unwrap();
    let _more = TestClient::connect(&server, "/ws?id=a2").await.unwrap();
    drop(TestClient::connect(&server, "/ws?id=bob").await.unwrap());
    sleep(FOLDED).await;
    let page = reader.page();
    assert_has(&page, "wspulse.users.active{} 2");
    assert_has(&page, "wspulse.rooms.members{} 3");
    assert_has(&page, "wspulse.presence.people{state=here} 1");
    assert_has(&page, "wspulse.presence.people{state=away} 1");
    assert_has(&page, "wspulse.presence.changes{} 2");
    server.close().await;
    drop(ann);
    let page = reader.page();
    assert_has(&page, "wspulse.users.active{} 0");
    assert_has(&page, "wspulse.rooms.members{} 0");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_until_it_is_acknowledged_is_there_in_frames_and_bytes() {
    let reader = Reader::new();
    let server = server(&reader);
    let _ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    sleep(FOLDED).await;
    server.send("ann", Frame::new("news")).unwrap();
    sleep(FOLDED).await;
    let now = server.readings();
    assert!(now.unacknowledged_bytes > 0);
    let page = reader.page();
    let (frames, bytes) = (now.unacknowledged_frames, now.unacknowledged_bytes);
    assert_has(&page, &format!("wspulse.unacknowledged.frames{{}} {frames}"));
    assert_has(&page, &format!("wspulse.unacknowledged.size{{}} {bytes}"));
}

#[tokio::test(start_paused = true)]
async fn a_servers_part_in_its_cluster_is_there() {
    let (network, reader) = (MemoryNetwork::new(), Reader::new());
    let admit = |_| Ok(Admission::room("lobby"));
    let metrics = OtelCollector::new(&reader.meter());
    let here = Server::builder_sync(admit).cluster(network.engine()).metrics(metrics.clone());
    let here = here.build().unwrap();
    let there = Server::builder_sync(admit).cluster(network.engine()).build().unwrap();
    let _ann = TestClient::connect(&here, "/ws").await.unwrap();
    sleep(Duration::from_millis(1_500)).await;
    network.interrupt();
    there.broadcast("lobby", Frame::new("hello")).unwrap();
    sleep(Duration::from_millis(10)).await;
    network.restore();
    sleep(Duration::from_secs(2)).await;
    metrics.frames_missed(&FramesMissed::new(GroupKind::Room, "lobby", Some(7)));
    metrics.frames_missed(&FramesMissed::new(GroupKind::Room, "lobby", None));
    let page = reader.page();
    for line in [
        "wspulse.cluster.servers{} 1",
        "wspulse.cluster.servers.connected{} 1",
        "wspulse.cluster.peers{state=heard} 1",
        "wspulse.cluster.peers{state=silent} 0",
        "wspulse.cluster.subscriptions{} 1",
        "wspulse.cluster.frames.heard{} 1",
        "wspulse.cluster.frames.repaired{} 1",
        "wspulse.cluster.frames.missed{group=room} 7",
        "wspulse.cluster.gaps{group=room} 2",
    ] {
        assert_has(&page, line);
    }
}

/// A server whose client has begun a session and is gone, and another one.
async fn with_a_session_to_leave(
    network: &MemoryNetwork,
    engine: MemoryEngine,
    readers: [&Reader; 2],
) -> [Server; 2] {
    let server = |engine, reader: &Reader| {
        Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
            .cluster(engine)
            .metrics(OtelCollector::new(&reader.meter()))
            .resume_window(FOLDED * 1_000)
            .delivery(Delivery::ExactlyOnce)
            .build()
            .unwrap()
    };
    let servers = [server(engine, readers[0]), server(network.engine(), readers[1])];
    sleep(Duration::from_millis(1_500)).await;
    let mut parts = request_parts("/ws");
    let json = HeaderValue::from_static("wspulse.1+json");
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, json);
    drop(TestClient::connect_with(&servers[0], parts).await.unwrap());
    while servers[0].suspended_count() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    servers
}

#[tokio::test(start_paused = true)]
async fn sessions_of_a_drained_server_are_there_where_they_were_and_where_they_are_kept() {
    let (network, of_one, of_other) = (MemoryNetwork::new(), Reader::new(), Reader::new());
    let readers = [&of_one, &of_other];
    let servers = with_a_session_to_leave(&network, network.engine(), readers).await;
    servers[0].drain(Duration::ZERO).await;
    let page = of_one.page();
    assert_has(&page, "wspulse.cluster.sessions.handed_over{} 1");
    assert_has(&page, "wspulse.cluster.sessions.left_behind{} 0");
    let page = of_other.page();
    assert_has(&page, "wspulse.cluster.sessions.inherited{} 1");
    assert_has(&page, "wspulse.cluster.sessions.refused{} 0");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_no_server_takes_is_left_behind() {
    let (network, of_one, of_other) = (MemoryNetwork::new(), Reader::new(), Reader::new());
    let engine = network.engine();
    let readers = [&of_one, &of_other];
    let servers = with_a_session_to_leave(&network, engine.clone(), readers).await;
    network.cut(&engine);
    servers[0].drain(Duration::ZERO).await;
    assert_has(&of_one.page(), "wspulse.cluster.sessions.left_behind{} 1");
}
