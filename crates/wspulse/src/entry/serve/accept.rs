//! The accept loop: it outlives errors, bounds what is pending, and ends in order.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::http::{Http, log_panic};
use super::listener::Listener;
use super::options::ServeOptions;
use super::own_task::OwnTask;
use super::pending::Place;
use super::socket::AcceptedSockets;
use crate::ground::BoxFuture;
use crate::ground::budget::poll_unbudgeted;
use crate::ground::panics;
use crate::ground::running_time::RunningTimer;
use crate::ground::throttle::Throttle;

/// After one connection that failed there is hardly a pause.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(1);
/// While descriptors are used up: a load that nobody notices, and a delay that a client survives.
const RETRY_DELAY_MAX: Duration = Duration::from_millis(500);

/// Accepts connections and owns the tasks that serve them, until they have WebSockets.
pub(super) struct AcceptLoop<L, S> {
    listener: PatientListener<L>,
    service: S,
    http: Arc<Http>,
    sockets: AcceptedSockets,
    drain_timeout: Duration,
    connections: TaskTracker,
}

impl<L, S, B> AcceptLoop<L, S>
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn new(listener: L, service: S, options: &ServeOptions) -> Self {
        let sockets = AcceptedSockets::of(listener.tcp_listener(), options.socket);
        Self {
            listener: PatientListener::new(listener),
            service,
            http: Arc::new(Http::new::<L>(options)),
            sockets,
            drain_timeout: options.drain_timeout,
            connections: TaskTracker::new(),
        }
    }

    /// Serves until `signal`, then lets what is under way come to its end.
    ///
    /// Signal and listener are the application's, and either may spend its task's budget in every
    /// poll: so they have a task each.
    pub(super) async fn run(self, signal: BoxFuture<()>) {
        let http = Arc::clone(&self.http);
        let mut accepting = OwnTask::spawn(Box::pin(self.accept()));
        let mut signal = Some(signal);
        poll_fn(|cx| {
            if signal.take_if(|signal| signal.as_mut().poll(cx).is_ready()).is_some() {
                http.shut_down();
            }
            poll_unbudgeted(cx, |cx| Pin::new(&mut accepting).poll(cx))
        })
        .await;
    }

    async fn accept(mut self) {
        let _cutting_off = CutOffWhenDropped(Arc::clone(&self.http));
        while let Some((stream, peer_addr)) = self.next().await {
            self.serve(stream, peer_addr);
        }
        let Self { listener, http, connections, drain_timeout, .. } = self;
        drop(listener);
        connections.close();
        if RunningTimer::after(drain_timeout).bound(connections.wait()).await.is_err() {
            tracing::warn!("requests that outlasted drain_timeout are cut off");
            http.cut_off();
            connections.wait().await;
        }
    }

    /// The next connection, or `None` once it is time to stop.
    async fn next(&mut self) -> Option<(L::Stream, Option<SocketAddr>)> {
        let Self { listener, http, .. } = self;
        let mut accepting = pin!(listener.accept());
        let mut stopped = pin!(http.until_shutdown());
        poll_fn(|cx| {
            if poll_unbudgeted(cx, |cx| stopped.as_mut().poll(cx)).is_ready() {
                return Poll::Ready(None);
            }
            accepting.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn serve(&mut self, stream: L::Stream, peer_addr: Option<SocketAddr>) {
        let Ok(place) = self.http.pending.enter(peer_addr) else {
            self.http.log_no_place(peer_addr, "connection closed");
            return;
        };
        let place = Place { place, awaited: self.connections.token() };
        if let Some(tcp) = L::tcp_stream(&stream)
            && let Err(error) = self.sockets.apply(tcp)
        {
            let peer_addr = self.http.logged(peer_addr);
            tracing::debug!(peer_addr, %error, "socket options could not be set");
        }
        let http = Arc::clone(&self.http);
        let serving = http.serve(stream, peer_addr, self.service.clone(), place);
        // It looks after itself: whoever had to be woken for its end would have the next turn,
        // before the session that has just begun, and what that takes over from hyper is large.
        tokio::spawn(async move {
            let mut serving = pin!(serving);
            poll_fn(|cx| {
                panics::catch(|| serving.as_mut().poll(cx)).unwrap_or_else(|panic| {
                    log_panic(&panic);
                    Poll::Ready(())
                })
            })
            .await;
        });
    }
}

/// A listener that waits between attempts that fail.
struct PatientListener<L> {
    listener: L,
    /// The pause after the next failure.
    delay: Duration,
    retry_at: Option<Instant>,
    failures: Throttle,
}

impl<L: Listener> PatientListener<L> {
    fn new(listener: L) -> Self {
        Self { listener, delay: RETRY_DELAY_MIN, retry_at: None, failures: Throttle::default() }
    }

    /// Nothing is lost if the future is dropped: a pause goes on at the next call.
    async fn accept(&mut self) -> (L::Stream, Option<SocketAddr>) {
        loop {
            if let Some(retry_at) = self.retry_at {
                sleep_until(retry_at).await;
                self.retry_at = None;
            }
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.delay = RETRY_DELAY_MIN;
                    return accepted;
                }
                Err(error) => self.wait_after(&error),
            }
        }
    }

    fn wait_after(&mut self, error: &io::Error) {
        if let Some(not_logged) = self.failures.due() {
            tracing::error!(%error, not_logged, "accepting failed; trying again");
        }
        self.retry_at = Some(Instant::now() + self.delay);
        self.delay = (2 * self.delay).min(RETRY_DELAY_MAX);
    }
}

/// With whoever accepts, the connections end that have no WebSocket.
struct CutOffWhenDropped(Arc<Http>);

impl Drop for CutOffWhenDropped {
    fn drop(&mut self) {
        self.0.cut_off();
    }
}
