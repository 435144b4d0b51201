//! Panics in application code: caught, told, and paid for by nobody else.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use tokio::sync::mpsc;
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage, JsonCodec};
use wspulse::metrics::{
    ConnectionClosed, ConnectionOpened, FrameDropped, MessageBroadcast, MessageReceived,
    MessageUndecodable, MessagesSent, RoomCreated, RoomDestroyed, SessionResumed,
};
use wspulse::testing::{Recorder, request_parts};
use wspulse::{
    Connection, Disconnect, DisconnectReason, Frame, MessageKind, MetricsCollector, PanicError,
    Server, ServerBuilder, TransportLost,
};

use crate::support::clients::{Client, close, dial, echoes, numbered};
use crate::support::clock::WINDOW;
use crate::support::house::{echo, open_house};
use crate::support::http::Answer;
use crate::support::logs::Logs;

/// Panics on behalf of the client `bad`.
fn panic_for_bad(connection: &Connection) {
    assert!(connection.id() != "bad", "boom");
}

/// A server that panics for `bad`, and the ways to see that it is known.
struct Scene {
    server: Server,
    good: Client,
    recorder: Recorder,
    logs: Logs,
}

impl Scene {
    async fn set(builder: ServerBuilder) -> Self {
        let logs = Logs::capture();
        let recorder = Recorder::default();
        let server = builder.metrics(recorder.clone()).build().unwrap();
        let mut good = dial(&server, "good").await;
        echoes(&mut good, 1).await;
        Self { server, good, recorder, logs }
    }

    async fn bad(&self) -> Client {
        dial(&self.server, "bad").await
    }

