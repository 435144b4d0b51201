//! How connections are served, and the first of one: which version of HTTP it speaks.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tower_service::Service;
use tracing::field::{DisplayValue, display};
use wspulse_core::{Escaped, PanicError};

use super::http1;
#[cfg(feature = "http2")]
use super::http2::{Http2, Opened, preface};
use super::listener::Listener;
use super::options::ServeOptions;
use super::pending::{Pending, Place};
use crate::ground::budget::poll_unbudgeted;
use crate::ground::panics;
use crate::ground::running_time::RunningTimer;
use crate::ground::throttle::Throttle;
use crate::wire::transport::{FirstRead, Rewound, Unwrap};

/// How connections are served.
pub(super) struct Http {
    pub(super) http1: hyper::server::conn::http1::Builder,
    /// If it is spoken.
    #[cfg(feature = "http2")]
    pub(super) http2: Option<Http2>,
    #[cfg(feature = "http2")]
    pub(super) head: HeadLimits,
    pub(super) handshake_timeout: Duration,
    pub(super) request_timeout: Option<Duration>,
    pub(super) pending: Pending,
    pub(super) unwrap: Unwrap,
    logs_peer_addrs: bool,
    too_many_pending: Mutex<Throttle>,
    /// Cancelled when connections are to come to their end.
    shutdown: CancellationToken,
    /// Cancelled when they are to end as they are.
    pub(super) cut_off: CancellationToken,
}

/// What the head of a request may have. HTTP/1.1's parser has been told.
#[cfg(feature = "http2")]
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    pub(super) bytes_max: usize,
    pub(super) headers_max: usize,
}

impl Http {
    pub(super) fn new<L: Listener>(options: &ServeOptions) -> Self {
        let ServeOptions { handshake_timeout, request_timeout, socket, logs_peer_addrs, .. } =
            *options;
        let unwrap =
            if socket.nodelay { Unwrap::of_nodelay::<L>() } else { Unwrap::of_delayed::<L>() };
        Self {
            http1: http1::builder(options),
            #[cfg(feature = "http2")]
            http2: options.http2,
            #[cfg(feature = "http2")]
            head: HeadLimits {
                bytes_max: options.request_header_bytes_max,
                headers_max: options.request_headers_max,
            },
            handshake_timeout,
            request_timeout,
            pending: Pending::new(options.pending_per_addr_max()),
            unwrap,
            logs_peer_addrs,
            too_many_pending: Mutex::default(),
            shutdown: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        }
    }

    /// The address as far as it may be in the log.
    pub(super) fn logged(&self, peer_addr: Option<SocketAddr>) -> Option<DisplayValue<SocketAddr>> {
        peer_addr.filter(|_| self.logs_peer_addrs).map(display)
    }

    /// Says, once in a while, that an address has no place left for what has come from it.
    pub(super) fn log_no_place(&self, peer_addr: Option<SocketAddr>, refused: &'static str) {
        let due = self.too_many_pending.lock().due();
        if let Some(not_logged) = due {
            tracing::warn!(
                peer_addr = self.logged(peer_addr),
                not_logged,
                "{refused}: max_pending_per_addr of its address are without a WebSocket"
            );
        }
    }

