//! Servers and clients whose every step shuttle may stop at.

use crate::metrics::{ConnectionClosed, ConnectionOpened, RoomCreated, RoomDestroyed};
use std::env;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::sync::{Condvar, Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use crate::connect::Admission;
use crate::connection::Connection;
use crate::http::Exchange;
use crate::metrics::MetricsCollector;
use crate::registry::Refused;
use crate::server::Server;
use crate::transport::{Upgradable, Upgrade};
use crate::{Frame, ServerBuilder};

/// Under how many schedules of each kind a model runs: a second or two without optimisation.
const SCHEDULES: usize = 1_000;

/// How many times the unlucky schedules switch tasks at the worst moment.
const SWITCHES: usize = 3;

thread_local! {
    /// For its timers alone: tasks are shuttle's, which runs all threads of a model on this one.
    /// Never dropped, since it would wake whoever waits, which after a failure is nobody's task.
    static RUNTIME: ManuallyDrop<Runtime> = ManuallyDrop::new(
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("it needs nothing of the system"),
    );
}

/// Runs the model under schedules drawn at random, and under such as switch seldom and badly.
pub(super) fn explore(model: fn()) {
    let schedules = env::var("WSPULSE_SCHEDULES")
        .map_or(SCHEDULES, |text| text.parse().expect("a number of schedules"));
    RUNTIME.with(|runtime| {
        let _inside = runtime.enter();
        shuttle::check_random(model, schedules);
        shuttle::check_pct(model, schedules, SWITCHES);
    });
}

/// Lets time pass, which else stands still. In a model no other thread runs meanwhile.
pub(super) fn advance(time: Duration) {
    RUNTIME.with(|runtime| runtime.block_on(tokio::time::advance(time)));
}

/// A server that admits nobody by itself: [`join`] does.
pub(super) fn server(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let builder = Server::builder_sync(|_| unreachable!("nobody asks"));
    options(builder).build().expect("the options are valid")
}

/// Registers a client, whose transport is there at once.
pub(super) fn join(server: &Server, room: &str, id: &str) -> Result<Client, Refused> {
    join_with_capacity(server, room, id, usize::MAX)
}

/// Registers a client that takes so many bytes and then none until it [drains](Client::drain).
pub(super) fn join_with_capacity(
    server: &Server,
    room: &str,
    id: &str,
    bytes: usize,
) -> Result<Client, Refused> {
    register(server, Admission::room(room).id(id), None, bytes)
}

/// Registers a client of `wspulse.1` that asks for this codec.
pub(super) fn join_with_codec(
    server: &Server,
    room: &str,
    id: &str,
    codec: &str,
) -> Result<Client, Refused> {
    let codec = server.codecs().named(codec).expect("the server has it");
    let exchange = Exchange { codec, resume: None };
    register(server, Admission::room(room).id(id), Some(exchange), usize::MAX)
}

fn register(
    server: &Server,
    admission: Admission,
    exchange: Option<Exchange>,
    bytes: usize,
) -> Result<Client, Refused> {
    let wire = Arc::new(Wire {
        state: Mutex::new(WireState { free: bytes, ..WireState::default() }),
        changed: Condvar::new(),
    });
    let stream = Stream(Arc::clone(&wire));
    let upgrade = Upgrade {
        stream: Box::pin(async move { Ok(Upgradable::new(stream, &[])) }),
        peer_addr: None,
        comes_back: None,
        asked: None,
    };
    server.register(admission, exchange, upgrade)?;
    Ok(Client(wire))
}

pub(super) fn connection(server: &Server, id: &str) -> Connection {
    server.connection(id).expect("it is registered")
}

pub(super) fn close(server: &Server) {
    shuttle::future::block_on(server.close());
}

pub(super) fn frame(event: &'static str) -> Frame {
    Frame::new(event)
}

/// What a server has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Received {
    /// A frame with this event.
    Frame(String),
    /// A close frame with this code.
    Close(u16),
}

/// A client that reads all that it is sent, and hangs up once it is told to close.
pub(super) struct Client(Arc<Wire>);

struct Wire {
    state: Mutex<WireState>,
    changed: Condvar,
}