    /// The panic was logged with its place, and counted; the others go on.
    async fn told_of(&mut self, callback: &str) {
        echoes(&mut self.good, 2).await;
        assert_eq!(self.recorder.count(&format!("callback_panicked lobby bad {callback}")), 1);
        let line = self.logs.one("ERROR", "boom");
        // For a test below.
        println!("{line}");
        for part in ["id=\"bad\"", "room=\"lobby\"", "panicking.rs:", callback] {
            assert!(line.contains(part), "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_connect_leaves_the_connection_as_it_is() {
    let mut scene = Scene::set(echo().on_connect(|connection| panic_for_bad(&connection))).await;
    let mut bad = scene.bad().await;
    echoes(&mut bad, 1).await;
    scene.told_of("on_connect").await;
}

/// In a process of its own, as what is asked of the standard library is asked once.
#[test]
fn a_stack_is_logged_where_the_environment_asks_for_stacks() {
    let logged = |asked: &str| {
        let test = "panicking::a_panic_in_on_connect_leaves_the_connection_as_it_is";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("RUST_BACKTRACE", asked)
            .env_remove("RUST_LIB_BACKTRACE")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        printed.lines().find(|line| line.contains("location=")).expect("it is printed").to_owned()
    };
    let (plain, with_stack) = (logged("0"), logged("1"));
    assert!(plain.len() < 500 && !plain.contains("backtrace"), "{plain}");
    assert!(
        with_stack.contains("backtrace=") && with_stack.contains("panic_for_bad"),
        "{with_stack}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_behind_an_await_is_caught_as_well() {
    let builder = echo().on_connect(|connection: Connection| async move {
        tokio::task::yield_now().await;
        panic_for_bad(&connection);
    });
    let mut scene = Scene::set(builder).await;
    let mut bad = scene.bad().await;
    echoes(&mut bad, 1).await;
    scene.told_of("on_connect").await;
}

/// A builder for a server that echoes to all but `bad`, for whom it panics; it tells each end.
fn panicking_on_message() -> (ServerBuilder, mpsc::UnboundedReceiver<Disconnect>) {
    let (tell, told) = mpsc::unbounded_channel();
    let builder = open_house()
        .on_message(|connection: Connection, frame| {
            panic_for_bad(&connection);
            connection.send(frame).unwrap();
        })
        .on_disconnect(move |_, end| tell.send(end).unwrap());
    (builder, told)
}

#[track_caller]
fn panic_of(cause: &TransportLost) -> &PanicError {
    let TransportLost::HandlerPanicked(panic) = cause else { panic!("{cause:?}") };
    panic
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_message_ends_the_connection() {
    let (builder, mut told) = panicking_on_message();
    let mut scene = Scene::set(builder).await;
    let mut bad = scene.bad().await;
    bad.send(&numbered(1)).await.unwrap();
    assert_eq!(bad.closed().await.unwrap(), Some(close(1011, "internal error")));
    let end = told.recv().await.unwrap();
    assert_eq!(end.reason(), DisconnectReason::Normal);
    let panic = panic_of(end.cause().unwrap());
    assert_eq!(panic.message(), "boom");
    assert_eq!(panic.to_string(), "handler panicked: boom");
    assert!(panic.location().is_some_and(|at| at.contains("panicking.rs:")), "{panic:?}");
    let backtrace = panic.backtrace().expect("the stack of the panic").to_string();
    assert!(backtrace.contains("panic_for_bad"), "{backtrace}");
    scene.told_of("on_message").await;
}

#[tokio::test(start_paused = true)]
async fn with_a_window_a_panic_in_on_message_costs_the_transport_only() {
    let (builder, mut told) = panicking_on_message();
    let (lost, mut losses) = mpsc::unbounded_channel();
    let builder =
        builder.resume_window(WINDOW).on_transport_drop(move |_, cause| lost.send(cause).unwrap());
    let mut scene = Scene::set(builder).await;
    let mut bad = scene.bad().await;
    bad.send(&numbered(1)).await.unwrap();
    assert_eq!(bad.closed().await.unwrap(), Some(close(1011, "internal error")));
    assert_eq!(panic_of(&losses.recv().await.unwrap()).message(), "boom");
    let mut again = scene.bad().await;
    scene.server.send("bad", numbered(2)).unwrap();
    assert_eq!(again.frame().await.unwrap(), numbered(2));
    assert!(told.try_recv().is_err(), "the session goes on");
    scene.told_of("on_message").await;
}

#[tokio::test(start_paused = true)]
async fn messages_behind_one_whose_handler_panicked_are_not_handled() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().on_message(move |_, frame: Frame| {
        tell.send(frame.clone()).unwrap();
        assert_ne!(frame, numbered(2));
    });
    let server = server.build().unwrap();
    let mut bad = dial(&server, "bad").await;
    for number in 1..=3 {
        bad.send(&numbered(number)).await.unwrap();
    }
    assert_eq!(bad.closed().await.unwrap(), Some(close(1011, "internal error")));
    server.close().await;
    assert_eq!(told.try_recv(), Ok(numbered(1)));
    assert_eq!(told.try_recv(), Ok(numbered(2)));
    assert!(told.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_disconnect_holds_nothing_up() {
    let builder = echo().on_disconnect(|connection, _| panic_for_bad(&connection));
    let mut scene = Scene::set(builder).await;
    let mut bad = scene.bad().await;
    scene.server.kick("bad").unwrap();
    assert_eq!(bad.closed().await.unwrap(), Some(close(1000, "kicked")));
    scene.told_of("on_disconnect").await;
    tokio::join!(scene.server.close(), async { scene.good.closed().await.unwrap() });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_disconnect_lets_a_successor_with_its_id_begin() {
    let builder = echo().on_disconnect(|connection, _| panic_for_bad(&connection));
    let mut scene = Scene::set(builder).await;
    let mut old = scene.bad().await;
    let mut new = scene.bad().await;
    assert_eq!(old.closed().await.unwrap(), Some(close(1000, "duplicate connection id")));
    echoes(&mut new, 1).await;
    scene.told_of("on_disconnect").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_transport_drop_leaves_the_session_suspended() {
    let (tell, mut restored) = mpsc::unbounded_channel();
    let builder = echo()
        .resume_window(WINDOW)
        .on_transport_drop(|connection, _| panic_for_bad(&connection))
        .on_transport_restore(move |_, _| tell.send(()).unwrap());
    let mut scene = Scene::set(builder).await;
    drop(scene.bad().await);
    echoes(&mut scene.good, 1).await;
    let mut again = scene.bad().await;
    restored.recv().await.unwrap();
    echoes(&mut again, 1).await;
    scene.told_of("on_transport_drop").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_transport_restore_leaves_the_session_resumed() {
    let builder = echo()
        .resume_window(WINDOW)
        .on_transport_restore(|connection, _| panic_for_bad(&connection));
    let mut scene = Scene::set(builder).await;
    drop(scene.bad().await);
    echoes(&mut scene.good, 1).await;
    let mut again = scene.bad().await;
    echoes(&mut again, 1).await;
    scene.told_of("on_transport_restore").await;
}

#[tokio::test]
async fn a_panic_in_check_origin_or_peer_addr_costs_its_own_request_only() {
    let panics_for_bad = |request: &wspulse::ConnectRequest| {
        assert!(request.query("id").as_deref() != Some("bad"), "boom");
    };
    let by_origin = echo().check_origin(move |request| {
        panics_for_bad(request);
        true
    });
    let by_address = echo().peer_addr(move |request| {
        panics_for_bad(request);
        None
    });
    for builder in [by_origin, by_address] {
        let logs = Logs::capture();
        let server = builder.build().unwrap();
        let mut good = dial(&server, "good").await;
        let answer = Answer::to(&server, request_parts("/ws?id=bad")).await;
        assert_eq!(answer.summary(), (500, "internal error\n"));
        assert!(logs.one("ERROR", "boom").contains("panicking.rs:"));
        echoes(&mut good, 1).await;
        echoes(&mut dial(&server, "next").await, 1).await;
    }
}

/// JSON, but for what says that it shall not be.
struct Touchy;

impl Codec for Touchy {
    fn kind(&self, frame: &Frame) -> MessageKind {
        JsonCodec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        assert_ne!(frame.event(), "encode me", "boom");
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        assert_ne!(message.as_bytes(), br#"{"event":"decode me"}"#, "boom");
        JsonCodec.decode(message)
    }
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_panics_decoding_ends_the_connection() {
    let mut scene = Scene::set(echo().codec(Touchy)).await;
    let mut bad = scene.bad().await;
    bad.send(&Frame::new("decode me")).await.unwrap();
    assert_eq!(bad.closed().await.unwrap(), Some(close(1011, "internal error")));
    scene.told_of("on_message").await;
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_message_that_the_codec_panics_over_is_answered() {
    let mut scene = Scene::set(echo().codec(Touchy)).await;
    let mut bad = scene.bad().await;
    bad.send(&numbered(1)).await.unwrap();
    bad.send(&Frame::new("decode me")).await.unwrap();
    assert_eq!(bad.frame().await.unwrap(), numbered(1));
    assert_eq!(bad.closed().await.unwrap(), Some(close(1011, "internal error")));
    scene.told_of("on_message").await;
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_panics_encoding_panics_in_its_caller_and_harms_nothing() {
    let mut scene = Scene::set(echo().codec(Touchy)).await;
    let server = &scene.server;
    let frame = || Frame::new("encode me");
    assert!(catch_unwind(AssertUnwindSafe(|| server.send("good", frame()))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| server.broadcast("lobby", frame()))).is_err());
    echoes(&mut scene.good, 2).await;
    server.broadcast("lobby", numbered(3)).unwrap();
    assert_eq!(scene.good.frame().await.unwrap(), numbered(3));
}

/// Panics in every hook that a connection's life passes through.
struct Sabotage;

impl MetricsCollector for Sabotage {
    fn room_created(&self, _: &RoomCreated<'_>) {
        panic!("room_created");
    }
    fn connection_opened(&self, _: &ConnectionOpened<'_>) {
        panic!("connection_opened");
    }
    fn session_resumed(&self, _: &SessionResumed<'_>) {
        panic!("session_resumed");
    }
    fn connection_closed(&self, _: &ConnectionClosed<'_>) {
        panic!("connection_closed");
    }
    fn room_destroyed(&self, _: &RoomDestroyed<'_>) {
        panic!("room_destroyed");
    }
    fn message_received(&self, _: &MessageReceived<'_>) {
        panic!("message_received");
    }
    fn message_undecodable(&self, _: &MessageUndecodable<'_>) {
        panic!("message_undecodable");
    }
    fn message_broadcast(&self, _: &MessageBroadcast<'_>) {
        panic!("message_broadcast");
    }
    fn messages_sent(&self, _: &MessagesSent<'_>) {
        panic!("messages_sent");
    }
    fn frame_dropped(&self, _: &FrameDropped<'_>) {
        panic!("frame_dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_hooks_that_panic_are_logged_and_change_nothing() {
    let logs = Logs::capture();
    let (tell, mut told) = mpsc::unbounded_channel();
    let disconnected = tell.clone();
    let server = echo()
        .metrics(Sabotage)
        .resume_window(WINDOW)
        .send_buffer_size(1)
        .on_transport_drop(move |_, _| tell.send("drop").unwrap())
        .on_disconnect(move |_, _| disconnected.send("disconnect").unwrap())
        .build()
        .unwrap();
    let mut client = dial(&server, "ann").await;
    echoes(&mut client, 1).await;
    client.write_message(MessageKind::Text, b"nonsense").await.unwrap();
    echoes(&mut client, 2).await;
    drop(client);
    assert_eq!(told.recv().await, Some("drop"));
    for number in 3..=4 {
        server.broadcast("lobby", numbered(number)).unwrap();
    }
    let mut client = dial(&server, "ann").await;
    assert_eq!(client.frame().await.unwrap(), numbered(4), "the older one had to go");
    server.kick("ann").unwrap();
    assert_eq!(client.closed().await.unwrap(), Some(close(1000, "kicked")));
    assert_eq!(told.recv().await, Some("disconnect"));
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
    for hook in ["room_created", "session_resumed", "frame_dropped", "room_destroyed"] {
        assert!(logs.one("ERROR", hook).contains("metrics hook panicked"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_came_before_a_panic_in_on_message_is_what_the_client_is_told() {
    let builder = open_house().on_message(|connection: Connection, _| {
        connection.close();
        assert!(connection.id().is_empty(), "boom");
    });
    let server = builder.build().unwrap();
    let mut client = dial(&server, "ann").await;
    client.send(&Frame::new("n")).await.unwrap();
    let close = client.closed().await.unwrap().unwrap();
    assert_eq!((close.code().as_u16(), close.reason()), (1000, ""));
}