    /// Has all connections come to their end: a response that is under way is the last.
    pub(super) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Ready once there is a shutdown.
    pub(super) fn until_shutdown(&self) -> WaitForCancellationFuture<'_> {
        self.shutdown.cancelled()
    }

    /// Ends all connections as they are.
    pub(super) fn cut_off(&self) {
        // Those that serve on look at it once they hear of a shutdown.
        self.cut_off.cancel();
        self.shutdown.cancel();
    }

    /// Serves a connection until its end, a WebSocket, or the deadline of its latest request. Once
    /// there is a shutdown, the response that is under way is the last.
    ///
    /// What it holds before its first bytes have come is small, for many may have connected that
    /// say nothing.
    #[expect(clippy::manual_async_fn, reason = "it would hold twice what it is given")]
    pub(super) fn serve<IO, S, B>(
        self: Arc<Self>,
        mut stream: IO,
        peer_addr: Option<SocketAddr>,
        service: S,
        place: Place,
    ) -> impl Future<Output = ()> + Send
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        async move {
            let mut shutdown = pin!(self.shutdown.cancelled());
            let mut head_timer = RunningTimer::after(self.handshake_timeout);
            let begun =
                poll_fn(|cx| poll_first(&mut stream, shutdown.as_mut(), &mut head_timer, cx)).await;
            #[cfg(feature = "http2")]
            let begun = match begun {
                Ok(first) if self.http2.is_some() && preface::may_have_begun(first.as_ref()) => {
                    // Boxed, since it hardly ever comes in pieces.
                    let (shutdown, timer) = (shutdown.as_mut(), &mut head_timer);
                    Box::pin(preface::rest(first, &mut stream, shutdown, timer)).await
                }
                begun => begun,
            };
            let first = match begun {
                Ok(first) => first,
                Err(end) => {
                    end.log(self.logged(peer_addr).as_ref());
                    drop(place);
                    return;
                }
            };
            #[cfg(feature = "http2")]
            if let Some(http2) = self.http2
                && first.as_ref().is_some_and(preface::has_come)
            {
                let stream = Rewound::new(stream, first);
                let opened = Opened { stream, peer_addr, place, head_timer };
                let streams = Arc::clone(&self).serve_streams(http2, opened, service);
                if let Err(end) = Box::pin(streams).await {
                    end.log(self.logged(peer_addr).as_ref());
                }
                return;
            }
            let stream = Rewound::new(stream, first);
            let requests = self.serve_requests(stream, peer_addr, service, head_timer, shutdown);
            let ended = Box::pin(requests).await;
            if let Err(end) = ended {
                end.log(self.logged(peer_addr).as_ref());
            }
            drop(place);
        }
    }
}

/// Reads for the first time: `None` if there is a shutdown first, at which hyper closes it in order.
///
/// # Errors
///
/// Nothing has come in time.
pub(super) fn poll_first<IO: AsyncRead + Unpin>(
    stream: &mut IO,
    shutdown: Pin<&mut WaitForCancellationFuture<'_>>,
    head_timer: &mut RunningTimer,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<FirstRead>, End>> {
    if let Poll::Ready(first) = FirstRead::poll(stream, cx) {
        return Poll::Ready(Ok(Some(first)));
    }
    let mut shutdown = shutdown;
    if poll_unbudgeted(cx, |cx| shutdown.as_mut().poll(cx)).is_ready() {
        return Poll::Ready(Ok(None));
    }
    head_timer.poll_elapsed(Duration::ZERO, cx).map(|()| Err(End::WithoutRequest))
}

/// Why a connection has ended that should not have.
pub(super) enum End {
    Http(hyper::Error),
    /// Its first request was not there in time.
    WithoutRequest,
    Overdue,
}

impl End {
    /// At DEBUG, since clients can cause them at will.
    pub(super) fn log(&self, peer_addr: Option<&DisplayValue<SocketAddr>>) {
        match self {
            Self::Http(error) => {
                let error = Escaped::error(error);
                tracing::debug!(peer_addr, %error, "HTTP connection failed");
            }
            Self::WithoutRequest => {
                let error = "no request within handshake_timeout";
                tracing::debug!(peer_addr, error, "HTTP connection failed");
            }
            Self::Overdue => {
                tracing::debug!(peer_addr, "HTTP connection outlasted request_timeout");
            }
        }
    }
}

pub(super) async fn answer<S>(
    mut service: S,
    request: Request<Incoming>,
) -> Result<S::Response, S::Error>
where
    S: Service<Request<Incoming>>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// Panics of the service cost their own connection only, or their own stream.
pub(super) fn log_panic(panic: &PanicError) {
    tracing::error!(
        location = panic.location(),
        backtrace = panics::logged_backtrace(panic),
        "serving an HTTP connection: {panic}"
    );
}
