//! The span of a connection, as the application wants it.

use tracing::Span;

use super::Server;
use crate::ground::panics;
use crate::membership::shared::ConnectionShared;
use crate::observe::spans;
use crate::settings::connect::ConnectRequest;

/// What an application says of a new connection's span.
pub(crate) type ConnectionSpanFn = Box<dyn Fn(&Span, &ConnectRequest) + Send + Sync>;

impl Server {
    /// The span of a new connection; disabled if no subscriber wants it.
    pub(super) fn connection_span(
        &self,
        connection: &ConnectionShared,
        request: Option<&ConnectRequest>,
    ) -> Span {
        let span = spans::connection(&connection.id, connection.room());
        if !span.is_disabled()
            && let Some(describe) = &self.callbacks().connection_span
            && let Some(request) = request
            && let Err(panic) = panics::catch(|| describe(&span, request))
        {
            tracing::error!(
                location = panic.location(),
                backtrace = panics::logged_backtrace(&panic),
                "connection_span: {panic}"
            );
        }
        // The request's, where middleware has made one. After the parent, which starts the span.
        span.follows_from(Span::current());
        span
    }
}
