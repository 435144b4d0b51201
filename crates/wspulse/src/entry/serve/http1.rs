//! One HTTP/1 connection, until it has a WebSocket or has ended.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::WaitForCancellationFuture;
use tower_service::Service;
use wspulse_core::clock;

use super::http::{End, Http, answer};
use super::options::ServeOptions;
use crate::ground::address::PeerAddr;
use crate::ground::budget::poll_unbudgeted;
use crate::ground::running_time::RunningTimer;
use crate::wire::transport::Rewound;

/// hyper's own default, which it keeps on the stack as long as nothing else is asked for.
const HYPER_HEADERS_MAX: usize = 100;
/// hyper buffers no less.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;

pub(super) fn builder(options: &ServeOptions) -> Builder {
    let header_bytes_max = options.request_header_bytes_max;
    let mut builder = Builder::new();
    builder
        .timer(HeadTimer)
        .header_read_timeout(options.handshake_timeout)
        .max_header_size(header_bytes_max)
        .max_buf_size(header_bytes_max.max(HYPER_BUFFER_BYTES_MIN));
    if options.request_headers_max != HYPER_HEADERS_MAX {
        builder.max_headers(options.request_headers_max);
    }
    builder
}

impl Http {
    /// Serves what has come for the first time, and whatever comes behind it.
    pub(super) async fn serve_requests<IO, S, B>(
        &self,
        stream: Rewound<IO>,
        peer_addr: Option<SocketAddr>,
        service: S,
        head_timer: RunningTimer,
        mut shutdown: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Result<(), End>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let deadline = Arc::new(Deadline::new(head_timer, self.request_timeout));
        let service = service_fn({
            let (deadline, unwrap) = (Arc::clone(&deadline), self.unwrap);
            move |mut request: Request<Incoming>| {
                deadline.renew();
                request.extensions_mut().insert(unwrap);
                if let Some(address) = peer_addr {
                    request.extensions_mut().insert(PeerAddr(address));
                }
                answer(service.clone(), request)
            }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection.with_upgrades());
        // Boxed, since there is none most of the time.
        let mut cut_off: Option<Pin<Box<WaitForCancellationFuture<'_>>>> = None;
        poll_fn(|cx| {
            let polled_at = Instant::now();
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(result.map_err(End::Http));
                }
                if let Some(cut_off) = &mut cut_off {
                    if poll_unbudgeted(cx, |cx| cut_off.as_mut().poll(cx)).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    break;
                }
                if poll_unbudgeted(cx, |cx| shutdown.as_mut().poll(cx)).is_pending() {
                    break;
                }
                cut_off = Some(Box::pin(self.cut_off.cancelled()));
                connection.as_mut().graceful_shutdown();
            }
            deadline.poll_reached(polled_at.elapsed(), cx).map(Err)
        })
        .await
    }
}

/// When a connection is given up; shared by the two futures of its task.
struct Deadline {
    request_timeout: Option<Duration>,
    wait: Mutex<Wait>,
}

/// What a connection is given up for if it takes too long. hyper times all heads but the first, which
/// has its time from the accept on.
enum Wait {
    FirstHead(RunningTimer),
    LatestRequest(Option<RunningTimer>),
}

impl Deadline {
    const fn new(head_timer: RunningTimer, request_timeout: Option<Duration>) -> Self {
        Self { request_timeout, wait: Mutex::new(Wait::FirstHead(head_timer)) }
    }

    /// A request has come.
    fn renew(&self) {
        let timer = self.request_timeout.map(RunningTimer::after);
        *self.wait.lock() = Wait::LatestRequest(timer);
    }

    fn poll_reached(&self, held: Duration, cx: &mut Context<'_>) -> Poll<End> {
        match &mut *self.wait.lock() {
            Wait::FirstHead(timer) => {
                timer.poll_elapsed(Duration::ZERO, cx).map(|()| End::WithoutRequest)
            }
            Wait::LatestRequest(Some(timer)) => timer.poll_elapsed(held, cx).map(|()| End::Overdue),
            Wait::LatestRequest(None) => Poll::Pending,
        }
    }
}

/// Times the heads of requests, and the TLS handshakes before them. hyper reads before it asks the
/// timer, so what has come during a stop is seen before its client is judged.
#[derive(Debug)]
struct HeadTimer;

impl Timer for HeadTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(clock::after(self.now(), time))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep { deadline, timer: None })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct HeadSleep {
    deadline: Instant,
    /// Made when there is something to wait for: most heads come whole.
    timer: Option<RunningTimer>,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.into();
        let timer = self.timer.get_or_insert_with(|| RunningTimer::until(deadline));
        timer.poll_elapsed(Duration::ZERO, cx)
    }
}
