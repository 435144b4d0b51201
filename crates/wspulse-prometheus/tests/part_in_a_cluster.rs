//! A server's part in its cluster, as Prometheus sees it.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::metrics::FramesMissed;
use wspulse::testing::TestClient;
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{Admission, Frame, GroupKind, MetricsCollector, Server};
use wspulse_prometheus::PrometheusCollector;

fn collector() -> PrometheusCollector {
    PrometheusCollector::builder().build().unwrap()
}

fn server(network: &MemoryNetwork, metrics: &PrometheusCollector) -> Server {
    Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .cluster(network.engine())
        .metrics(metrics.clone())
        .build()
        .unwrap()
}

#[track_caller]
fn assert_has(metrics: &PrometheusCollector, lines: &[&str]) {
    let page = metrics.handler().response().into_body();
    for line in lines {
        assert!(page.lines().any(|other| other == *line), "no {line:?} in:\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_alone_has_nothing_of_a_cluster() {
    let metrics = collector();
    let alone = Server::builder_sync(|_| Ok(Admission::room("lobby")));
    let _server = alone.metrics(metrics.clone()).build().unwrap();
    assert_has(
        &metrics,
        &[
            "wspulse_cluster_servers 0",
            "wspulse_cluster_servers_connected 0",
            "wspulse_cluster_peers{state=\"heard\"} 0",
            "wspulse_cluster_messages_sent_total 0",
            "wspulse_cluster_gaps_total{group=\"room\"} 0",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn peers_and_frames_of_theirs_are_counted_and_silence_is_told() {
    let (network, metrics) = (MemoryNetwork::new(), collector());
    let (here, there) = (server(&network, &metrics), server(&network, &collector()));
    let _ann = TestClient::connect(&here, "/ws").await.unwrap();
    sleep(Duration::from_millis(1_500)).await;
    there.broadcast("lobby", Frame::new("hello")).unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_has(
        &metrics,
        &[
            "wspulse_cluster_servers 1",
            "wspulse_cluster_servers_connected 1",
            "wspulse_cluster_peers{state=\"heard\"} 1",
            "wspulse_cluster_peers{state=\"silent\"} 0",
            "wspulse_cluster_subscriptions 1",
            "wspulse_cluster_frames_heard_total 1",
            "wspulse_cluster_people_refused_total 0",
        ],
    );
    network.interrupt();
    sleep(Duration::from_secs(5)).await;
    assert_has(
        &metrics,
        &[
            "wspulse_cluster_servers_connected 0",
            "wspulse_cluster_peers{state=\"heard\"} 0",
            "wspulse_cluster_peers{state=\"silent\"} 1",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_lacking_and_was_said_again_is_counted() {
    let (network, metrics) = (MemoryNetwork::new(), collector());
    let (here, there) = (server(&network, &metrics), server(&network, &collector()));
    let _ann = TestClient::connect(&here, "/ws").await.unwrap();
    sleep(Duration::from_secs(2)).await;
    network.interrupt();
    there.broadcast("lobby", Frame::new("hello")).unwrap();
    sleep(Duration::from_millis(10)).await;
    network.restore();
    sleep(Duration::from_secs(3)).await;
    assert_has(&metrics, &["wspulse_cluster_frames_repaired_total 1"]);
}

#[test]
fn losses_are_counted_by_who_lacks_them_known_or_not() {
    let metrics = collector();
    metrics.frames_missed(&FramesMissed::new(GroupKind::Room, "lobby", Some(7)));
    metrics.frames_missed(&FramesMissed::new(GroupKind::Room, "attic", None));
    metrics.frames_missed(&FramesMissed::new(GroupKind::Everybody, "", Some(2)));
    assert_has(
        &metrics,
        &[
            "wspulse_cluster_frames_missed_total{group=\"room\"} 7",
            "wspulse_cluster_gaps_total{group=\"room\"} 2",
            "wspulse_cluster_frames_missed_total{group=\"everybody\"} 2",
            "wspulse_cluster_gaps_total{group=\"user\"} 0",
        ],
    );
}
