//! The answer to a scrape.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, VARY};
use http::{HeaderMap, Request, Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tower_service::Service;

use crate::negotiation::Format;
use crate::text;

/// Answers every request with a registry's metrics: in the text format of `OpenMetrics` whoever
/// [accepts](http::header::ACCEPT) that, as Prometheus does, and all others in Prometheus' text
/// format 0.0.4.
///
/// It is a tower service with plain `http` types: give it to axum's `route_service`, or call
/// [`response_to`](Self::response_to) from any handler. Clones share the registry.
#[derive(Debug, Clone)]
pub struct MetricsHandler {
    registry: Arc<Registry>,
}

impl MetricsHandler {
    /// Serves a registry of the application, with all that is in it.
    pub fn new(registry: impl Into<Arc<Registry>>) -> Self {
        Self { registry: registry.into() }
    }

    /// The metrics, as they are now, in the text format of `OpenMetrics`.
    pub fn response(&self) -> Response<String> {
        self.response_in(Format::OpenMetrics)
    }

    /// The metrics, as they are now, in the format that the request with these headers prefers.
    pub fn response_to(&self, headers: &HeaderMap) -> Response<String> {
        let mut response = self.response_in(Format::wanted(headers));
        response.headers_mut().insert(VARY, HeaderValue::from_name(ACCEPT));
        response
    }

    fn response_in(&self, format: Format) -> Response<String> {
        let mut body = String::new();
        if encode(&mut body, &self.registry).is_err() {
            // Only a collector of the application can fail here; half a page would be a lie.
            let mut failed = Response::new("a collector failed\n".to_owned());
            *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return failed;
        }
        let body = match format {
            Format::OpenMetrics => body,
            Format::Text => text::from_open_metrics(&body),
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, format.content_type());
        response
    }
}

impl<B> Service<Request<B>> for MetricsHandler {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.response_to(request.headers())))
    }
}
