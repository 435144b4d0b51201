//! Servers and clients whose every step shuttle may stop at.
//!
//! In one file, although long: a client, its wire and the stream that the server has of it are three
//! views of one state under one lock, which nobody else reads.

use std::env;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::{Config, Runner};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use wspulse_core::protocol::{Control, Hello, ResumeOffer};

use crate::app::connection::Connection;
use crate::app::server::Server;
use crate::ground::begun::Begun;
use crate::membership::registry::Refused;
use crate::settings::compression::Agreed;
use crate::settings::connect::Admission;
use crate::settings::connect::Exchange;
use crate::wire::transport::{Upgradable, Upgrade};
use crate::{Frame, ServerBuilder};

/// Under how many schedules of each kind a model runs: a second or two without optimisation.
const SCHEDULES: usize = 1_000;

/// Without optimisation tasks of a server take more than shuttle's own 60 KiB, and more than 256.
const STACK_BYTES: usize = 512 * 1024;

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
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        Runner::new(RandomScheduler::new(schedules), config.clone()).run(model);
        Runner::new(PctScheduler::new(SWITCHES, schedules), config).run(model);
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
    let state = WireState { free: bytes, ..WireState::default() };
    arrive(server, Admission::room(room).id(id), None, state)
}

/// Registers a client that speaks `wspulse.1` and takes so many bytes; it comes back to a session if
/// it `resumes` one.
pub(super) fn join_exchanging(
    server: &Server,
    id: &str,
    resumes: Option<ResumeOffer>,
    bytes: usize,
) -> Result<Client, Refused> {
    let state = WireState { free: bytes, ..WireState::default() };
    arrive(server, Admission::room("room").id(id), Some(exchange(server, "json", resumes)), state)
}

/// Registers a client of `wspulse.1` that asks for this codec.
pub(super) fn join_with_codec(
    server: &Server,
    room: &str,
    id: &str,
    codec: &str,
) -> Result<Client, Refused> {
    let state = WireState { free: usize::MAX, ..WireState::default() };
    arrive(server, Admission::room(room).id(id), Some(exchange(server, codec, None)), state)
}

/// Registers a client that is admitted so, whose transport is there at once.
pub(super) fn admit(server: &Server, admission: Admission) -> Result<Client, Refused> {
    let state = WireState { free: usize::MAX, ..WireState::default() };
    arrive(server, admission, None, state)
}

/// Registers a client as its handshake does, after its server has asked the others of its cluster.
pub(super) async fn join_prepared(
    server: &Server,
    room: &str,
    id: &str,
) -> Result<Client, Refused> {
    let admission = Admission::room(room).id(id);
    let prepared = server.prepare(&admission, None, server.begin_handshake()).await?;
    let (upgrade, client) = transport(WireState { free: usize::MAX, ..WireState::default() });
    match prepared {
        Some(prepared) => server.register_prepared(admission, None, upgrade, None, *prepared)?,
        None => server.register(admission, None, upgrade, None, None)?,
    }
    Ok(client)
}

fn exchange(server: &Server, codec: &str, resume: Option<ResumeOffer>) -> Exchange {
    Exchange { codec: server.codecs().named(codec).expect("the server has it"), resume }
}

fn arrive(
    server: &Server,
    admission: Admission,
    exchange: Option<Exchange>,
    state: WireState,
) -> Result<Client, Refused> {
    let (upgrade, client) = transport(state);
    server.register(admission, exchange, upgrade, None, None)?;
    Ok(client)
}

