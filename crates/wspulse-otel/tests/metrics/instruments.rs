//! What a server's life looks like through OpenTelemetry: instruments, units, attributes, options.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Reader, assert_has};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::metrics::noop::NoopMeterProvider;
use wspulse::metrics::{
    CallbackBlocked, CallbackPanicked, ConnectionClosed, ConnectionOpened, DrainStarted,
    FrameDropped, FramesAcknowledged, FramesConflated, FramesLost, FramesMissed, LimitReached,
    MessageBroadcast, MessageInflated, MessageReceived, MessageUndecodable, MessagesCompressed,
    MessagesDiscarded, MessagesSent, PongTimeout, PresenceTold, ReplyUnmatched, RequestFinished,
    RequestOutcome, RoomCreated, RoomDestroyed, SessionResumed, SessionSuspended, UpgradeRefused,
};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, CallbackKind, DisconnectReason, DropReason, DuplicatePolicy, Frame, GroupKind,
    Limit, MessageKind, MetricsCollector, Rejection, Server,
};
use wspulse_otel::{Builder, OptionError, OtelCollector};

const WINDOW: Duration = Duration::from_secs(30);

/// A server that lets clients into the room and under the id that their query names.
fn server(metrics: &OtelCollector) -> Server {
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

/// Lets everything run that can, by a millisecond of paused time.
async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Calls every hook once, in an order that could be.
fn call_every_hook(metrics: &OtelCollector, room: &str, id: &str) {
    let reason = DisconnectReason::Kicked;
    metrics.room_created(&RoomCreated::new(room));
    metrics.connection_opened(&ConnectionOpened::new(room, id));
    metrics.session_suspended(&SessionSuspended::new(room, id));
    metrics.session_resumed(&SessionResumed::new(room, id, true));
    metrics.message_received(&MessageReceived::new(room, id, 5));
    metrics.message_undecodable(&MessageUndecodable::new(room, id, 5));
    metrics.messages_discarded(&MessagesDiscarded::new(room, id, 2));
    metrics.message_broadcast(&MessageBroadcast::new(GroupKind::Room, room, 5, 3));
    metrics.messages_sent(&MessagesSent::new(room, id, 1, 5, 0, 8));
    metrics.messages_compressed(&MessagesCompressed::new(room, id, 1, 5, 3));
    metrics.message_inflated(&MessageInflated::new(room, id, 7, 4));
    metrics.presence_told(&PresenceTold::new(room, 1, 2, 3));
    metrics.frame_dropped(&FrameDropped::new(room, id, DropReason::Ended));
    metrics.frames_acknowledged(&FramesAcknowledged::new(room, id, 2, Some(WINDOW)));
    metrics.frames_conflated(&FramesConflated::new(room, id, 3));
    metrics.frames_lost(&FramesLost::new(room, id, 3));
    metrics.frames_missed(&FramesMissed::new(GroupKind::Room, room, Some(3)));
    metrics.request_finished(&RequestFinished::new(room, id, RequestOutcome::Replied, WINDOW));
    metrics.reply_unmatched(&ReplyUnmatched::new(room, id));
    metrics.pong_timeout(&PongTimeout::new(room, id));
    metrics.drain_started(&DrainStarted::new(1, WINDOW));
    metrics.upgrade_refused(&UpgradeRefused::new(403));
    metrics.limit_reached(&LimitReached::new(Limit::Suspended));
    let callback = CallbackKind::Message;
    metrics.callback_panicked(&CallbackPanicked::new(room, id, callback));
    metrics.callback_blocked(&CallbackBlocked::new(room, id, callback, "dance", WINDOW, 1));
    metrics.connection_closed(&ConnectionClosed::new(room, id, WINDOW, reason, false));
    metrics.room_destroyed(&RoomDestroyed::new(room));
}

#[expect(clippy::too_many_lines, reason = "a line for each instrument")]
#[test]
fn every_instrument_has_its_kind_and_unit_and_a_line_in_the_readme() {
    let reader = Reader::new();
    call_every_hook(&OtelCollector::new(&reader.meter()), "lobby", "ann");
    let expected = [
        ("wspulse.acknowledgement.age", "histogram", "s"),
        ("wspulse.broadcast.fanout", "histogram", "{connection}"),
        ("wspulse.callbacks.blocked", "counter", "{callback}"),
        ("wspulse.callbacks.panicked", "counter", "{callback}"),
        ("wspulse.connection.duration", "histogram", "s"),
        ("wspulse.connections.active", "up-down counter", "{connection}"),
        ("wspulse.connections.ending", "up-down counter", "{connection}"),
        ("wspulse.history.size", "up-down counter", "By"),
        ("wspulse.messages.sent_size", "counter", "By"),
        ("wspulse.presence.changes", "counter", "{person}"),
        ("wspulse.presence.people", "up-down counter", "{person}"),
        ("wspulse.presence.snapshots", "counter", "{connection}"),
        ("wspulse.presence.told", "counter", "{connection}"),
        ("wspulse.rooms.largest", "gauge", "{member}"),
        ("wspulse.rooms.members", "up-down counter", "{member}"),
        ("wspulse.send_buffer.frames", "up-down counter", "{frame}"),
        ("wspulse.send_buffer.size", "up-down counter", "By"),
        ("wspulse.unacknowledged.frames", "up-down counter", "{frame}"),
        ("wspulse.unacknowledged.size", "up-down counter", "By"),
        ("wspulse.users.active", "up-down counter", "{user}"),
        ("wspulse.cluster.frames.foreign", "counter", "{frame}"),
        ("wspulse.cluster.frames.heard", "counter", "{frame}"),
        ("wspulse.cluster.frames.missed", "counter", "{frame}"),
        ("wspulse.cluster.frames.repaired", "counter", "{frame}"),
        ("wspulse.cluster.gaps", "counter", "{gap}"),
        ("wspulse.cluster.held.size", "up-down counter", "By"),
        ("wspulse.cluster.kept.size", "up-down counter", "By"),
        ("wspulse.cluster.longest_silence", "gauge", "s"),
        ("wspulse.cluster.messages.sent", "counter", "{message}"),
        ("wspulse.cluster.messages.unreadable", "counter", "{message}"),
        ("wspulse.cluster.messages.unsent", "counter", "{message}"),
        ("wspulse.cluster.peers", "up-down counter", "{server}"),
        ("wspulse.cluster.questions", "counter", "{question}"),
        ("wspulse.cluster.requests.refused", "counter", "{request}"),
        ("wspulse.cluster.people.refused", "counter", "{person}"),
        ("wspulse.cluster.sessions.handed_over", "counter", "{session}"),
        ("wspulse.cluster.sessions.left_behind", "counter", "{session}"),
        ("wspulse.cluster.sessions.inherited", "counter", "{session}"),
        ("wspulse.cluster.sessions.refused", "counter", "{session}"),
        ("wspulse.cluster.servers", "up-down counter", "{server}"),
        ("wspulse.cluster.servers.connected", "up-down counter", "{server}"),
        ("wspulse.cluster.subscriptions", "up-down counter", "{subscription}"),
        ("wspulse.compression.compressed_size", "counter", "By"),
        ("wspulse.compression.messages", "counter", "{message}"),
        ("wspulse.compression.plain_size", "counter", "By"),
        ("wspulse.connections.closed", "counter", "{connection}"),
        ("wspulse.connections.opened", "counter", "{connection}"),
        ("wspulse.connections.suspended", "up-down counter", "{connection}"),
        ("wspulse.frames.conflated", "counter", "{frame}"),
        ("wspulse.frames.dropped", "counter", "{frame}"),
        ("wspulse.frames.acknowledged", "counter", "{frame}"),
        ("wspulse.frames.lost", "counter", "{frame}"),
        ("wspulse.limits.reached", "counter", "{limit}"),
        ("wspulse.messages.broadcast", "counter", "{message}"),
        ("wspulse.messages.discarded", "counter", "{message}"),
        ("wspulse.messages.received", "counter", "{message}"),
        ("wspulse.messages.received_size", "counter", "By"),
        ("wspulse.messages.sent", "counter", "{message}"),
        ("wspulse.messages.undecodable", "counter", "{message}"),
        ("wspulse.pong.timeouts", "counter", "{timeout}"),
        ("wspulse.draining", "up-down counter", "{server}"),
        ("wspulse.replies.unmatched", "counter", "{reply}"),
        ("wspulse.request.duration", "histogram", "s"),
        ("wspulse.requests.finished", "counter", "{request}"),
        ("wspulse.rooms.active", "up-down counter", "{room}"),
        ("wspulse.rooms.created", "counter", "{room}"),
        ("wspulse.rooms.destroyed", "counter", "{room}"),
        ("wspulse.send_buffer.utilization", "histogram", "1"),
        ("wspulse.sessions.resumed", "counter", "{session}"),
        ("wspulse.sessions.suspended", "counter", "{session}"),
        ("wspulse.upgrades.refused", "counter", "{upgrade}"),
    ]
    .map(|(name, kind, unit)| format!("| `{name}` | {kind} | `{unit}` |"));
    let instruments = reader.instruments();
    assert!(instruments.iter().all(|one| !one.description.is_empty()));
    let found =
        instruments.iter().map(|one| format!("| `{}` | {} | `{}` |", one.name, one.kind, one.unit));
    let found: BTreeSet<_> = found.collect();
    assert_eq!(found, BTreeSet::from(expected));
    let readme = include_str!("../../README.md");
    let rows: BTreeSet<_> = readme.lines().filter(|line| line.starts_with("| `wspulse.")).collect();
    assert_eq!(rows.len(), found.len());
    for (row, instrument) in rows.iter().zip(&found) {
        assert!(row.starts_with(&**instrument), "{row} is not {instrument}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_counted_from_its_opening_to_its_end() {
    let reader = Reader::new();
    let server = server(&OtelCollector::new(&reader.meter()));
    let mut ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    let bob = TestClient::connect(&server, "/ws?id=bob").await.unwrap();
    ann.write_message(MessageKind::Text, br#"{"event":"hi"}"#).await.unwrap();
    server.broadcast("lobby", Frame::new("news")).unwrap();
    ann.frame().await.unwrap();
    drop(bob);
    idle().await;
    let during = reader.page();
    assert_has(&during, "wspulse.rooms.active{} 1");
    assert_has(&during, "wspulse.connections.active{} 2");
    assert_has(&during, "wspulse.connections.suspended{} 1");
    let _bob = TestClient::connect(&server, "/ws?id=bob").await.unwrap();
    idle().await;
    server.kick("bob").unwrap();
    server.close().await;
    let after = reader.page();
    assert_has(&after, "wspulse.rooms.created{} 1");
    assert_has(&after, "wspulse.rooms.destroyed{} 1");
    assert_has(&after, "wspulse.rooms.active{} 0");
    assert_has(&after, "wspulse.connections.opened{} 2");
    assert_has(&after, "wspulse.connections.closed{reason=kick} 1");
    assert_has(&after, "wspulse.connections.closed{reason=server_close} 1");
    assert_has(&after, "wspulse.connections.active{} 0");
    assert_has(&after, "wspulse.connections.suspended{} 0");
    assert_has(&after, "wspulse.sessions.suspended{} 1");
    assert_has(&after, "wspulse.sessions.resumed{} 1");
    assert_has(&after, "wspulse.messages.received{} 1");
    assert_has(&after, "wspulse.messages.received_size{} 14");
    assert_has(&after, "wspulse.messages.broadcast{group=room} 1");
    assert_has(&after, "wspulse.broadcast.fanout{group=room} 1 summing up to 2");
}

#[tokio::test(start_paused = true)]
async fn a_connection_lasts_until_its_resume_window_has_passed() {
    let reader = Reader::new();
    let server = server(&OtelCollector::new(&reader.meter()));
    let ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    tokio::time::sleep(WINDOW / 2).await;
    drop(ann);
    tokio::time::sleep(WINDOW * 2).await;
    let page = reader.page();
    assert_has(&page, "wspulse.connections.closed{reason=grace_expired} 1");
    assert_has(&page, "wspulse.connection.duration{reason=grace_expired} up to 60: 1");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_wait_go_up_and_down() {
    let reader = Reader::new();
    let server = server(&OtelCollector::new(&reader.meter()));
    for id in ["ann", "bob", "cat"] {
        drop(TestClient::connect(&server, &format!("/ws?id={id}")).await.unwrap());
    }
    let _dan = TestClient::connect(&server, "/ws?id=dan").await.unwrap();
    idle().await;
    assert_has(&reader.page(), "wspulse.connections.suspended{} 3");
    let _ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    server.kick("bob").unwrap();
    server.kick("dan").unwrap();
    idle().await;
    assert_has(&reader.page(), "wspulse.connections.suspended{} 1");
    server.close().await;
    assert_has(&reader.page(), "wspulse.connections.suspended{} 0");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_takes_the_place_of_a_living_one_was_never_suspended() {
    let reader = Reader::new();
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .metrics(OtelCollector::new(&reader.meter()))
        .resume_window(WINDOW)
        .duplicates(DuplicatePolicy::Resume)
        .build()
        .unwrap();
    let _first = TestClient::connect(&server, "/ws").await.unwrap();
    idle().await;
    let second = TestClient::connect(&server, "/ws").await.unwrap();
    idle().await;
    drop(second);
    idle().await;
    let page = reader.page();
    assert_has(&page, "wspulse.sessions.resumed{} 1");
    assert_has(&page, "wspulse.connections.suspended{} 1");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_never_sent_is_counted_by_its_reason() {
    let reader = Reader::new();
    let server = server(&OtelCollector::new(&reader.meter()));
    drop(TestClient::connect(&server, "/ws?id=ann").await.unwrap());
    idle().await;
    server.broadcast("lobby", Frame::new("news")).unwrap();
    tokio::time::sleep(WINDOW * 2).await;
    assert_has(&reader.page(), "wspulse.frames.dropped{reason=ended} 1");
}

#[test]
fn a_broadcast_that_is_for_no_room_has_no_room() {
    let reader = Reader::new();
    let metrics = OtelCollector::builder(&reader.meter()).room_attribute(10).build().unwrap();
    for (group, room) in
        [(GroupKind::Room, "lobby"), (GroupKind::User, ""), (GroupKind::Everybody, "")]
    {
        metrics.message_broadcast(&MessageBroadcast::new(group, room, 5, 3));
    }
    let page = reader.page();
    assert_has(&page, "wspulse.messages.broadcast{group=room,room=lobby} 1");
    assert_has(&page, "wspulse.messages.broadcast{group=user} 1");
    assert_has(&page, "wspulse.broadcast.fanout{group=everybody} 1 summing up to 3");
    assert!(!page.contains("room=}"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_counted_by_its_status_if_http_knows_it() {
    let reader = Reader::new();
    let metrics = OtelCollector::new(&reader.meter());
    assert!(TestClient::connect(&server(&metrics), "/ws").await.is_err());
    for status in [0, 1_000, u16::MAX] {
        metrics.upgrade_refused(&UpgradeRefused::new(status));
    }
    let page = reader.page();
    assert_has(&page, "wspulse.upgrades.refused{status=401} 1");
    assert_has(&page, "wspulse.upgrades.refused{} 3");
}

#[test]
fn every_reason_limit_and_callback_has_its_own_name() {
    let reader = Reader::new();
    let metrics = OtelCollector::new(&reader.meter());
    let mut expected = Vec::new();
    for reason in DisconnectReason::ALL {
        let closed = ConnectionClosed::new("lobby", "ann", WINDOW, reason, false);
        metrics.connection_closed(&closed);
        expected.push(format!("wspulse.connections.closed{{reason={reason}}} 1"));
        expected.push(format!("wspulse.connection.duration{{reason={reason}}} 1 summing up to 30"));
    }
    for reason in DropReason::ALL {
        metrics.frame_dropped(&FrameDropped::new("lobby", "ann", reason));
        expected.push(format!("wspulse.frames.dropped{{reason={reason}}} 1"));
    }
    for limit in Limit::ALL {
        metrics.limit_reached(&LimitReached::new(limit));
        expected.push(format!("wspulse.limits.reached{{limit={limit}}} 1"));
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
        expected.push(format!("wspulse.callbacks.panicked{{callback={callback}}} 1"));
        expected.push(format!("wspulse.callbacks.blocked{{callback={callback}}} 1"));
    }
    let page = reader.page();
    for line in &expected {
        assert_has(&page, line);
    }
    assert!(!page.contains("other"), "{page}");
}

#[test]
fn what_compression_makes_of_messages_has_the_direction_as_an_attribute() {
    let reader = Reader::new();
    let metrics = OtelCollector::new(&reader.meter());
    metrics.messages_compressed(&MessagesCompressed::new("lobby", "ann", 2, 900, 300));
    metrics.messages_compressed(&MessagesCompressed::new("lobby", "bob", 1, 100, 50));
    metrics.message_inflated(&MessageInflated::new("lobby", "ann", 70, 7));
    let page = reader.page();
    for (direction, messages, plain, compressed) in [("sent", 3, 1000, 350), ("received", 1, 70, 7)]
    {
        for (name, count) in
            [("messages", messages), ("plain_size", plain), ("compressed_size", compressed)]
        {
            let line = format!("wspulse.compression.{name}{{direction={direction}}} {count}");
            assert_has(&page, &line);
        }
    }
}

#[test]
fn neither_ids_nor_event_names_are_attributes_nor_rooms_unless_asked_for() {
    let reader = Reader::new();
    call_every_hook(&OtelCollector::new(&reader.meter()), "kitchen", "ann");
    let page = reader.page();
    assert!(["kitchen", "ann=", "=ann", "dance"].iter().all(|no| !page.contains(no)), "{page}");
    let metrics = OtelCollector::builder(&reader.meter()).room_attribute(1).build().unwrap();
    call_every_hook(&metrics, "kitchen", "ann");
    let page = reader.page();
    assert!(["ann=", "=ann", "dance"].iter().all(|no| !page.contains(no)), "{page}");
    assert_has(&page, "wspulse.messages.sent{room=kitchen} 1");
    assert_has(&page, "wspulse.frames.dropped{reason=ended,room=kitchen} 1");
}

#[tokio::test(start_paused = true)]
async fn rooms_beyond_the_cap_count_together_as_other() {
    let reader = Reader::new();
    let metrics = OtelCollector::builder(&reader.meter()).room_attribute(2).build().unwrap();
    let server = server(&metrics);
    for (id, room) in ["other", "a", "b", "c", "d", "a"].into_iter().enumerate() {
        drop(TestClient::connect(&server, &format!("/ws?id={id}&room={room}")).await.unwrap());
    }
    idle().await;
    server.close().await;
    let page = reader.page();
    let of =
        |start| -> BTreeSet<_> { page.lines().filter(|line| line.starts_with(start)).collect() };
    let opened = [
        "wspulse.connections.opened{room=a} 2",
        "wspulse.connections.opened{room=b} 1",
        "wspulse.connections.opened{room=other} 3",
    ];
    assert_eq!(of("wspulse.connections.opened"), BTreeSet::from(opened));
    let closed = [
        "wspulse.connections.closed{reason=server_close,room=a} 2",
        "wspulse.connections.closed{reason=server_close,room=b} 1",
        "wspulse.connections.closed{reason=server_close,room=other} 3",
    ];
    assert_eq!(of("wspulse.connections.closed"), BTreeSet::from(closed));
    assert_has(&page, "wspulse.rooms.created{} 5");
}

#[test]
fn the_buckets_are_those_of_prometheus() {
    let reader = Reader::new();
    call_every_hook(&OtelCollector::new(&reader.meter()), "lobby", "ann");
    let durations =
        [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0];
    assert_eq!(reader.bounds("wspulse.connection.duration"), durations);
    let fanouts = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 1000.0];
    assert_eq!(reader.bounds("wspulse.broadcast.fanout"), fanouts);
    let shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];
    assert_eq!(reader.bounds("wspulse.send_buffer.utilization"), shares);
}

#[test]
fn buckets_must_be_there_and_ascend() {
    type Set = fn(Builder, Vec<f64>) -> Builder;
    let options: [(&str, Set); 5] = [
        ("wspulse.request.duration", Builder::request_duration_buckets),
        ("wspulse.connection.duration", Builder::connection_duration_buckets),
        ("wspulse.broadcast.fanout", Builder::broadcast_fanout_buckets),
        ("wspulse.acknowledgement.age", Builder::acknowledgement_age_buckets),
        ("wspulse.send_buffer.utilization", Builder::send_buffer_utilization_buckets),
    ];
    for (histogram, set) in options {
        let reader = Reader::new();
        let built =
            |bounds: &[f64]| set(OtelCollector::builder(&reader.meter()), bounds.into()).build();
        assert_eq!(built(&[]).unwrap_err(), OptionError::NoBuckets);
        for wrong in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[1.0, f64::INFINITY]] {
            assert_eq!(built(wrong).unwrap_err(), OptionError::Buckets);
        }
        call_every_hook(&built(&[0.5, 2.0]).unwrap(), "lobby", "ann");
        assert_eq!(reader.bounds(histogram), [0.5, 2.0]);
    }
}

#[test]
fn a_meter_without_a_provider_is_no_fault() {
    let meter = NoopMeterProvider::new().meter("wspulse");
    call_every_hook(&OtelCollector::new(&meter), "lobby", "ann");
}
