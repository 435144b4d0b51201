//! One connection of HTTP/2: it serves requests, and carries the WebSockets that come of them.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::WaitForCancellationFuture;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower_service::Service;

use super::Http2;
use super::answers::{Answer, Answers};
use super::filter::Filter;
use super::inbox::Inbox;
use super::pieces::Pieces;
use super::streams::{Opener, Streams};
use crate::entry::serve::http::{End, Http, answer};
use crate::entry::serve::pending::Place;
use crate::ground::address::PeerAddr;
use crate::ground::budget::poll_unbudgeted;
use crate::ground::running_time::RunningTimer;
use crate::wire::transport::{LetGo, Rewound};

/// Why a request has no response: its stream is reset, for the reason that h2 finds in it, if any.
type Failed = Box<dyn Error + Send + Sync>;

/// How long a client may take to hear that a connection without streams ends.
const LINGER: Duration = Duration::from_secs(1);

/// A connection whose preface has come.
pub(in crate::entry::serve) struct Opened<IO> {
    pub(in crate::entry::serve) stream: Rewound<IO>,
    pub(in crate::entry::serve) peer_addr: Option<SocketAddr>,
    pub(in crate::entry::serve) place: Place,
    /// Of the first request.
    pub(in crate::entry::serve) head_timer: RunningTimer,
}

impl Http {
    /// Serves a connection until its end. Without a stream it has the time of a request's head to open
    /// one, and a request has its own. Once there is a shutdown, no stream is opened any more, and
    /// those are waited for that are no WebSockets.
    pub(in crate::entry::serve) async fn serve_streams<IO, S, B>(
        self: Arc<Self>,
        http2: Http2,
        opened: Opened<IO>,
        service: S,
    ) -> Result<(), End>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Failed>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Failed>,
    {
        let Opened { stream, peer_addr, place, head_timer } = opened;
        let mut streams = Streams::new(self.pending.clone(), peer_addr, place.place);
        let opening = streams.opener();
        let (inbox, answers) = (Inbox::new(http2.stream_window_bytes), Answers::default());
        let builder = http2.builder(self.head, opening.clone());
        let service = service_fn({
            let (http, inbox, answers) = (Arc::clone(&self), inbox.clone(), answers.clone());
            move |mut request: Request<Incoming>| {
                if let Some(reader) = inbox.open() {
                    request.extensions_mut().insert(reader);
                }
                let answer = answers.begin();
                http.answer_stream(&opening, answer, peer_addr, service.clone(), request)
            }
        });
        let stream = Filter::new(stream, http2.streams_max, inbox.clone(), answers);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut course = Course::new(&self, head_timer, place.awaited);
        poll_fn(|cx| {
            loop {
                for _ in 0..streams.poll(cx) {
                    End::Overdue.log(self.logged(peer_addr).as_ref());
                }
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(result.map_err(End::Http));
                }
                if streams.has_opened() || inbox.take_turn() {
                    continue;
                }
                match course.poll(&mut streams, cx) {
                    Next::Wait => return Poll::Pending,
                    Next::Leave => connection.as_mut().graceful_shutdown(),
                    Next::End(result) => return Poll::Ready(result),
                }
            }
        })
        .await
    }

    /// The answer to a request, once its stream is polled.
    fn answer_stream<S, B>(
        &self,
        opener: &Opener,
        on_its_way: Answer,
        peer_addr: Option<SocketAddr>,
        service: S,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Pieces<B>>, Failed>> + use<S, B>
    where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Error: Into<Failed>,
        B: Body,
    {
        let (deadline, let_go) = (self.request_timeout.map(RunningTimer::after), LetGo::default());
        let has_place = opener.open(deadline, let_go.clone(), on_its_way.clone()).is_ok();
        request.extensions_mut().insert(let_go);
        if !has_place {
            self.log_no_place(peer_addr, "request refused");
        }
        let refused = if self.cut_off.is_cancelled() {
            // A client may go on that has not heard of the end yet, or does not want to.
            Some(StatusCode::SERVICE_UNAVAILABLE)
        } else if request.headers().len() > self.head.headers_max {
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        } else {
            None
        };
        if let Some(address) = peer_addr {
            request.extensions_mut().insert(PeerAddr(address));
        }
        async move {
            if !has_place {
                // Nothing was done for it, so its client may repeat it (RFC 9113 §8.7).
                return Err(h2::Error::from(h2::Reason::REFUSED_STREAM).into());
            }
            if let Some(status) = refused {
                let mut response = Response::new(Pieces::none());
                *response.status_mut() = status;
                return Ok(response);
            }
            let response = answer(service, request).await.map_err(Into::into)?;
            Ok(response.map(|body| Pieces::of(body, on_its_way)))
        }
    }
}

