//! The streams of one connection: requests that are being answered, and WebSockets.

use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::answers::Answer;
use crate::entry::serve::http::log_panic;
use crate::entry::serve::pending::{NoPlace, Pending, PendingPlace};
use crate::ground::BoxFuture;
use crate::ground::budget::poll_unbudgeted;
use crate::ground::panics;
use crate::ground::running_time::RunningTimer;
use crate::wire::transport::LetGo;

/// What hyper has to be polled for each stream. The connection's own task does it: with it all of them
/// end, and what many WebSockets have to write is written in one go.
pub(super) struct Streams {
    running: FuturesUnordered<Stream>,
    shared: Arc<Mutex<Shared>>,
}

/// Where hyper leaves new streams: its executor, and what its service asks before that.
#[derive(Clone)]
pub(super) struct Opener {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// What the stream is that hyper will have polled next: a request, right after it has asked the
    /// service about that; and while a request is polled, the WebSocket that this becomes.
    next: Option<Kind>,
    opened: Vec<Stream>,
    requests: usize,
    websockets: usize,
    places: Places,
    requests_in_all: u64,
}

/// The places of a connection's address: one for each request that is being answered, or one for a
/// connection that has neither a request nor a WebSocket.
struct Places {
    pending: Pending,
    peer_addr: Option<SocketAddr>,
    taken: Vec<PendingPlace>,
}

/// A stream that hyper works on, or a request whose answer is on its way.
struct Stream {
    shared: Arc<Mutex<Shared>>,
    kind: Kind,
    /// `None` once it has ended.
    work: Option<BoxFuture<()>>,
}

enum Kind {
    Request {
        /// Until when it is to be answered, if there is a limit.
        deadline: Option<RunningTimer>,
        let_go: LetGo,
        /// Until it is whole. There is none of a request that is refused, that is a WebSocket now, which is
        /// another stream to hyper, or whose handler has panicked.
        answer: Option<Answer>,
    },
    WebSocket(Keeping),
}

/// Until when a WebSocket's stream is kept. What its session has left in it, hyper has, which waits for
/// the client's window for ever.
enum Keeping {
    WhileItIsHad(Pin<Box<WaitForCancellationFutureOwned>>),
    /// Nobody has it any more.
    Until(RunningTimer),
}

enum Ended {
    Request,
    OverdueRequest,
    WebSocket,
}

/// How long a client may take what is left for it in a stream that nobody has any more: as long as its
/// session gives it for a frame, by default.
const LEFT_IN_STREAM: Duration = Duration::from_secs(10);

impl Streams {
    pub(super) fn new(
        pending: Pending,
        peer_addr: Option<SocketAddr>,
        place: PendingPlace,
    ) -> Self {
        let shared = Shared {
            next: None,
            opened: Vec::new(),
            requests: 0,
            websockets: 0,
            places: Places { pending, peer_addr, taken: vec![place] },
            requests_in_all: 0,
        };
        Self { running: FuturesUnordered::new(), shared: Arc::new(Mutex::new(shared)) }
    }

    pub(super) fn opener(&self) -> Opener {
        Opener { shared: Arc::clone(&self.shared) }
    }

    /// Has hyper work on all streams that can go on. Tells how many requests took too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> usize {
        let mut overdue = 0;
        loop {
            let opened = mem::take(&mut self.shared.lock().opened);
            self.running.extend(opened);
            match self.running.poll_next_unpin(cx) {
                Poll::Ready(Some(ended)) => {
                    let shared = &mut *self.shared.lock();
                    match ended {
                        Ended::Request => shared.requests -= 1,
                        Ended::OverdueRequest => {
                            shared.requests -= 1;
                            overdue += 1;
                        }
                        Ended::WebSocket => shared.websockets -= 1,
                    }
                }
                Poll::Ready(None) | Poll::Pending => {
                    if !self.has_opened() {
                        return overdue;
                    }
                }
            }
        }
    }

    /// Whether there are streams that were not polled yet.
    pub(super) fn has_opened(&self) -> bool {
        !self.shared.lock().opened.is_empty()
    }

    pub(super) fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    pub(super) fn websockets(&self) -> usize {
        self.shared.lock().websockets
    }

    /// How many requests have come so far.
    pub(super) fn requests_in_all(&self) -> u64 {
        self.shared.lock().requests_in_all
    }

    /// Takes or gives back places of the connection's address, now that streams have come and gone.
    pub(super) fn settle_places(&self) -> Result<(), NoPlace> {
        let shared = &mut *self.shared.lock();
        shared.places.hold(places_needed(shared.requests, shared.websockets))
    }

    /// Ends all requests that are being answered. The others are to be polled, as what they wait for wakes
    /// nobody any more.
    pub(super) fn drop_requests(&mut self) {
        let running = mem::take(&mut self.running);
        let is_websocket = |stream: &Stream| matches!(stream.kind, Kind::WebSocket(_));
        let (websockets, mut requests): (Vec<_>, Vec<_>) =
            running.into_iter().partition(is_websocket);
        self.running.extend(websockets);
        requests.iter_mut().for_each(Stream::end);
        self.shared.lock().requests -= requests.len();
    }
}

