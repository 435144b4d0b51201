//! One HTTP/1 connection, until it has a WebSocket or has ended.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use wspulse_core::Escaped;

use super::listener::Listener;
use super::options::ServeOptions;
use crate::ground::address::PeerAddr;
use crate::ground::budget::poll_unbudgeted;
use crate::ground::running_time::RunningTimer;
use crate::wire::transport::Unwrap;

/// hyper's own default, which it keeps on the stack as long as nothing else is asked for.
const HYPER_HEADERS_MAX: usize = 100;
/// hyper buffers no less.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;

/// How connections are served.
pub(super) struct Http1 {
    builder: http1::Builder,
    request_timeout: Option<Duration>,
    /// For WebSockets to have `TCP_NODELAY` where the other connections have not.
    unwrap: Option<Unwrap>,
}

impl Http1 {
    pub(super) fn new<L: Listener>(options: &ServeOptions) -> Self {
        let header_bytes_max = options.request_header_bytes_max;
        let mut builder = http1::Builder::new();
        builder
            .timer(HeadTimer)
            .header_read_timeout(options.handshake_timeout)
            .max_header_size(header_bytes_max)
            .max_buf_size(header_bytes_max.max(HYPER_BUFFER_BYTES_MIN));
        if options.request_headers_max != HYPER_HEADERS_MAX {
            builder.max_headers(options.request_headers_max);
        }
        let unwrap = (!options.socket.nodelay).then(Unwrap::of::<L>);
        Self { builder, request_timeout: options.request_timeout, unwrap }
    }

    /// Serves a connection until its end, a WebSocket, or the deadline of its latest request. Once
    /// `shutdown` is cancelled, the response that is under way is the last.
    pub(super) async fn serve<IO, S, B>(
        &self,
        stream: IO,
        peer_addr: Option<SocketAddr>,
        service: S,
        shutdown: &CancellationToken,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let deadline = Arc::new(RequestDeadline::new(self.request_timeout));
        let service = service_fn({
            let (deadline, unwrap) = (Arc::clone(&deadline), self.unwrap);
            move |mut request: Request<Incoming>| {
                deadline.renew();
                if let Some(unwrap) = unwrap {
                    request.extensions_mut().insert(unwrap);
                }
                if let Some(address) = peer_addr {
                    request.extensions_mut().insert(PeerAddr(address));
                }
                answer(service.clone(), request)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection.with_upgrades());
        let mut shutdown = pin!(shutdown.cancelled());
        let mut is_last = false;
        let ended = std::future::poll_fn(|cx| {
            let polled_at = Instant::now();
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(result.map_err(End::Http));
                }
                if is_last || poll_unbudgeted(cx, |cx| shutdown.as_mut().poll(cx)).is_pending() {
                    break;
                }
                is_last = true;
                connection.as_mut().graceful_shutdown();
            }
            ready!(deadline.poll_reached(polled_at.elapsed(), cx));
            Poll::Ready(Err(End::Overdue))
        });
        // At DEBUG, since clients can cause them at will.
        match ended.await {
            Ok(()) => {}
            Err(End::Http(error)) => {
                tracing::debug!(?peer_addr, error = %Escaped::error(&error), "HTTP connection failed");
            }
            Err(End::Overdue) => {
                tracing::debug!(?peer_addr, "HTTP connection outlasted request_timeout");
            }
        }
    }
}

/// Why a connection has ended that should not have.
enum End {
    Http(hyper::Error),
    Overdue,
}

async fn answer<S>(mut service: S, request: Request<Incoming>) -> Result<S::Response, S::Error>
where
    S: Service<Request<Incoming>>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// When the latest request of a connection is given up; shared by the two futures of its task.
struct RequestDeadline {
    timeout: Option<Duration>,
    timer: Mutex<Option<RunningTimer>>,
}

impl RequestDeadline {
    const fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, timer: Mutex::new(None) }
    }

    fn renew(&self) {
        if let Some(timeout) = self.timeout {
            *self.timer.lock() = Some(RunningTimer::after(timeout));
        }
    }

    fn poll_reached(&self, held: Duration, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.timer.lock() {
            Some(timer) => timer.poll_elapsed(held, cx),
            None => Poll::Pending,
        }
    }
}

/// Times the heads of requests, and the TLS handshakes before them. hyper reads before it asks the
/// timer, so what has come during a stop is seen before its client is judged.
#[derive(Debug)]
struct HeadTimer;

impl Timer for HeadTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep(RunningTimer::after(time)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct HeadSleep(RunningTimer);

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_elapsed(Duration::ZERO, cx)
    }
}