#[derive(Default)]
struct WireState {
    written: Vec<u8>,
    free: usize,
    has_hung_up: bool,
    is_dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Stream(Arc<Wire>);

impl Client {
    /// Waits until so many frames have come, and returns all that has.
    pub(super) fn wait_for_frames(&self, frames: usize) -> Vec<String> {
        let state = self.wait_until(|state| state.frames().len() >= frames);
        state.frames()
    }

    /// Waits until the server has let go of the transport, and returns what it was told by then.
    pub(super) fn wait_for_end(&self) -> Vec<Received> {
        let state = self.wait_until(|state| state.is_dropped);
        state.received()
    }

    /// The frames that have come so far.
    pub(super) fn frames(&self) -> Vec<String> {
        self.0.lock().frames()
    }

    /// Takes all that comes from now on.
    pub(super) fn drain(&self) {
        let mut state = self.0.lock();
        state.free = usize::MAX;
        state.writer.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn hang_up(&self) {
        self.0.lock().hang_up();
    }

    fn wait_until(&self, condition: impl Fn(&WireState) -> bool) -> MutexGuard<'_, WireState> {
        let mut state = self.0.lock();
        while !condition(&state) {
            state = self.0.changed.wait(state).expect("no panic before");
        }
        state
    }
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().expect("no panic before")
    }
}

impl WireState {
    fn hang_up(&mut self) {
        self.has_hung_up = true;
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn frames(&self) -> Vec<String> {
        let received = self.received().into_iter();
        received
            .filter_map(|received| match received {
                Received::Frame(event) => Some(event),
                Received::Close(_) => None,
            })
            .collect()
    }

    /// The whole messages in what was written, but for those of `wspulse.1`.
    fn received(&self) -> Vec<Received> {
        let mut rest = &self.written[..];
        let mut received = Vec::new();
        while let Some((first, payload, tail)) = split_message(rest) {
            match (first, payload) {
                (0x88, [high, low, ..]) => {
                    received.push(Received::Close(u16::from_be_bytes([*high, *low])));
                }
                (0x81, [b'[', ..]) => {}
                (0x81, text) => {
                    let text = str::from_utf8(text).expect("text is UTF-8");
                    let event = text.split('"').nth(3).expect("an event");
                    received.push(Received::Frame(event.to_owned()));
                }
                (first, payload) => panic!("{first:#x} with {payload:?}"),
            }
            rest = tail;
        }
        received
    }
}

/// The first message, and what is behind it: of up to 64 KiB, as all are here (RFC 6455 §5.2).
fn split_message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, length, tail) = match bytes {
        [first, 126, high, low, tail @ ..] => (*first, u16::from_be_bytes([*high, *low]), tail),
        [first, length, tail @ ..] => (*first, u16::from(*length), tail),
        [] | [_] => return None,
    };
    let (payload, tail) = tail.split_at_checked(length.into())?;
    Some((first, payload, tail))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.has_hung_up {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        let taken = bytes.len().min(state.free);
        if taken == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.free -= taken;
        state.written.extend_from_slice(&bytes[..taken]);
        if matches!(state.received().last(), Some(Received::Close(_))) {
            state.hang_up();
        }
        self.0.changed.notify_all();
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.lock().is_dropped = true;
        self.0.changed.notify_all();
    }
}

/// What the hooks of connections and rooms were told, in order.
#[derive(Clone, Default)]
pub(super) struct Hooks(Arc<Mutex<Vec<String>>>);

impl Hooks {
    pub(super) fn note(&self, event: String) {
        self.0.lock().expect("no panic before").push(event);
    }

    /// Whether no server holds them any more: every entry and every task held theirs.
    pub(super) fn are_free(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.0.lock().expect("no panic before").clone()
    }
}

impl MetricsCollector for Hooks {
    fn room_created(&self, event: &RoomCreated<'_>) {
        let &RoomCreated { room, .. } = event;
        self.note(format!("{room} created"));
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        let &ConnectionOpened { id, .. } = event;
        self.note(format!("{id} opened"));
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { id, reason, .. } = event;
        self.note(format!("{id} closed: {reason}"));
    }

    fn room_destroyed(&self, event: &RoomDestroyed<'_>) {
        let &RoomDestroyed { room, .. } = event;
        self.note(format!("{room} destroyed"));
    }
}
