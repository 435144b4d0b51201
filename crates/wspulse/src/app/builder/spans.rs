//! What an application says of the spans of its connections, as a method.

use tracing::Span;

use super::ServerBuilder;
use crate::settings::connect::ConnectRequest;

impl ServerBuilder {
    /// Called with the span of each new connection, if a subscriber wants it, before the first callback:
    /// to set its parent in a distributed trace, or to record fields. `wspulse_otel::continue_trace`
    /// of the crate `wspulse-otel` does the former, by the header `traceparent`. Default: each
    /// connection is the root of a trace, with its id and its room.
    ///
    /// The span has the field `peer_addr`, which stays empty unless it is recorded here: addresses are
    /// personal data, and are in no line of the log unless you put them there.
    ///
    /// It runs within the handshake and must not block. A panic is logged, and the span is left as it
    /// is by then. A client that comes back to its session gets no new span.
    ///
    /// ```
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.connection_span(|span, request| {
    ///     if let Some(address) = request.peer_addr() {
    ///         span.record("peer_addr", tracing::field::display(address));
    ///     }
    /// })
    /// # }
    /// ```
    pub fn connection_span<F>(mut self, describe: F) -> Self
    where
        F: Fn(&Span, &ConnectRequest) + Send + Sync + 'static,
    {
        self.callbacks.connection_span = Some(Box::new(describe));
        self
    }
}
