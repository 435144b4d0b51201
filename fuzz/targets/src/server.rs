//! A client's bytes into a whole server, in memory and under virtual time, beside a client that
//! keeps to the rules.

use std::cell::OnceCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use tokio::io::{
    AsyncRead, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, join, sink, split,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{Admission, CloseCode, Compression, DuplicatePolicy, Frame, Server};

use crate::dice::Dice;
use crate::env::Env;
use crate::inflating::pass_on;
use crate::neighbour::Neighbour;

/// In front of the client's bytes: throws for the server's options and for what happens between
/// two writes.
const SCRIPT_BYTES: usize = 24;

/// Writes the bytes to a server, in pieces, with time passing, transports lost and resumed, compressed
/// or not, and the connection kicked as the script says. What the server answers must be valid, another client must
/// be served on, and the server must close.
///
/// # Panics
///
/// If the library has a fault.
pub fn server(data: &[u8]) {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    let Some((script, stream)) = data.split_at_checked(SCRIPT_BYTES) else {
        return;
    };
    let env = Env::new(Dice::new(script));
    RUNTIME.with(|runtime| {
        runtime.get_or_init(new_runtime).block_on(play(env, stream));
    });
}

fn new_runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime")
}

async fn play(mut env: Env, stream: &[u8]) {
    let server = serve(&mut env);
    let neighbour = move_in(&server).await;
    let mut client = Client::connect(&server, &mut env).await;
    let mut rest = stream;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(1 + env.up_to(rest.len() - 1));
        client.write(now).await;
        rest = later;
        client.befall(&server, &mut env).await;
    }
    client.leave().await;
    move_out(neighbour, &server).await;
}

const ROOM: &str = "room";
const CLIENT: &str = "client";
const NEIGHBOUR: &str = "neighbour";

/// What everybody gets who waits for it, in virtual time: longer than any of the server's own
/// timeouts.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server that broadcasts what it receives.
fn serve(env: &mut Env) -> Server {
    let (resume_window, duplicates) = env.pick(&[
        (Duration::ZERO, DuplicatePolicy::Replace),
        (Duration::from_secs(30), DuplicatePolicy::Replace),
        (Duration::from_secs(30), DuplicatePolicy::Resume),
    ]);
    let builder = Server::builder_sync(|request| {
        Ok(Admission::room(ROOM).id(request.query("id").unwrap_or_default()))
    });
    let builder = match env.pick(&[None, Some(0), Some(256)]) {
        Some(bytes) => builder.compression(Compression::shared().min_bytes(bytes)),
        None => builder,
    };
    builder
        .on_message(|connection, frame| {
            // There is always someone: the sender.
            let _ = connection.room().broadcast(frame);
        })
        .max_message_size(env.pick(&[1, 512, 70_000]))
        .send_buffer_size(env.pick(&[4, 256]))
        .upgrader_buffer_size(env.pick(&[1, 7, 4_096]), env.pick(&[1, 7, 4_096]))
        .resume_window(resume_window)
        .duplicates(duplicates)
        .build()
        .expect("valid options")
}

// ---- the client that the bytes come from ----

struct Client {
    /// `None` once the transport was cut.
    writing: Option<WriteHalf<DuplexStream>>,
    /// Those who read what came over this transport and the ones before.
    readings: Vec<JoinHandle<()>>,
}

impl Client {
    async fn connect(server: &Server, env: &mut Env) -> Self {
        let mut client = Self { writing: None, readings: Vec::new() };
        client.dial(server, env).await;
        client
    }

