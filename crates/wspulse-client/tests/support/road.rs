//! A client and a server in memory, and a road between them whose links break at a chosen byte.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::watch;
use tokio::time::sleep;
use wspulse::Server;
use wspulse_client::ClientBuilder;

/// Longer than any session waits.
const FOREVER: Duration = Duration::from_hours(10);

/// What a link may hold.
const LINK_BYTES: usize = 16 * 1024;

/// More than a handshake and a hello have.
const RECORD_BYTES: usize = 2 * 1024;

/// How a link breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Both ends see it.
    Cut,
    /// What goes in is never seen again, and nobody is told.
    Silence,
}

/// When a link breaks: after so many bytes to the client or to the server, whichever is first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Break {
    pub(crate) how: How,
    pub(crate) down: usize,
    pub(crate) up: usize,
}

impl Break {
    pub(crate) const NEVER: Self = Self { how: How::Cut, down: usize::MAX, up: usize::MAX };

    pub(crate) const fn down(how: How, down: usize) -> Self {
        Self { how, down, up: usize::MAX }
    }

    pub(crate) const fn up(how: How, up: usize) -> Self {
        Self { how, down: usize::MAX, up }
    }
}

/// How much has passed a link.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) down: AtomicUsize,
    pub(crate) up: AtomicUsize,
    /// The first bytes that the client has sent.
    handshake: Mutex<Vec<u8>>,
    /// The first bytes that the server has sent.
    greeting: Mutex<Vec<u8>>,
}

impl Traffic {
    /// The token in the server's hello, which has passed.
    pub(crate) fn token(&self) -> String {
        let greeting = String::from_utf8_lossy(&self.greeting.lock()).into_owned();
        let (_, token) = greeting.split_once(r#""token":""#).expect("a hello");
        token.split('"').next().expect("text").to_owned()
    }

    /// The client's handshake, if it has passed whole.
    pub(crate) fn handshake(&self) -> Option<Vec<u8>> {
        let said = self.handshake.lock();
        let end = said.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        Some(said[..end + 4].to_vec())
    }
}

/// The way from a client to its server, one link after the other.
#[derive(Clone)]
pub(crate) struct Road(Arc<Mutex<Links>>);

struct Links {
    /// One for each link to come; the last is for all that follow.
    servers: VecDeque<Server>,
    breaks: VecDeque<Break>,
    traffic: Vec<Arc<Traffic>>,
}

impl Road {
    /// Its links break in this order; those after them do not.
    pub(crate) fn new(server: Server, breaks: impl IntoIterator<Item = Break>) -> Self {
        Self::leading_to([server], breaks)
    }

    /// Each link leads to another server, and all from the last on to that.
    pub(crate) fn leading_to(
        servers: impl IntoIterator<Item = Server>,
        breaks: impl IntoIterator<Item = Break>,
    ) -> Self {
        let servers = servers.into_iter().collect();
        let breaks = breaks.into_iter().collect();
        Self(Arc::new(Mutex::new(Links { servers, breaks, traffic: Vec::new() })))
    }

    /// Has a client take this road.
    pub(crate) fn taken_by(&self, builder: ClientBuilder) -> ClientBuilder {
        let road = self.clone();
        builder.connector(move |_| {
            let near = road.lay();
            async move { Ok::<_, io::Error>(near) }
        })
    }

    /// The links so far, in their order.
    pub(crate) fn traffic(&self) -> Vec<Arc<Traffic>> {
        self.0.lock().traffic.clone()
    }

    fn lay(&self) -> DuplexStream {
        let traffic = Arc::new(Traffic::default());
        let (server, breaks) = {
            let mut links = self.0.lock();
            links.traffic.push(Arc::clone(&traffic));
            let is_last = links.servers.len() == 1;
            let server = if is_last { None } else { links.servers.pop_front() };
            let server = server.unwrap_or_else(|| links.servers[0].clone());
            (server, links.breaks.pop_front().unwrap_or(Break::NEVER))
        };
        let (near, clients_end) = duplex(LINK_BYTES);
        tokio::spawn(relay(clients_end, serve(server), breaks, traffic));
        near
    }
}

/// The client's end of a connection to a server.
pub(crate) fn serve(server: Server) -> DuplexStream {
    let (near, far) = duplex(LINK_BYTES);
    tokio::spawn(async move {
        let serving = http1::Builder::new()
            .serve_connection(TokioIo::new(far), TowerToHyperService::new(server));
        // A link that breaks in the handshake is an error of its own.
        let _ = serving.with_upgrades().await;
    });
    near
}

async fn relay(client: DuplexStream, server: DuplexStream, breaks: Break, traffic: Arc<Traffic>) {
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    let (broken, is_broken) = watch::channel(false);
    let (broken, how) = (&broken, breaks.how);
    let down = Lane { bytes_max: breaks.down, passed: &traffic.down, record: &traffic.greeting };
    let up = Lane { bytes_max: breaks.up, passed: &traffic.up, record: &traffic.handshake };
    tokio::join!(
        pass(from_server, to_client, down, how, broken, is_broken.clone()),
        pass(from_client, to_server, up, how, broken, is_broken),
    );
}

/// One way of a link.
struct Lane<'a> {
    bytes_max: usize,
    passed: &'a AtomicUsize,
    /// Where the beginning is recorded.
    record: &'a Mutex<Vec<u8>>,
}

async fn pass(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    lane: Lane<'_>,
    how: How,
    broken: &watch::Sender<bool>,
    mut is_broken: watch::Receiver<bool>,
) {
    let mut buffer = [0; 512];
    loop {
        let left = lane.bytes_max - lane.passed.load(Ordering::Relaxed);
        if left == 0 {
            broken.send_replace(true);
        }
        let read = tokio::select! {
            biased;
            _ = is_broken.wait_for(|is_broken| *is_broken) => break,
            read = from.read(&mut buffer) => read,
        };
        let Ok(read @ 1..) = read else { break };
        let passes = read.min(left);
        record(&mut lane.record.lock(), &buffer[..passes]);
        lane.passed.fetch_add(passes, Ordering::Relaxed);
        if to.write_all(&buffer[..passes]).await.is_err() {
            break;
        }
    }
    if *broken.borrow() && how == How::Silence {
        // A dead network's kernel goes on taking bytes, and neither end hears of it.
        while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        sleep(FOREVER).await;
    }
}

fn record(record: &mut Vec<u8>, bytes: &[u8]) {
    let room = RECORD_BYTES.saturating_sub(record.len());
    record.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// Runs one life under a clock of its own; a failure says what it was.
pub(crate) fn run<T>(what: &str, life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("it needs nothing of the system");
    let lived = catch_unwind(AssertUnwindSafe(|| runtime.block_on(life)));
    lived.unwrap_or_else(|_| panic!("{what}"))
}
