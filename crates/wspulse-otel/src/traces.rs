//! The traces that connections belong to.

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wspulse::ConnectRequest;
use wspulse::http::header::HeaderName;

/// Makes a connection's span the child of the span that its handshake names in `traceparent`, as
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it, and one of the kind `server`. Give
/// it to [`ServerBuilder::connection_span`](wspulse::ServerBuilder::connection_span). Without such a
/// header, or with one that is malformed, the span is the root of a trace.
///
/// It needs a subscriber with the layer of `tracing-opentelemetry`; with any other it does nothing.
///
/// Browsers send no such header for a WebSocket, but any other client may send what it likes: into
/// the traces of others, and to have itself sampled. Use it behind a proxy that replaces the header,
/// or with a sampler that does not ask the parent.
///
/// ```
/// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
/// builder.connection_span(wspulse_otel::continue_trace)
/// # }
/// ```
pub fn continue_trace(span: &Span, request: &ConnectRequest) {
    span.record("otel.kind", "server");
    let context = TraceContextPropagator::new().extract(&Headers(request));
    if context.span().span_context().is_valid() {
        // It fails where the span has no OpenTelemetry, or has begun.
        let _ = span.set_parent(context);
    }
}

struct Headers<'a>(&'a ConnectRequest);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.headers().keys().map(HeaderName::as_str).collect()
    }
}
