//! What servers have at the moment, and whom they tell of who is there, as Prometheus sees it.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::metrics::PresenceTold;
use wspulse::testing::TestClient;
use wspulse::{
    Admission, Delivery, Frame, MetricsCollector, Rejection, RoomOptions, Server, ServerBuilder,
};
use wspulse_prometheus::PrometheusCollector;

const WINDOW: Duration = Duration::from_secs(30);
const FOLDED: Duration = Duration::from_millis(60);

fn collector() -> PrometheusCollector {
    PrometheusCollector::builder().build().unwrap()
}

fn page(metrics: &PrometheusCollector) -> String {
    metrics.handler().response().into_body()
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no {line:?} in:\n{page}");
}

fn house(metrics: &PrometheusCollector) -> ServerBuilder {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").also_in(["attic"]).user(&id[..1]).id(&*id))
    })
    .metrics(metrics.clone())
    .resume_window(WINDOW)
}

#[tokio::test(start_paused = true)]
async fn users_and_members_are_gauges() {
    let metrics = collector();
    let server = house(&metrics).build().unwrap();
    let _one = TestClient::connect(&server, "/ws?id=a1").await.unwrap();
    let _two = TestClient::connect(&server, "/ws?id=a2").await.unwrap();
    let page = page(&metrics);
    assert_has(&page, "wspulse_users_active 1");
    assert_has(&page, "wspulse_room_members 4");
    assert_has(&page, "wspulse_largest_room_members 2");
    assert_has(&page, "wspulse_connections_ending 0");
}

#[tokio::test(start_paused = true)]
async fn what_waits_and_what_is_kept_are_gauges_in_frames_and_bytes() {
    let metrics = collector();
    let server = house(&metrics).delivery(Delivery::AtLeastOnce).build().unwrap();
    let ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    server.send("ann", Frame::new("news")).unwrap();
    sleep(FOLDED).await;
    drop(ann);
    sleep(FOLDED).await;
    server.send("ann", Frame::new("news")).unwrap();
    let page = page(&metrics);
    let bytes = server.readings().unacknowledged_bytes;
    assert!(bytes > 0);
    assert_has(&page, "wspulse_unacknowledged_frames 1");
    assert_has(&page, &format!("wspulse_unacknowledged_bytes {bytes}"));
    assert_has(&page, "wspulse_waiting_frames 1");
    assert_has(&page, &format!("wspulse_waiting_bytes {bytes}"));
}

#[tokio::test(start_paused = true)]
async fn people_are_a_gauge_by_whether_they_are_here() {
    let metrics = collector();
    let server =
        house(&metrics).room_options(|_| RoomOptions::new().tell_presence()).build().unwrap();
    let _ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    drop(TestClient::connect(&server, "/ws?id=bob").await.unwrap());
    sleep(FOLDED).await;
    let page = page(&metrics);
    assert_has(&page, "wspulse_presence_people{state=\"here\"} 2");
    assert_has(&page, "wspulse_presence_people{state=\"away\"} 2");
}

#[test]
fn who_was_told_of_whom_is_counted() {
    let metrics = collector();
    metrics.presence_told(&PresenceTold::new("lobby", 3, 1, 20));
    metrics.presence_told(&PresenceTold::new("attic", 0, 1, 1));
    let page = page(&metrics);
    assert_has(&page, "wspulse_presence_changes_total 3");
    assert_has(&page, "wspulse_presence_snapshots_total 2");
    assert_has(&page, "wspulse_presence_told_total 21");
}

#[tokio::test(start_paused = true)]
async fn servers_that_share_a_collector_are_added_up_as_long_as_they_are_there() {
    let metrics = collector();
    let (one, other) = (house(&metrics).build().unwrap(), house(&metrics).build().unwrap());
    let _ann = TestClient::connect(&one, "/ws?id=ann").await.unwrap();
    let _bob = TestClient::connect(&other, "/ws?id=bob").await.unwrap();
    assert_has(&page(&metrics), "wspulse_users_active 2");
    one.close().await;
    drop(one);
    assert_has(&page(&metrics), "wspulse_users_active 1");
}