/// Those that were not polled hold what they are held by. One that panics has the others end all the same.
impl Drop for Streams {
    fn drop(&mut self) {
        let opened = mem::take(&mut self.shared.lock().opened);
        for mut stream in mem::take(&mut self.running).into_iter().chain(opened) {
            stream.end();
        }
    }
}

fn places_needed(requests: usize, websockets: usize) -> usize {
    requests.max(usize::from(websockets == 0))
}

impl Opener {
    /// A request has come, and has until then: whether there is a place for it. Its stream is the next
    /// that hyper will have polled.
    pub(super) fn open(
        &self,
        deadline: Option<RunningTimer>,
        let_go: LetGo,
        answer: Answer,
    ) -> Result<(), NoPlace> {
        let shared = &mut *self.shared.lock();
        shared.requests_in_all += 1;
        let held = shared.places.hold_at_least(shared.requests + 1);
        let answer = held.is_ok().then_some(answer);
        shared.next = Some(Kind::Request { deadline, let_go, answer });
        held
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Opener {
    fn execute(&self, work: F) {
        let shared = &mut *self.shared.lock();
        // hyper spawns nothing else; if it did, that would be kept as a stream that nobody lets go.
        let kind = shared.next.take().unwrap_or_else(|| Kind::websocket(&LetGo::default()));
        match kind {
            Kind::Request { .. } => shared.requests += 1,
            Kind::WebSocket(_) => shared.websockets += 1,
        }
        let stream = Stream { shared: Arc::clone(&self.shared), kind, work: Some(Box::pin(work)) };
        shared.opened.push(stream);
    }
}

impl Places {
    fn hold(&mut self, places: usize) -> Result<(), NoPlace> {
        self.hold_at_least(places)?;
        self.taken.truncate(places);
        Ok(())
    }

    fn hold_at_least(&mut self, places: usize) -> Result<(), NoPlace> {
        while self.taken.len() < places {
            self.taken.push(self.pending.enter(self.peer_addr)?);
        }
        Ok(())
    }
}

impl Stream {
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let become_one = match &self.kind {
            Kind::Request { let_go, .. } => Some(Kind::websocket(let_go)),
            Kind::WebSocket(_) => None,
        };
        self.shared.lock().next = become_one;
        let polled = panics::catch(|| work.as_mut().poll(cx));
        let has_become_one = self.shared.lock().next.take().is_none();
        if let Kind::Request { answer, .. } = &mut self.kind
            && (has_become_one || polled.is_err())
        {
            *answer = None;
        }
        let polled = polled.unwrap_or_else(|panic| {
            log_panic(&panic);
            Poll::Ready(())
        });
        if polled.is_ready() {
            self.end();
        }
        polled
    }

    /// Drops what is the application's as well, and may panic.
    fn end(&mut self) {
        let work = self.work.take();
        if let Err(panic) = panics::catch(|| drop(work)) {
            log_panic(&panic);
        }
    }
}

impl Kind {
    fn websocket(let_go: &LetGo) -> Self {
        Self::WebSocket(Keeping::WhileItIsHad(Box::pin(let_go.heard())))
    }
}

impl Keeping {
    /// Ready once it is kept no longer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self {
                Self::WhileItIsHad(let_go) => {
                    ready!(poll_unbudgeted(cx, |cx| let_go.as_mut().poll(cx)));
                    *self = Self::Until(RunningTimer::after(LEFT_IN_STREAM));
                }
                Self::Until(timer) => return timer.poll_elapsed(Duration::ZERO, cx),
            }
        }
    }
}

impl Future for Stream {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let polled_at = Instant::now();
        let is_done = self.poll_work(cx).is_ready();
        let ended = match &mut self.kind {
            Kind::Request { deadline, answer, .. } => {
                let is_taken = |answer: &Answer| answer.poll_ended(cx).is_ready();
                if is_done && answer.as_ref().is_none_or(is_taken) {
                    Ended::Request
                } else if let Some(deadline) = deadline {
                    ready!(deadline.poll_elapsed(polled_at.elapsed(), cx));
                    Ended::OverdueRequest
                } else {
                    return Poll::Pending;
                }
            }
            Kind::WebSocket(keeping) => {
                if !is_done {
                    ready!(keeping.poll(cx));
                }
                Ended::WebSocket
            }
        };
        self.end();
        Poll::Ready(ended)
    }
}
