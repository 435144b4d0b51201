//! In a process of its own, for its subscriber: it hears every line of the log as raw as can be.
//!
//! Nothing that a peer chooses can forge a line of the log or steer the terminal that shows it.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage, JsonCodec};
use wspulse::metrics::ConnectionOpened;
use wspulse::router::{HandlerResult, Json, Recovery, Router};
use wspulse::testing::{TestClient, masked};
use wspulse::{
    Admission, CloseCode, CloseFrame, Disconnect, Frame, InboundRate, MessageKind,
    MetricsCollector, OverRate, Rejection, Server, ServerBuilder, TransportLost,
};

/// In a query: a name that begins a new line and clears the screen.
const EVIL_QUERY: &str = "/ws?id=ann%0AWARN%20forged%1B%5B2J";
const EVIL: &str = "ann\nWARN forged\u{1b}[2J";
const ESCAPED: &str = r"ann\nWARN forged\u{1b}[2J";

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Writes everything as it comes, which is the worst that a subscriber can do.
struct Raw;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Backtraces have many lines and are not the peer's.
        if field.name() != "backtrace" {
            let _ = write!(self.0, " {field}={value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {field}={value}");
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let _ = write!(self.0, " {field}={value}");
    }
}

impl Subscriber for Raw {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wspulse")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn evil_house() -> ServerBuilder {
    Server::builder_sync(|request| {
        let id = request.query("id").unwrap_or_default();
        Ok::<_, Rejection>(Admission::room(&*id).id(&*id))
    })
}

/// Reads JSON, and complains of all else with the text that came.
struct Quoting;

impl Codec for Quoting {
    fn kind(&self, frame: &Frame) -> MessageKind {
        JsonCodec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Err(DecodeError::new(String::from_utf8_lossy(message.as_bytes()).into_owned()))
    }
}

fn pick(Json(_): Json<Choice>) {}

#[derive(serde::Deserialize)]
enum Choice {
    #[serde(rename = "a")]
    A,
}

async fn misbehave(server: &Server, messages: &[Bytes]) {
    let mut client = TestClient::connect(server, EVIL_QUERY).await.unwrap();
    for message in messages {
        client.write_raw(message).await.unwrap();
    }
    // Whichever side says it first, a Close frame comes behind all that went before.
    let _ = client.closed().await;
}

fn text(frame: &Frame) -> Bytes {
    let mut json = Vec::new();
    JsonCodec.encode(frame, &mut json).unwrap();
    masked(0x81, &json)
}

fn event(name: &str) -> Frame {
    Frame::new(name).json(EVIL).unwrap()
}

fn router() -> Router {
    let loud = |frame: Frame| -> HandlerResult { panic!("no {}", frame.to_json::<String>()?) };
    let fails = |frame: Frame| -> HandlerResult { Err(frame.to_json::<String>()?.into()) };
    Router::builder()
        .layer(Recovery)
        .on("pick", pick)
        .on("loud", loud)
        .on(EVIL, fails)
        .build()
        .unwrap()
}

