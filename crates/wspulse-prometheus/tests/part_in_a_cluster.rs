//! A server's part in its cluster, as Prometheus sees it.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use wspulse::metrics::FramesMissed;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, Delivery, Frame, GroupKind, MetricsCollector, Server};
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

/// One whose clients may have sessions.
fn server_with_sessions(engine: MemoryEngine, metrics: &PrometheusCollector) -> Server {
    Server::builder_sync(|request| Ok(Admission::room("lobby").id(request.query("id").unwrap())))
        .cluster(engine)
        .metrics(metrics.clone())
        .resume_window(Duration::from_mins(1))
        .delivery(Delivery::ExactlyOnce)
        .build()
        .unwrap()
}

/// Its client has begun a session and is gone.
async fn leave_a_session(server: &Server) {
    let mut parts = request_parts("/ws?id=ann");
    let json = HeaderValue::from_static("wspulse.1+json");
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, json);
    drop(TestClient::connect_with(server, parts).await.unwrap());
    while server.suspended_count() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
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

#[tokio::test(start_paused = true)]
async fn sessions_of_a_drained_server_are_counted_where_they_were_and_where_they_are_kept() {
    let (network, of_one, of_other) = (MemoryNetwork::new(), collector(), collector());
    let one = server_with_sessions(network.engine(), &of_one);
    let _other = server_with_sessions(network.engine(), &of_other);
    sleep(Duration::from_millis(1_500)).await;
    leave_a_session(&one).await;
    one.drain(Duration::ZERO).await;
    assert_has(
        &of_one,
        &[
            "wspulse_cluster_sessions_handed_over_total 1",
            "wspulse_cluster_sessions_left_behind_total 0",
            "wspulse_cluster_sessions_inherited_total 0",
        ],
    );
    assert_has(
        &of_other,
        &[
            "wspulse_cluster_sessions_handed_over_total 0",
            "wspulse_cluster_sessions_inherited_total 1",
            "wspulse_cluster_sessions_refused_total 0",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_no_server_takes_is_counted_as_left_behind() {
    let (network, metrics) = (MemoryNetwork::new(), collector());
    let engine = network.engine();
    let one = server_with_sessions(engine.clone(), &metrics);
    let _other = server_with_sessions(network.engine(), &collector());
    sleep(Duration::from_millis(1_500)).await;
    leave_a_session(&one).await;
    network.cut(&engine);
    one.drain(Duration::ZERO).await;
    assert_has(
        &metrics,
        &[
            "wspulse_cluster_sessions_handed_over_total 0",
            "wspulse_cluster_sessions_left_behind_total 1",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_a_server_does_not_take_as_it_is_drained_itself_is_counted_there() {
    let (network, of_busy) = (MemoryNetwork::new(), collector());
    let one = server_with_sessions(network.engine(), &collector());
    let busy = server_with_sessions(network.engine(), &of_busy);
    sleep(Duration::from_millis(1_500)).await;
    leave_a_session(&one).await;
    let _bob = TestClient::connect(&busy, "/ws?id=bob").await.unwrap();
    let drained = tokio::spawn({
        let busy = busy.clone();
        async move { busy.drain(Duration::from_mins(1)).await }
    });
    // The other one does not know of it yet.
    sleep(Duration::from_millis(1)).await;
    one.drain(Duration::ZERO).await;
    let page = of_busy.handler().response().into_body();
    let name = "wspulse_cluster_sessions_refused_total ";
    // It is asked more than once.
    let refused: u64 = page.lines().find_map(|it| it.strip_prefix(name)).unwrap().parse().unwrap();
    assert!(refused > 0, "{page}");
    assert_has(&of_busy, &["wspulse_cluster_sessions_inherited_total 0"]);
    busy.close().await;
    drained.await.unwrap();
}