    /// Goes on over a new transport, without a word over the old one.
    async fn dial(&mut self, server: &Server, env: &mut Env) {
        let capacity_bytes = env.pick(&[1, 100, 64 * 1024]);
        let mut request = request_parts("/?id=client");
        if let Some(offer) = env.pick(&OFFERS) {
            request.headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        let handshake = server.handshake(request).expect("a valid handshake");
        let accepted = match handshake.connect().await {
            Ok(accepted) => accepted,
            Err(refused) => {
                // Too many connections with this id are ending; there is no other limit.
                assert_eq!(refused.status(), 503);
                return;
            }
        };
        let compresses = accepted.response().headers().contains_key(SEC_WEBSOCKET_EXTENSIONS);
        let (ours, theirs) = duplex(capacity_bytes);
        accepted.attach(theirs, &[]);
        let (reading, writing) = split(ours);
        self.writing = Some(writing);
        self.readings.push(tokio::spawn(read(reading, compresses)));
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(writing) = &mut self.writing
            && writing.write_all(bytes).await.is_err()
        {
            self.writing = None;
        }
    }

    async fn befall(&mut self, server: &Server, env: &mut Env) {
        match env.up_to(15) {
            0 => sleep(env.millis(0, 40_000)).await,
            1 => self.dial(server, env).await,
            2 => {
                self.hang_up().await;
                self.dial(server, env).await;
            }
            3 => self.hang_up().await,
            4 => drop(server.kick_with_reason(CLIENT, "enough")),
            5 => drop(server.send(CLIENT, Frame::new("direct"))),
            6..=10 => others_have_a_turn().await,
            _ => {}
        }
    }

    async fn hang_up(&mut self) {
        if let Some(mut writing) = self.writing.take() {
            // It fails if the server was faster.
            let _ = writing.shutdown().await;
        }
    }

    /// Hangs up and waits for the server to do so too.
    async fn leave(mut self) {
        self.hang_up().await;
        for reading in self.readings {
            let read = timeout(PATIENCE, reading).await;
            read.expect("the server hangs up").expect("the server keeps the protocol");
        }
    }
}

/// What the client offers.
const OFFERS: [Option<&str>; 4] = [
    None,
    Some("permessage-deflate; client_max_window_bits"),
    Some("permessage-deflate; server_max_window_bits=9"),
    Some("x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=12"),
];

/// Reads what comes over one transport.
async fn read(reading: ReadHalf<DuplexStream>, compresses: bool) {
    if !compresses {
        return judge(reading).await;
    }
    let (plain, inflated) = duplex(64 * 1024);
    let passed_on = async {
        // It fails at the end, or behind what was judged last.
        let _ = pass_on(reading, inflated).await;
    };
    tokio::join!(passed_on, judge(plain));
}

/// Reads to the end, and panics if a server's frame is not valid or something follows a Close.
async fn judge(reading: impl AsyncRead + Unpin) {
    let mut client = TestClient::new(join(reading, sink()));
    let mut closed = false;
    loop {
        match client.receive().await {
            Ok(Received::End) => return,
            Ok(received) => {
                assert!(!closed, "{received:?} behind a Close frame");
                closed = matches!(received, Received::Close(_));
            }
            // A transport that is given up may be cut within a frame.
            Err(error) => return assert_ne!(error.kind(), io::ErrorKind::InvalidData, "{error}"),
        }
    }
}

/// Lets the other tasks run once.
async fn others_have_a_turn() {
    let mut was_polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

// ---- the client beside it ----

/// Connects, and reads and answers from then on.
async fn move_in(server: &Server) -> Neighbour {
    let neighbour = TestClient::connect(server, "/?id=neighbour").await;
    Neighbour::move_in(neighbour.expect("everybody is admitted"))
}

/// Gets a frame and the answer to a Ping, and sees the server close.
async fn move_out(neighbour: Neighbour, server: &Server) {
    assert!(server.connection(NEIGHBOUR).is_some());
    let mut neighbour = neighbour.stop().await;
    server.broadcast(ROOM, Frame::new(LAST)).expect("it is in the room");
    while neighbour.frame().await.expect("frames up to the last").event() != LAST {}
    neighbour.ping(LAST.as_bytes()).await.expect("a healthy connection");
    let pong = Received::Pong(LAST.into());
    while neighbour.receive().await.expect("an answer") != pong {}

    tokio::join!(server.close(), async {
        let close = neighbour.closed().await.expect("a Close frame");
        assert_eq!(close.expect("a code").code(), CloseCode::GOING_AWAY);
    });
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
}

const LAST: &str = "last";
