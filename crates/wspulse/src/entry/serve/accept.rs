//! The accept loop: it outlives errors, bounds what is pending, and ends in order.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::http1::Http1;
use super::listener::Listener;
use super::options::ServeOptions;
use super::pending::Pending;
use super::socket::SocketOptions;
use crate::ground::BoxFuture;
use crate::ground::budget::poll_unbudgeted;
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
    http: Arc<Http1>,
    socket: SocketOptions,
    pending: Pending,
    drain_timeout: Duration,
    tasks: JoinSet<()>,
    /// Cancelled when connections are to come to their end.
    shutdown: CancellationToken,
    too_many_pending: Throttle,
    /// Whether the next poll looks at the listener before the signal.
    listener_first: bool,
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
        Self {
            listener: PatientListener::new(listener),
            service,
            http: Arc::new(Http1::new::<L>(options)),
            socket: options.socket,
            pending: Pending::new(options.pending_per_addr_max),
            drain_timeout: options.drain_timeout,
            tasks: JoinSet::new(),
            shutdown: CancellationToken::new(),
            too_many_pending: Throttle::default(),
            listener_first: false,
        }
    }

    /// Serves until `signal`, then lets what is under way come to its end.
    pub(super) async fn run(mut self, mut signal: BoxFuture<()>) {
        while let Some((stream, peer_addr)) = self.next(&mut signal).await {
            self.serve(stream, peer_addr);
        }
        let Self { listener, mut tasks, shutdown, drain_timeout, .. } = self;
        drop(listener);
        shutdown.cancel();
        let drained = async {
            while let Some(ended) = tasks.join_next().await {
                log_panic(ended);
            }
        };
        if RunningTimer::after(drain_timeout).bound(drained).await.is_err() {
            tracing::warn!("requests that outlasted drain_timeout are cut off");
            tasks.shutdown().await;
        }
    }

    /// The next connection, or `None` once it is time to stop. Meanwhile, tasks that have ended
    /// are forgotten.
    ///
    /// Signal and listener are the application's: either may spend the task's budget in every poll,
    /// and neither may be polled without one. So they take turns at being first.
    async fn next(
        &mut self,
        signal: &mut BoxFuture<()>,
    ) -> Option<(L::Stream, Option<SocketAddr>)> {
        let Self { listener, tasks, listener_first, .. } = self;
        let mut accepting = pin!(listener.accept());
        std::future::poll_fn(|cx| {
            while let Poll::Ready(Some(ended)) = poll_unbudgeted(cx, |cx| tasks.poll_join_next(cx))
            {
                log_panic(ended);
            }
            *listener_first = !*listener_first;
            if *listener_first && let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
                return Poll::Ready(Some(accepted));
            }
            if signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if *listener_first {
                return Poll::Pending;
            }
            accepting.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn serve(&mut self, stream: L::Stream, peer_addr: Option<SocketAddr>) {
        let Ok(place) = self.pending.enter(peer_addr) else {
            self.turn_away(peer_addr);
            return;
        };
        if let Some(tcp) = L::tcp_stream(&stream)
            && let Err(error) = self.socket.apply(tcp)
        {
            tracing::debug!(?peer_addr, %error, "socket options could not be set");
        }
        let (http, service) = (Arc::clone(&self.http), self.service.clone());
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let _place = place;
            http.serve(stream, peer_addr, service, &shutdown).await;
        });
    }

    fn turn_away(&mut self, peer_addr: Option<SocketAddr>) {
        if let Some(not_logged) = self.too_many_pending.due() {
            tracing::warn!(
                ?peer_addr,
                not_logged,
                "connection closed: max_pending_per_addr of its address are without a WebSocket"
            );
        }
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

/// Panics of the service cost their own connection only.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "serving an HTTP connection");
    }
}
