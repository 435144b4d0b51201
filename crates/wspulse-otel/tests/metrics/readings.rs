//! What servers have at the moment, through OpenTelemetry.

use std::time::Duration;

use crate::support::{Reader, assert_has};
use tokio::time::sleep;
use wspulse::metrics::FramesMissed;
use wspulse::testing::TestClient;
use wspulse::testing::cluster::MemoryNetwork;
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
