//! The hooks of what goes wrong: silent peers, panics, undelivered messages; and hooks that go
//! wrong themselves.

use std::future::pending;
use std::time::Duration;

use http::Request;
use tokio::time::sleep;
use wspulse::metrics::{
    ConnectionClosed, ConnectionOpened, FrameDropped, MessageBroadcast, MessageReceived,
    MessagesSent, RoomCreated, RoomDestroyed, SessionResumed,
};
use wspulse::testing::{Recorder, request_parts};
use wspulse::{
    Admission, CallbackKind, Frame, MetricsCollector, NoopCollector, Rejection, Server,
    ServerBuilder, origin,
};

use crate::support::clients::{dial, dial_narrow, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

fn fail() {
    panic!("of the test");
}

fn recorded() -> (ServerBuilder, Recorder) {
    let recorder = Recorder::default();
    (open_house().metrics(recorder.clone()), recorder)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_counted_once_when_its_time_is_over() {
    let (builder, recorder) = recorded();
    let server = builder.build().unwrap();
    let mut ann = dial(&server, "ann").await;
    sleep(Duration::from_millis(29_999)).await;
    assert_eq!(recorder.only("pong_timeout"), [""; 0]);
    sleep(Duration::from_millis(2)).await;
    let expected = [
        "pong_timeout lobby ann",
        "connection_closed lobby ann 30s normal",
        "room_destroyed lobby",
    ];
    assert_eq!(recorder.lines()[2..], expected);
    let close = ann.closed().await.unwrap().unwrap();
    assert_eq!((close.code().as_u16(), close.reason()), (1001, "pong timeout"));
}

#[tokio::test(start_paused = true)]
async fn each_silent_transport_of_a_session_is_counted() {
    let (builder, recorder) = recorded();
    let server = builder.resume_window(Duration::from_mins(1)).build().unwrap();
    for _ in 0..2 {
        let _ann = dial(&server, "ann").await;
        sleep(Duration::from_secs(31)).await;
    }
    assert_eq!(recorder.only("pong_timeout"), ["pong_timeout lobby ann"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_frame_is_no_pong_timeout() {
    let (builder, recorder) = recorded();
    let server = builder.build().unwrap();
    let _ann = dial_narrow(&server, "ann").await;
    settle().await;
    server.send("ann", Frame::new("more than the stream holds")).unwrap();
    sleep(Duration::from_secs(11)).await;
    assert_eq!(server.connection_count(), 0);
    assert_eq!(recorder.only("pong_timeout"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn received_messages_that_an_end_keeps_from_their_handler_are_counted() {
    let (builder, recorder) = recorded();
    let server = builder.on_message(|_, _| pending::<()>()).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    for number in 0..4 {
        ann.send(&named(number)).await.unwrap();
    }
    settle().await;
    server.kick("ann").unwrap();
    settle().await;
    assert_eq!(recorder.only("messages_discarded"), ["messages_discarded lobby ann 3"]);
    ann.send(&named(4)).await.unwrap();
    ann.closed().await.unwrap();
    // The one whose handler runs was delivered; one that comes behind the end is just ignored.
    assert_eq!(recorder.only("messages_discarded").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_with_the_callback_that_it_came_from() {
    let (builder, recorder) = recorded();
    let server = builder
        .resume_window(Duration::from_secs(1))
        .on_connect(|_| fail())
        .on_message(|_, _| async { fail() })
        .on_transport_drop(|_, _| fail())
        .on_transport_restore(|_, _| fail())
        .on_disconnect(|_, _| async { fail() })
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&named(0)).await.unwrap();
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1011);
    let _ann = dial(&server, "ann").await;
    settle().await;
    server.kick("ann").unwrap();
    settle().await;
    assert_eq!(
        recorder.only("callback_panicked"),
        [
            CallbackKind::Connect,
            CallbackKind::Message,
            CallbackKind::TransportDrop,
            CallbackKind::TransportRestore,
            CallbackKind::Disconnect,
        ]
        .map(|callback| format!("callback_panicked lobby ann {}", callback.as_str()))
    );
}

#[test]
fn the_labels_of_callbacks_are_their_names_on_the_builder() {
    let kinds = [
        CallbackKind::ConnectFunction,
        CallbackKind::Connect,
        CallbackKind::Message,
        CallbackKind::Undecodable,
        CallbackKind::TransportDrop,
        CallbackKind::TransportRestore,
        CallbackKind::Expiring,
        CallbackKind::Disconnect,
    ];
    let names = [
        "connect",
        "on_connect",
        "on_message",
        "on_undecodable",
        "on_transport_drop",
        "on_transport_restore",
        "on_expiring",
        "on_disconnect",
    ];
    assert_eq!(kinds.map(CallbackKind::as_str), names);
}

/// Writes every hook down and then panics.
struct Panicking(Recorder);

impl MetricsCollector for Panicking {
    fn room_created(&self, event: &RoomCreated<'_>) {
        self.0.room_created(event);
        panic!("room_created");
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        self.0.connection_opened(event);
        panic!("connection_opened");
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        self.0.session_resumed(event);
        panic!("session_resumed");
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        self.0.connection_closed(event);
        panic!("connection_closed");
    }

    fn room_destroyed(&self, event: &RoomDestroyed<'_>) {
        self.0.room_destroyed(event);
        panic!("room_destroyed");
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        self.0.message_received(event);
        panic!("message_received");
    }

    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        self.0.message_broadcast(event);
        panic!("message_broadcast");
    }

    fn messages_sent(&self, event: &MessagesSent<'_>) {
        self.0.messages_sent(event);
        panic!("messages_sent");
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        self.0.frame_dropped(event);
        panic!("frame_dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_harms_nothing_but_itself() {
    let recorder = Recorder::default();
    let server = open_house()
        .metrics(Panicking(recorder.clone()))
        .resume_window(Duration::from_secs(1))
        .send_buffer_size(1)
        .on_message(|connection, frame| connection.send(frame).unwrap())
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&named(1)).await.unwrap();
    assert_eq!(ann.frame().await.unwrap(), named(1));
    drop(ann);
    settle().await;
    server.broadcast("lobby", named(2)).unwrap();
    server.broadcast("lobby", named(3)).unwrap();
    let mut ann = dial(&server, "ann").await;
    assert_eq!(ann.frame().await.unwrap(), named(3));
    server.kick("ann").unwrap();
    ann.closed().await.unwrap();
    server.close().await;
    let hooks: Vec<_> =
        recorder.lines().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(
        hooks,
        [
            "room_created",
            "connection_opened",
            "message_received",
            "messages_sent",
            "message_broadcast",
            "message_broadcast",
            "frame_dropped",
            "session_resumed",
            "messages_sent",
            "connection_closed",
            "room_destroyed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_overrides_nothing_records_nothing() {
    struct Base;
    impl MetricsCollector for Base {}
    for builder in [open_house().metrics(Base), open_house().metrics(NoopCollector), open_house()] {
        let server = builder.on_message(|connection, frame| connection.send(frame).unwrap());
        let server = server.build().unwrap();
        let mut ann = dial(&server, "ann").await;
        ann.send(&named(1)).await.unwrap();
        assert_eq!(ann.frame().await.unwrap(), named(1));
        server.kick("ann").unwrap();
        ann.closed().await.unwrap();
        server.close().await;
    }
}

#[tokio::test]
async fn every_refused_client_is_counted_with_its_status() {
    let recorder = Recorder::default();
    let server = Server::builder(|request| async move {
        assert!(request.query("id").is_some(), "of the test");
        Err(Rejection::unauthorized())
    })
    .check_origin(origin::allow_list(["https://example.org"]))
    .metrics(recorder.clone())
    .build()
    .unwrap();
    let with_origin = |target: &str| {
        let mut parts = request_parts(target);
        parts.headers.insert("origin", "https://example.org".parse().unwrap());
        parts
    };
    assert!(server.handshake(request_parts("/ws")).is_err());
    assert!(server.handshake(with_origin("/ws")).unwrap().connect().await.is_err());
    assert!(server.handshake(with_origin("/ws?id=a")).unwrap().connect().await.is_err());
    assert_eq!(server.serve(Request::from_parts(request_parts("/ws"), ())).await.status(), 403);
    let admission = Admission::room("r");
    let request = Request::from_parts(with_origin("/ws"), ());
    assert_eq!(server.upgrade(request, admission.clone()).await.status(), 500);
    let handshake = server.handshake(with_origin("/ws")).unwrap();
    server.close().await;
    assert!(handshake.admit(admission).await.is_err());
    let statuses = ["403", "500", "401", "403", "500", "503"];
    assert_eq!(recorder.lines(), statuses.map(|status| format!("upgrade_refused {status}")));
}
