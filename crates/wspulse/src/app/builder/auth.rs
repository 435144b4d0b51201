//! The options of permissions that expire and are looked at again, as methods.

use std::time::Duration;

use super::ServerBuilder;
use crate::app::connection::Connection;
use crate::app::handler::{CallbackOutput, outcome};
use crate::app::returning::Returning;
use crate::settings::connect::Rejection;

impl ServerBuilder {
    /// Called some time before a connection expires, so that it can be renewed:
    /// [`expiry_notice`](Self::expiry_notice) says how long before, and
    /// [`Admission::expires_at`](crate::Admission::expires_at) when that is.
    ///
    /// It is one of the connection's callbacks, and waits for those before it. It is called once for
    /// each expiry, also while the connection is suspended, and at once if the expiry is nearer than
    /// the notice. It is not called if the connection was [renewed](Connection::renew) or has ended
    /// before its turn.
    ///
    /// ```
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.on_expiring(|conn| {
    ///     let _ = conn.send(wspulse::Frame::new("renew")); // the client answers with a new token
    /// })
    /// # }
    /// ```
    pub fn on_expiring<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.expiring = Some(Box::new(move |conn| outcome(callback(conn))));
        self
    }

    /// How long before a connection expires [`on_expiring`](Self::on_expiring) is called. Default
    /// 1 min; at least 1 ms, at most 24 h.
    pub const fn expiry_notice(mut self, notice: Duration) -> Self {
        self.options.auth.expiry_notice = notice;
        self
    }

    /// Looks at each handshake that was admitted with the id of a connection that is there, beside
    /// that connection, which it would get or take the place of. An error is the client's answer,
    /// such as 401 or 403; the connection goes on as it was, and a suspended one waits for its
    /// owner. Default: whoever is admitted with an id gets what belongs to it.
    ///
    /// It is asked after the connect function, and must not block: what takes a while belongs there,
    /// and comes here as [`Returning::data`]. With a client of `wspulse.1` it is asked about the
    /// session whose token the client shows as well.
    ///
    /// Should the id have gone over to another connection while it was asked, the client is answered
    /// 503 with `Retry-After`.
    ///
    /// ```
    /// use wspulse::Rejection;
    /// use wspulse::http::StatusCode;
    ///
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.reauthorize(|conn, returning| {
    ///     let (was, is) = (conn.data::<User>(), returning.data::<User>());
    ///     if was.map(|user| &user.name) == is.map(|user| &user.name) {
    ///         return Ok(());
    ///     }
    ///     Err(Rejection::with_status(StatusCode::FORBIDDEN, "the session is somebody else's"))
    /// })
    /// # }
    /// ```
    pub fn reauthorize<F>(mut self, look: F) -> Self
    where
        F: Fn(&Connection, &Returning<'_>) -> Result<(), Rejection> + Send + Sync + 'static,
    {
        self.options.returns.reauthorizes = true;
        self.callbacks.reauthorize = Some(Box::new(look));
        self
    }
}