/// A line tells what the peer has chosen, and none does so as it came.
fn assert_escaped(lines: &[String]) {
    assert!(lines.iter().any(|line| line.contains(ESCAPED)), "{lines:#?}");
    for line in lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// Lets the server do what is left, in virtual time, then ends it.
async fn finish(server: Server) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_chooses_is_escaped_in_every_line_of_the_log() {
    tracing::subscriber::set_global_default(Raw).unwrap();
    let close = masked(0x88, b"\x03\xe8");

    let server = evil_house().codec(Quoting).on_message(|_, _| ()).build().unwrap();
    let bad = masked(0x81, EVIL.as_bytes());
    misbehave(&server, &[bad.clone(), bad, close.clone()]).await;
    misbehave(&server, &[Bytes::from_static(b"\x81\x01x")]).await;
    finish(server).await;

    let server = evil_house().max_message_size(64).build().unwrap();
    misbehave(&server, &[masked(0x81, &[b'x'; 65])]).await;
    finish(server).await;

    let events = ["pick", "loud", EVIL, "ann\nunknown"].map(|name| text(&event(name)));
    let server = evil_house().router(router()).build().unwrap();
    misbehave(&server, &[events.concat().into(), close.clone()]).await;
    finish(server).await;

    let server = evil_house()
        .on_message(|_, frame| async move { panic!("no {}", frame.event()) })
        .build()
        .unwrap();
    misbehave(&server, &[text(&event(EVIL))]).await;
    finish(server).await;

    let blocks = |_, _| std::thread::sleep(Duration::from_millis(110));
    let server = evil_house().on_message(blocks).build().unwrap();
    misbehave(&server, &[text(&event(EVIL)), close.clone()]).await;
    finish(server).await;

    let server = evil_house()
        .inbound_rate(InboundRate::new(OverRate::Close).messages(1, 1))
        .build()
        .unwrap();
    misbehave(&server, &[text(&event("a")), text(&event("b")), text(&event("c"))]).await;
    finish(server).await;

    let server = evil_house()
        .on_connect(|_| std::future::pending::<()>())
        .drain_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let _stuck = TestClient::connect(&server, EVIL_QUERY).await.unwrap();
    finish(server).await;

    let server = Server::builder_sync(|request| match request.query("id") {
        Some(id) if id.starts_with("ann") => Err(std::io::Error::other(id.into_owned()).into()),
        id => panic!("{id:?} and {EVIL}"),
    })
    .build()
    .unwrap();
    TestClient::connect(&server, EVIL_QUERY).await.unwrap_err();
    TestClient::connect(&server, "/ws").await.unwrap_err();

    let lines = LINES.take();
    for told in [
        "undecodable",
        "protocol violation",
        "max_message_size",
        "unmatched event",
        "handler failed",
        "recovered from",
        "handler panicked",
        "held its thread",
        "limit reached",
        "outlasted the drain_timeout",
        "connect function failed",
        "connecting",
    ] {
        assert!(lines.iter().any(|line| line.contains(told)), "{told}: {lines:#?}");
    }
    assert_escaped(&lines);
}

#[tokio::test]
async fn the_text_of_a_panic_in_a_service_is_escaped() {
    let _here = tracing::subscriber::set_default(Raw);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let quote = axum::routing::get(async || -> &str { panic!("no {EVIL}") });
    tokio::spawn(wspulse::serve(listener, axum::Router::new().route("/", quote)).into_future());
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    // The task has ended; whoever waits for it writes the line.
    while !LINES.with_borrow(|lines| lines.iter().any(|line| line.contains("HTTP connection"))) {
        tokio::task::yield_now().await;
    }
    let lines = LINES.take();
    assert_escaped(&lines);
}

#[test]
fn what_a_peer_chooses_is_escaped_where_no_runtime_is_left() {
    let _here = tracing::subscriber::set_default(Raw);
    let server = evil_house().on_disconnect(|_, _| {}).build().unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let client = runtime.block_on(async {
        let client = TestClient::connect(&server, EVIL_QUERY).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        client
    });
    drop(runtime);
    drop(client);
    let mut lines = LINES.take();
    lines.retain(|line| line.contains("no runtime is left"));
    assert_escaped(&lines);
}

/// The application took it from a query or a cookie.
#[tokio::test]
async fn a_subprotocol_that_was_not_offered_is_escaped() {
    let _here = tracing::subscriber::set_default(Raw);
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").protocol(EVIL)));
    let server = server.build().unwrap();
    let _client = TestClient::connect(&server, "/ws").await.unwrap();
    assert_escaped(&LINES.take());
}

#[tokio::test]
async fn the_text_of_a_panic_in_a_metrics_hook_is_escaped() {
    struct Panics;

    impl MetricsCollector for Panics {
        fn connection_opened(&self, event: &ConnectionOpened<'_>) {
            panic!("no label for {}", event.id);
        }
    }

    let _here = tracing::subscriber::set_default(Raw);
    let server = evil_house().metrics(Panics).build().unwrap();
    let _client = TestClient::connect(&server, EVIL_QUERY).await.unwrap();
    assert_escaped(&LINES.take());
}

#[test]
fn an_id_is_escaped_where_an_error_is_displayed() {
    let server = evil_house().build().unwrap();
    let send = server.send(EVIL, Frame::new("x")).unwrap_err();
    let kick = server.kick(EVIL).unwrap_err();
    assert_escaped(&[send.to_string()]);
    assert_escaped(&[kick.to_string()]);
}

#[test]
fn what_a_peer_chooses_is_escaped_where_an_end_is_displayed() {
    let frame = CloseFrame::new(CloseCode::NORMAL, EVIL);
    let end = Disconnect::TransportLost(TransportLost::PeerClosed(Some(frame)));
    assert_eq!(end.to_string(), format!("transport lost: peer closed with 1000 ({ESCAPED})"));
    let end = Disconnect::Kicked(CloseFrame::new(CloseCode::NORMAL, EVIL));
    assert_eq!(end.to_string(), format!("kicked: {ESCAPED}"));
}
