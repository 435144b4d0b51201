//! The streams of one connection: requests that are being answered, and WebSockets.

use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;
use parking_lot::Mutex;

use crate::entry::serve::http::log_panic;
use crate::entry::serve::pending::{NoPlace, Pending, PendingPlace};
use crate::ground::BoxFuture;
use crate::ground::panics;
use crate::ground::running_time::RunningTimer;

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
    /// Said of the stream that hyper will have polled next: a request, with its deadline. There is
    /// nothing between the two calls; a stream of which nothing was said is a request that has become a
    /// WebSocket.
    next: Option<Kind>,
    opened: Vec<Stream>,
    requests: usize,
    websockets: usize,
    places: Places,
    /// A request has come.
    has_served: bool,
}

/// The places of a connection's address: one for each request that is being answered, or one for a
/// connection that has neither a request nor a WebSocket.
struct Places {
    pending: Pending,
    peer_addr: Option<SocketAddr>,
    taken: Vec<PendingPlace>,
}

/// A stream that hyper works on.
struct Stream {
    kind: Kind,
    /// `None` once it has ended.
    work: Option<BoxFuture<()>>,
}

enum Kind {
    /// It has until then, if there is a limit.
    Request(Option<RunningTimer>),
    WebSocket,
}

enum Ended {
    Request,
    OverdueRequest,
    WebSocket,
}

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
            has_served: false,
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

    /// Whether a request has come.
    pub(super) fn has_served(&self) -> bool {
        self.shared.lock().has_served
    }

    /// Takes or gives back places of the connection's address, now that streams have come and gone.
    pub(super) fn settle_places(&self) -> Result<(), NoPlace> {
        let shared = &mut *self.shared.lock();
        shared.places.hold(places_needed(shared.requests, shared.websockets))
    }

    /// Ends all requests that are being answered.
    pub(super) fn drop_requests(&mut self) {
        let running = mem::take(&mut self.running);
        let is_websocket = |stream: &Stream| matches!(stream.kind, Kind::WebSocket);
        let (websockets, mut requests): (Vec<_>, Vec<_>) =
            running.into_iter().partition(is_websocket);
        self.running.extend(websockets);
        requests.iter_mut().for_each(Stream::end);
        self.shared.lock().requests -= requests.len();
    }
}

fn places_needed(requests: usize, websockets: usize) -> usize {
    requests.max(usize::from(websockets == 0))
}

impl Opener {
    /// A request has come, and has until then: whether there is a place for it. Its stream is the next
    /// that hyper will have polled.
    pub(super) fn open(&self, deadline: Option<RunningTimer>) -> Result<(), NoPlace> {
        let shared = &mut *self.shared.lock();
        shared.has_served = true;
        shared.next = Some(Kind::Request(deadline));
        shared.places.hold_at_least(shared.requests + 1)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Opener {
    fn execute(&self, work: F) {
        let shared = &mut *self.shared.lock();
        let kind = shared.next.take().unwrap_or(Kind::WebSocket);
        match kind {
            Kind::Request(_) => shared.requests += 1,
            Kind::WebSocket => shared.websockets += 1,
        }
        shared.opened.push(Stream { kind, work: Some(Box::pin(work)) });
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
    /// Drops what is the application's as well, and may panic.
    fn end(&mut self) {
        let work = self.work.take();
        if let Err(panic) = panics::catch(|| drop(work)) {
            log_panic(&panic);
        }
    }
}

impl Future for Stream {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let Self { kind, work } = &mut *self;
        let polled_at = Instant::now();
        let polled = match work {
            Some(work) => panics::catch(|| work.as_mut().poll(cx)).unwrap_or_else(|panic| {
                log_panic(&panic);
                Poll::Ready(())
            }),
            None => Poll::Ready(()),
        };
        let ended = match (kind, polled) {
            (Kind::Request(_), Poll::Ready(())) => Ended::Request,
            (Kind::WebSocket, Poll::Ready(())) => Ended::WebSocket,
            (Kind::Request(Some(deadline)), Poll::Pending) => {
                ready!(deadline.poll_elapsed(polled_at.elapsed(), cx));
                Ended::OverdueRequest
            }
            (Kind::Request(None) | Kind::WebSocket, Poll::Pending) => return Poll::Pending,
        };
        self.end();
        Poll::Ready(ended)
    }
}
