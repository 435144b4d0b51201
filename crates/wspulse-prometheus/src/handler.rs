//! The answer to a scrape.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tower_service::Service;

/// Answers every request with a registry's metrics, in the text format of `OpenMetrics`.
///
/// It is a tower service with plain `http` types: give it to axum's `route_service`, or call
/// [`response`](Self::response) from any handler. Clones share the registry.
#[derive(Debug, Clone)]
pub struct MetricsHandler {
    registry: Arc<Registry>,
}

impl MetricsHandler {
    /// Serves a registry of the application, with all that is in it.
    pub fn new(registry: impl Into<Arc<Registry>>) -> Self {
        Self { registry: registry.into() }
    }

    /// The metrics, as they are now.
    pub fn response(&self) -> Response<String> {
        let mut body = String::new();
        if text::encode(&mut body, &self.registry).is_err() {
            // Only a collector of the application can fail here; half a page would be a lie.
            let mut failed = Response::new("a collector failed\n".to_owned());
            *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return failed;
        }
        let mut response = Response::new(body);
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
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

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(self.response()))
    }
}
