//! What the frames are for: WebSockets, bodies that are read, bodies that are not, answers at once.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tower_service::Service;
use wspulse::{Admission, Server};

use super::frames::said_at;

/// How far what has come is read, and how it is found to be.
#[derive(Clone)]
pub(super) struct Reading(Arc<Shared>);

struct Shared {
    /// One for each piece of a body, and for each message.
    permits: Semaphore,
    /// Whether the bytes of a body are where they were said.
    is_ordered: AtomicBool,
    answering: AtomicUsize,
    answering_max: AtomicUsize,
}

/// Counts a request while it is answered.
struct Answering(Reading);

impl Reading {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            permits: Semaphore::new(0),
            is_ordered: AtomicBool::new(true),
            answering: AtomicUsize::new(0),
            answering_max: AtomicUsize::new(0),
        }))
    }

    pub(super) fn permit(&self, pieces: usize) {
        self.0.permits.add_permits(pieces);
    }

    /// From now on anything may be in a body.
    pub(super) fn trust_no_order(&self) {
        self.0.is_ordered.store(false, Ordering::Relaxed);
    }

    pub(super) fn answering_max(&self) -> usize {
        self.0.answering_max.load(Ordering::Relaxed)
    }

    async fn is_permitted(&self) {
        self.0.permits.acquire().await.expect("it stays open").forget();
    }

    fn answers(&self) -> Answering {
        let now = self.0.answering.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.answering_max.fetch_max(now, Ordering::Relaxed);
        Answering(self.clone())
    }

    async fn read(&self, mut body: Incoming) {
        let mut at = 0;
        loop {
            self.is_permitted().await;
            let Some(Ok(frame)) = body.frame().await else { return };
            let Ok(data) = frame.into_data() else { continue };
            for byte in data {
                let is_ordered = self.0.is_ordered.load(Ordering::Relaxed);
                assert!(!is_ordered || byte == said_at(at), "byte {at} of a body is another one");
                at += 1;
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Self(Reading(shared)) = self;
        shared.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A server that echoes to those who ask for it, and takes its time with what others say.
pub(super) fn server(reading: &Reading) -> Server {
    let reading = reading.clone();
    let builder = Server::builder_sync(|request| {
        Ok(Admission::room("room").data(request.uri().query() == Some("echo")))
    });
    builder
        .on_message(move |connection, frame| {
            let reading = reading.clone();
            async move {
                if connection.data::<bool>() == Some(&true) {
                    let _ = connection.send(frame);
                } else {
                    reading.is_permitted().await;
                }
            }
        })
        .check_origin(|_| true)
        .build()
        .expect("valid options")
}

/// The service around it.
#[derive(Clone)]
pub(super) struct Pages {
    server: Server,
    reading: Reading,
}

impl Pages {
    pub(super) const fn new(server: Server, reading: Reading) -> Self {
        Self { server, reading }
    }

    async fn answer(mut self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answering = self.reading.answers();
        let answer = match request.uri().path() {
            "/ws" => {
                let mut call = pin!(self.server.call(request));
                match poll_fn(|cx| call.as_mut().poll(cx)).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                }
            }
            "/read" => {
                self.reading.read(request.into_body()).await;
                Response::new(Full::from("read"))
            }
            "/stuck" => {
                let body = request.into_body();
                pending::<()>().await;
                drop(body);
                Response::new(Full::default())
            }
            "/long" => Response::new(Full::from(vec![7; 100_000])),
            _ => {
                let mut answer = Response::new(Full::from("none"));
                *answer.status_mut() = StatusCode::NOT_FOUND;
                answer
            }
        };
        drop(answering);
        answer
    }
}

impl Service<Request<Incoming>> for Pages {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let pages = self.clone();
        Box::pin(async move { Ok(pages.answer(request).await) })
    }
}