fn transport(state: WireState) -> (Upgrade, Client) {
    let wire = Arc::new(Wire { state: Mutex::new(state), changed: Condvar::new() });
    let stream = Stream(Arc::clone(&wire));
    let upgrade = Upgrade {
        stream: Box::pin(async move { Ok(Upgradable::new(stream, &[])) }),
        peer_addr: None,
        comes_back: None,
        asked: None,
        begun: Begun::EARLIEST,
        agreed: Agreed::default(),
        request: None,
        expires_at: None,
    };
    (upgrade, Client(wire))
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
    /// A message of `wspulse.1`.
    Control(Control),
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
    /// What the client has said and the server has not read.
    said: Vec<u8>,
    /// How many frames it had before this transport, if it acknowledges each at once.
    acknowledges_beyond: Option<u64>,
    acknowledged: u64,
    /// How many requests it has answered, if it answers each at once.
    answered: Option<usize>,
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

    /// Waits until the server has greeted it; `None` if it is turned away.
    pub(super) fn wait_for_hello(&self) -> Option<Hello> {
        let state = self.wait_until(|state| state.hello().is_some() || state.is_dropped);
        state.hello()
    }

    /// From now on it acknowledges each frame at once, those before this transport included.
    pub(super) fn acknowledge_beyond(&self, frames: u64) {
        let mut state = self.0.lock();
        state.acknowledges_beyond = Some(frames);
        state.acknowledge();
    }

    /// From now on it answers each request at once.
    pub(super) fn answer_all(&self) {
        let mut state = self.0.lock();
        state.answered = Some(0);
        state.answer();
    }

    /// Says something of `wspulse.1`.
    pub(super) fn say(&self, control: &Control) {
        self.0.lock().say(control);
    }

    /// Says a message.
    pub(super) fn say_text(&self, text: &str) {
        self.0.lock().say_text(text);
    }

    /// Whether the server has let go of the transport.
    pub(super) fn is_let_go(&self) -> bool {
        self.0.lock().is_dropped
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

    fn say(&mut self, control: &Control) {
        self.say_text(&control.to_text().expect("it is known"));
    }

    /// Text of less than 126 bytes, masked with nothing (RFC 6455 §5.2 and §5.3).
    fn say_text(&mut self, text: &str) {
        let length = u8::try_from(text.len()).expect("short");
        self.said.extend_from_slice(&[0x81, 0x80 | length, 0, 0, 0, 0]);
        self.said.extend_from_slice(text.as_bytes());
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn acknowledge(&mut self) {
        let Some(before) = self.acknowledges_beyond else { return };
        let count = before + self.frames().len() as u64;
        if count > self.acknowledged {
            self.acknowledged = count;
            self.say(&Control::Ack(count));
        }
    }

    fn answer(&mut self) {
        let Some(answered) = self.answered else { return };
        // Of a request the first text is the id.
        let ids = self.frames();
        for id in &ids[answered..] {
            self.say_text(&format!(r#"{{"id":"{id}","event":"reply"}}"#));
        }
        self.answered = Some(ids.len());
    }

    fn hello(&self) -> Option<Hello> {
        self.received().into_iter().find_map(|received| match received {
            Received::Control(Control::Hello(hello)) => Some(*hello),
            Received::Control(_) | Received::Frame(_) | Received::Close(_) => None,
        })
    }

    fn frames(&self) -> Vec<String> {
        let received = self.received().into_iter();
        received
            .filter_map(|received| match received {
                Received::Frame(event) => Some(event),
                Received::Control(_) | Received::Close(_) => None,
            })
            .collect()
    }

    /// The whole messages in what was written (RFC 6455 §5.2).
    fn received(&self) -> Vec<Received> {
        let mut rest = &self.written[..];
        let mut received = Vec::new();
        while let Some((first, payload, tail)) = first_of(rest) {
            rest = tail;
            received.push(match (first, payload) {
                // A question comes beside a Ping, to which it has no answer.
                (0x89, []) => continue,
                (0x81, text @ [b'[', ..]) => {
                    Received::Control(Control::parse(text).expect("of the protocol"))
                }
                (0x88, [high, low, ..]) => Received::Close(u16::from_be_bytes([*high, *low])),
                (0x81, text) => {
                    let text = str::from_utf8(text).expect("text is UTF-8");
                    Received::Frame(text.split('"').nth(3).expect("an event").to_owned())
                }
                (first, payload) => panic!("{first:#x} with {payload:?}"),
            });
        }
        received
    }
}

/// The first byte of the first message, its payload and what follows, if it is whole.
fn first_of(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, length, tail) = match bytes {
        [first, 126, high, low, tail @ ..] => (first, u16::from_be_bytes([*high, *low]), tail),
        [first, length @ ..126, tail @ ..] => (first, u16::from(*length), tail),
        _ => return None,
    };
    let (payload, tail) = tail.split_at_checked(usize::from(length))?;
    Some((*first, payload, tail))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if !state.said.is_empty() {
            let bytes = state.said.len().min(buffer.remaining());
            buffer.put_slice(&state.said[..bytes]);
            state.said.drain(..bytes);
            return Poll::Ready(Ok(()));
        }
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
        state.acknowledge();
        state.answer();
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
