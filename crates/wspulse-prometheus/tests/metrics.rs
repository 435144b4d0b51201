//! What a server's life looks like to Prometheus: names, types, labels, buckets.

use std::collections::BTreeSet;
use std::time::Duration;

use wspulse::metrics::{
    CallbackBlocked, CallbackPanicked, ConnectionClosed, ConnectionOpened, FrameDropped,
    FramesConflated, LimitReached, MessageBroadcast, MessageInflated, MessagesCompressed,
    MessagesSent, RoomCreated, UpgradeRefused,
};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, DisconnectReason, DuplicatePolicy, Frame, GroupKind, Limit, MetricsCollector,
    Rejection, Server,
};
use wspulse_prometheus::PrometheusCollector;

const WINDOW: Duration = Duration::from_secs(30);

fn collector() -> PrometheusCollector {
    PrometheusCollector::builder().build().unwrap()
}

fn page(metrics: &PrometheusCollector) -> String {
    metrics.handler().response().into_body()
}

/// A server that lets clients into the room and under the id that their query names.
fn server(metrics: &PrometheusCollector) -> Server {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        let room = request.query("room").unwrap_or("lobby".into());
        Ok(Admission::room(&*room).id(&*id))
    })
    .metrics(metrics.clone())
    .resume_window(WINDOW)
    .build()
    .unwrap()
}

fn closed(reason: DisconnectReason) -> ConnectionClosed<'static> {
    ConnectionClosed::new("lobby", "ann", Duration::ZERO, reason, false)
}

/// Lets everything run that can, by a millisecond of paused time.
async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no {line:?} in:\n{page}");
}

#[test]
fn all_names_and_types_of_the_reference_are_there() {
    let page = page(&collector());
    for counter in [
        "connections_opened",
        "connections_closed",
        "resume_attempts",
        "rooms_created",
        "rooms_destroyed",
        "messages_received",
        "messages_received_bytes",
        "messages_broadcast",
        "messages_sent",
        "frames_dropped",
        "pong_timeouts",
    ] {
        assert_has(&page, &format!("# TYPE wspulse_{counter} counter"));
    }
    for gauge in ["connections_active", "rooms_active"] {
        assert_has(&page, &format!("# TYPE wspulse_{gauge} gauge"));
    }
    for histogram in ["connection_duration_seconds", "broadcast_fanout", "send_buffer_utilization"]
    {
        assert_has(&page, &format!("# TYPE wspulse_{histogram} histogram"));
    }
}

