//! The spans of connections and messages, for whoever subscribes to `tracing`.
//!
//! None of them holds what a client has said, its query, its headers or its address.

use tracing::field::Empty;
use tracing::{Level, Span};
use wspulse_core::{Disconnect, Escaped, TransportLost};

/// Targets of their own, by which a filter has these spans or not.
const CONNECTION: &str = "wspulse::connection";
const MESSAGE: &str = "wspulse::message";

/// The span of a connection, from its registration to the end of its task. It is nobody's child, for
/// the request that it begins with is over with the 101.
pub(crate) fn connection(id: &str, room: &str) -> Span {
    tracing::info_span!(
        target: CONNECTION,
        parent: None,
        "connection",
        id = Escaped::new(id).as_str(),
        room = Escaped::new(room).as_str(),
        peer_addr = Empty,
        reason = Empty,
        cause = Empty,
        otel.kind = Empty,
    )
}

/// Whether anybody wants the spans of messages: one comparison where nobody listens at DEBUG.
#[inline]
pub(crate) fn wants_messages() -> bool {
    tracing::span_enabled!(target: MESSAGE, Level::DEBUG)
}

/// The span of a message that is handed to the application, inside that of its connection.
pub(crate) fn message(event: &str, payload_bytes: usize) -> Span {
    tracing::debug_span!(
        target: MESSAGE,
        "message",
        event = Escaped::new(event).as_str(),
        payload_bytes
    )
}

/// Tells the connection's span, and who listens at DEBUG, why the connection ends. For its task.
pub(crate) fn record_end(disconnect: &Disconnect) {
    if !tracing::level_enabled!(Level::INFO) {
        return;
    }
    let (reason, cause) = (disconnect.reason().as_str(), disconnect.summary());
    let span = Span::current();
    // A server that is driven by hand may be inside of somebody else's.
    if span.metadata().is_some_and(|it| it.target() == CONNECTION) {
        span.record("reason", reason);
        if let Some(cause) = &cause {
            span.record("cause", cause);
        }
    }
    tracing::debug!(target: CONNECTION, reason, cause, "connection ended");
}

/// Tells who listens at DEBUG that the session waits for its client.
pub(crate) fn tell_suspended(lost: &TransportLost) {
    tracing::debug!(target: CONNECTION, cause = lost.summary(), "session suspended");
}

/// Tells who listens at DEBUG that the session's client is back.
pub(crate) fn tell_resumed() {
    tracing::debug!(target: CONNECTION, "session resumed");
}