/// What a connection comes to next.
enum Next {
    Wait,
    /// Its client is told that it ends.
    Leave,
    End(Result<(), End>),
}

/// A connection on its way to its end.
struct Course<'a> {
    http: &'a Http,
    /// Until it was heard.
    shutdown: Option<Pin<Box<WaitForCancellationFuture<'a>>>>,
    /// From then on.
    cut_off: Option<Pin<Box<WaitForCancellationFuture<'a>>>>,
    /// A shutdown waits for it: for its requests, not for its WebSockets.
    awaited: Option<TaskTrackerToken>,
    /// While it has no stream.
    idle: Option<RunningTimer>,
    /// How many requests it had when that began.
    requests_before: u64,
    is_leaving: bool,
}

impl<'a> Course<'a> {
    fn new(http: &'a Http, head_timer: RunningTimer, awaited: TaskTrackerToken) -> Self {
        Self {
            http,
            shutdown: Some(Box::pin(http.until_shutdown())),
            cut_off: None,
            awaited: Some(awaited),
            idle: Some(head_timer),
            requests_before: 0,
            is_leaving: false,
        }
    }

    fn poll(&mut self, streams: &mut Streams, cx: &mut Context<'_>) -> Next {
        if self.hears_shutdown(cx) && !self.is_leaving {
            return self.leave();
        }
        if self.hears_cut_off(cx) {
            streams.drop_requests();
            cx.waker().wake_by_ref();
        }
        if streams.settle_places().is_err() && !self.is_leaving {
            return self.leave();
        }
        let is_served = streams.requests() > 0;
        if is_served || streams.websockets() > 0 {
            if !is_served && self.shutdown.is_none() {
                self.awaited = None;
            }
            self.idle = None;
            return Next::Wait;
        }
        let requests_before = streams.requests_in_all();
        if std::mem::replace(&mut self.requests_before, requests_before) != requests_before {
            // It was answered within one turn.
            self.idle = None;
        }
        let patience = if self.is_leaving { LINGER } else { self.http.handshake_timeout };
        let idle = self.idle.get_or_insert_with(|| RunningTimer::after(patience));
        if self.http.cut_off.is_cancelled() {
            return Next::End(Ok(()));
        }
        if idle.poll_elapsed(Duration::ZERO, cx).is_pending() {
            return Next::Wait;
        }
        if requests_before == 0 {
            return Next::End(Err(End::WithoutRequest));
        }
        if self.is_leaving { Next::End(Ok(())) } else { self.leave() }
    }

    fn leave(&mut self) -> Next {
        self.is_leaving = true;
        self.idle = None;
        Next::Leave
    }

    /// Whether there is a shutdown that it has not heard of before.
    fn hears_shutdown(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(shutdown) = &mut self.shutdown else { return false };
        if poll_unbudgeted(cx, |cx| shutdown.as_mut().poll(cx)).is_pending() {
            return false;
        }
        self.shutdown = None;
        self.cut_off = Some(Box::pin(self.http.cut_off.cancelled()));
        true
    }

    /// Whether all is to end that is no WebSocket, and was not before.
    fn hears_cut_off(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(cut_off) = &mut self.cut_off else { return false };
        if poll_unbudgeted(cx, |cx| cut_off.as_mut().poll(cx)).is_pending() {
            return false;
        }
        self.cut_off = None;
        true
    }
}