#[test]
fn every_series_whose_labels_are_known_is_there_from_the_beginning() {
    let metrics = collector();
    let page_before = page(&metrics);
    for reason in DisconnectReason::ALL {
        let line = format!("wspulse_connections_closed_total{{reason=\"{reason}\"}} 0");
        assert_has(&page_before, &line);
    }
    assert!(!page_before.contains("\"other\""), "{page_before}");
    // Their labels are known, but a histogram for each of them is long.
    assert!(!page_before.contains("connection_duration_seconds_"), "{page_before}");
    metrics.connection_closed(&closed(DisconnectReason::Kicked));
    let page_after = page(&metrics);
    assert_has(&page_after, "wspulse_connections_closed_total{reason=\"kick\"} 1");
    assert_has(&page_after, "wspulse_connections_closed_total{reason=\"normal\"} 0");
    assert_has(&page_after, "wspulse_connection_duration_seconds_count{reason=\"kick\"} 1");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_counted_from_its_opening_to_its_end() {
    let metrics = collector();
    let server = server(&metrics);
    let mut ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    let _bob = TestClient::connect(&server, "/ws?id=bob").await.unwrap();
    let during = page(&metrics);
    assert_has(&during, "wspulse_rooms_active 1");
    assert_has(&during, "wspulse_connections_active 2");
    ann.close(None).await.unwrap();
    idle().await;
    server.kick("bob").unwrap();
    tokio::time::sleep(WINDOW * 2).await;
    let after = page(&metrics);
    assert_has(&after, "wspulse_connections_opened_total 2");
    assert_has(&after, "wspulse_connections_closed_total{reason=\"kick\"} 1");
    assert_has(&after, "wspulse_connection_duration_seconds_count{reason=\"kick\"} 1");
    assert_has(&after, "wspulse_connections_active 0");
    assert_has(&after, "wspulse_rooms_created_total 1");
    assert_has(&after, "wspulse_rooms_destroyed_total 1");
    assert_has(&after, "wspulse_rooms_active 0");
}

#[tokio::test(start_paused = true)]
async fn messages_and_their_bytes_are_counted_in_both_directions() {
    let metrics = collector();
    let server = server(&metrics);
    let mut ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    ann.write_message(wspulse::MessageKind::Text, br#"{"event":"hi"}"#).await.unwrap();
    server.broadcast("lobby", Frame::new("news")).unwrap();
    ann.frame().await.unwrap();
    idle().await;
    let page = page(&metrics);
    assert_has(&page, "wspulse_messages_received_total 1");
    assert_has(&page, "wspulse_messages_received_bytes_total 14");
    assert_has(&page, "wspulse_messages_broadcast_total 1");
    assert_has(&page, "wspulse_messages_broadcast_by_group_total{group=\"room\"} 1");
    assert_has(&page, "wspulse_broadcast_fanout_sum 1.0");
    assert_has(&page, "wspulse_messages_sent_total 1");
    assert_has(&page, "wspulse_send_buffer_utilization_count 1");
}

#[test]
fn what_compression_makes_of_messages_is_counted_by_direction() {
    let metrics = collector();
    metrics.messages_compressed(&MessagesCompressed::new("lobby", "ann", 2, 900, 300));
    metrics.messages_compressed(&MessagesCompressed::new("lobby", "bob", 1, 100, 50));
    metrics.message_inflated(&MessageInflated::new("lobby", "ann", 70, 7));
    let page = page(&metrics);
    for (direction, messages, plain, compressed) in [("sent", 3, 1000, 350), ("received", 1, 70, 7)]
    {
        for (name, count) in
            [("messages", messages), ("plain_bytes", plain), ("compressed_bytes", compressed)]
        {
            let series = format!("wspulse_compression_{name}_total{{direction=\"{direction}\"}}");
            assert_has(&page, &format!("{series} {count}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_is_counted_without_a_label() {
    let metrics = collector();
    let server = server(&metrics);
    drop(TestClient::connect(&server, "/ws?id=ann").await.unwrap());
    idle().await;
    let _ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    idle().await;
    let page = page(&metrics);
    assert_has(&page, "wspulse_connections_suspended 0");
    assert_has(&page, "wspulse_resume_attempts_total 1");
    assert_has(&page, "wspulse_sessions_suspended_total 1");
    assert_has(&page, "wspulse_connections_opened_total 1");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_wait_are_a_gauge() {
    let metrics = collector();
    let server = server(&metrics);
    for id in ["ann", "bob", "cat"] {
        drop(TestClient::connect(&server, &format!("/ws?id={id}")).await.unwrap());
    }
    let _dan = TestClient::connect(&server, "/ws?id=dan").await.unwrap();
    idle().await;
    assert_has(&page(&metrics), "wspulse_connections_suspended 3");
    let _ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    server.kick("bob").unwrap();
    server.kick("dan").unwrap();
    idle().await;
    assert_has(&page(&metrics), "wspulse_connections_suspended 1");
    server.close().await;
    assert_has(&page(&metrics), "wspulse_connections_suspended 0");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_takes_the_place_of_a_living_one_leaves_the_gauge_alone() {
    let metrics = collector();
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .metrics(metrics.clone())
        .resume_window(WINDOW)
        .duplicates(DuplicatePolicy::Resume)
        .build()
        .unwrap();
    let _first = TestClient::connect(&server, "/ws").await.unwrap();
    idle().await;
    let second = TestClient::connect(&server, "/ws").await.unwrap();
    idle().await;
    assert_has(&page(&metrics), "wspulse_connections_suspended 0");
    drop(second);
    idle().await;
    let page = page(&metrics);
    assert_has(&page, "wspulse_resume_attempts_total 1");
    assert_has(&page, "wspulse_connections_suspended 1");
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_and_a_closed_server_are_reasons() {
    let metrics = collector();
    let server = server(&metrics);
    drop(TestClient::connect(&server, "/ws?id=ann").await.unwrap());
    tokio::time::sleep(WINDOW * 2).await;
    let _bob = TestClient::connect(&server, "/ws?id=bob").await.unwrap();
    server.close().await;
    let page = page(&metrics);
    assert_has(&page, "wspulse_connections_closed_total{reason=\"grace_expired\"} 1");
    assert_has(&page, "wspulse_connections_closed_total{reason=\"server_close\"} 1");
    let le = "wspulse_connection_duration_seconds_bucket{le=\"60.0\",reason=\"grace_expired\"} 1";
    assert_has(&page, le);
}

#[test]
fn a_broadcast_that_is_for_no_room_is_counted_beside_the_rooms() {
    let metrics = PrometheusCollector::builder().room_label(10).build().unwrap();
    for (group, room) in
        [(GroupKind::Room, "lobby"), (GroupKind::User, ""), (GroupKind::Everybody, "")]
    {
        metrics.message_broadcast(&MessageBroadcast::new(group, room, 5, 3));
    }
    let page = page(&metrics);
    for group in ["room", "user", "everybody"] {
        let line = format!("wspulse_messages_broadcast_by_group_total{{group=\"{group}\"}} 1");
        assert_has(&page, &line);
    }
    assert_has(&page, "wspulse_messages_broadcast_total{room_id=\"lobby\"} 1");
    assert_has(&page, "wspulse_messages_broadcast_total{room_id=\"other\"} 2");
    assert!(!page.contains("room_id=\"\""), "{page}");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_limits_are_counted_by_their_bounded_labels() {
    let metrics = collector();
    let server = server(&metrics);
    assert!(TestClient::connect(&server, "/ws").await.is_err());
    metrics.upgrade_refused(&UpgradeRefused::new(1_000));
    metrics.upgrade_refused(&UpgradeRefused::new(0));
    metrics.limit_reached(&LimitReached::new(Limit::InboundRate));
    let page = page(&metrics);
    assert_has(&page, "wspulse_upgrades_refused_total{status=\"401\"} 1");
    assert_has(&page, "wspulse_upgrades_refused_total{status=\"other\"} 2");
    assert_has(&page, "wspulse_limits_reached_total{limit=\"inbound_rate\"} 1");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_a_gauge() {
    let metrics = collector();
    let server = server(&metrics);
    assert_has(&page(&metrics), "wspulse_draining 0");
    server.drain(WINDOW).await;
    assert_has(&page(&metrics), "wspulse_draining 1");
}

#[test]
fn a_dropped_frame_counts_in_all_and_by_its_reason() {
    let metrics = collector();
    metrics.frame_dropped(&FrameDropped::new("lobby", "ann", wspulse::DropReason::Evicted));
    let page = page(&metrics);
    assert_has(&page, "wspulse_frames_dropped_total 1");
    assert_has(&page, "wspulse_frames_dropped_by_reason_total{reason=\"evicted\"} 1");
}

#[test]
fn a_frame_that_a_newer_one_has_replaced_is_not_counted_as_dropped() {
    let metrics = collector();
    metrics.frames_conflated(&FramesConflated::new("lobby", "ann", 2));
    let page = page(&metrics);
    assert_has(&page, "wspulse_frames_conflated_total 2");
    assert_has(&page, "wspulse_frames_dropped_total 0");
}

#[test]
fn no_reason_limit_or_callback_is_lost_among_the_others() {
    use wspulse::{CallbackKind, DropReason};
    let metrics = collector();
    for reason in DisconnectReason::ALL {
        metrics.connection_closed(&closed(reason));
    }
    for reason in DropReason::ALL {
        metrics.frame_dropped(&FrameDropped::new("lobby", "ann", reason));
    }
    for limit in Limit::ALL {
        metrics.limit_reached(&LimitReached::new(limit));
    }
    for callback in [
        CallbackKind::ConnectFunction,
        CallbackKind::Connect,
        CallbackKind::Message,
        CallbackKind::Undecodable,
        CallbackKind::TransportDrop,
        CallbackKind::TransportRestore,
        CallbackKind::Join,
        CallbackKind::Leave,
        CallbackKind::Expiring,
        CallbackKind::Presence,
        CallbackKind::Disconnect,
    ] {
        metrics.callback_panicked(&CallbackPanicked::new("lobby", "ann", callback));
        metrics.callback_blocked(&CallbackBlocked::new("lobby", "ann", callback, "", WINDOW, 1));
    }
    let page = page(&metrics);
    assert!(!page.contains("\"other\""), "{page}");
}

#[test]
fn neither_rooms_nor_ids_are_labels_unless_asked_for() {
    let metrics = collector();
    metrics.connection_opened(&ConnectionOpened::new("kitchen", "ann"));
    metrics.messages_sent(&MessagesSent::new("kitchen", "ann", 1, 3, 0, 8));
    let page = page(&metrics);
    assert!(!page.contains("kitchen") && !page.contains("ann"), "{page}");
}

#[test]
fn rooms_beyond_the_cap_count_together_as_other() {
    let metrics = PrometheusCollector::builder().room_label(2).build().unwrap();
    for room in ["a", "b", "c", "d", "other", "a"] {
        metrics.connection_opened(&ConnectionOpened::new(room, "ann"));
        metrics.room_created(&RoomCreated::new(room));
    }
    let page = page(&metrics);
    let opened: BTreeSet<_> = page.lines().filter(|line| line.contains("opened_total")).collect();
    let expected = [
        "wspulse_connections_opened_total{room_id=\"a\"} 2",
        "wspulse_connections_opened_total{room_id=\"b\"} 1",
        "wspulse_connections_opened_total{room_id=\"other\"} 3",
    ];
    assert_eq!(opened, BTreeSet::from(expected));
    assert_has(&page, "wspulse_rooms_created_total 6");
    assert!(!page.contains("ann"), "{page}");
}

#[test]
fn a_rooms_name_cannot_break_out_of_its_label() {
    let metrics = PrometheusCollector::builder().room_label(1).build().unwrap();
    metrics.connection_opened(&ConnectionOpened::new("a\"} 7\nb\\", "ann"));
    assert_has(&page(&metrics), r#"wspulse_connections_opened_total{room_id="a\"} 7\nb\\"} 1"#);
}

#[track_caller]
fn assert_bounds(page: &str, histogram: &str, bounds: &[&str]) {
    let start = format!("wspulse_{histogram}_bucket{{le=\"");
    let found = page.lines().filter_map(|line| line.strip_prefix(&*start));
    let found: Vec<_> = found.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(found, bounds);
}

#[test]
fn the_buckets_are_those_of_the_reference() {
    let metrics = collector();
    metrics.connection_closed(&closed(DisconnectReason::Normal));
    let page = page(&metrics);
    let durations = [
        "1.0", "5.0", "15.0", "30.0", "60.0", "300.0", "900.0", "3600.0", "7200.0", "14400.0",
        "43200.0", "86400.0", "+Inf",
    ];
    assert_bounds(&page, "connection_duration_seconds", &durations);
    let fanouts = ["1.0", "2.0", "5.0", "10.0", "25.0", "50.0", "100.0", "500.0", "1000.0", "+Inf"];
    assert_bounds(&page, "broadcast_fanout", &fanouts);
    let shares = ["0.1", "0.25", "0.5", "0.75", "0.9", "0.95", "0.99", "1.0", "+Inf"];
    assert_bounds(&page, "send_buffer_utilization", &shares);
}

#[test]
fn a_value_counts_in_the_bucket_of_its_bound_and_in_the_sum() {
    let metrics = collector();
    for (used, capacity) in [(1, 4), (3, 4), (5, 0)] {
        metrics.messages_sent(&MessagesSent::new("lobby", "ann", 1, 3, used, capacity));
    }
    let page = page(&metrics);
    assert_has(&page, "wspulse_send_buffer_utilization_sum 1.0");
    assert_has(&page, "wspulse_send_buffer_utilization_bucket{le=\"0.1\"} 1");
    assert_has(&page, "wspulse_send_buffer_utilization_bucket{le=\"0.25\"} 2");
    assert_has(&page, "wspulse_send_buffer_utilization_bucket{le=\"+Inf\"} 3");
}
