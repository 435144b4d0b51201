//! Who comes to a connection that is there: what its new handshake says.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::app::connection::Connection;
use crate::app::server::Server;
use crate::membership::shared::ConnectionShared;
use crate::settings::connect::Exchange;
use crate::settings::connect::{Admission, ConnectRequest, Rejection};

/// The handshake of a client that would get the connection with its id, or take its place, for
/// [`ServerBuilder::reauthorize`](crate::ServerBuilder::reauthorize) to look at.
#[derive(Clone, Copy)]
pub struct Returning<'a> {
    request: &'a ConnectRequest,
    admission: &'a Admission,
}

impl Returning<'_> {
    /// The new request.
    pub const fn request(&self) -> &ConnectRequest {
        self.request
    }

    /// The home room of the new [`Admission`](crate::Admission), empty if it has none.
    pub fn room(&self) -> &str {
        self.admission.room.as_deref().unwrap_or_default()
    }

    /// The data that [`Admission::data`](crate::Admission::data) attached this time, if it is a `T`.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.admission.data.get()?.downcast_ref()
    }
}

impl fmt::Debug for Returning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returning")
            .field("request", &self.request)
            .field("admission", &self.admission)
            .finish()
    }
}

pub(crate) type ReauthorizeFn =
    Box<dyn Fn(&Connection, &Returning<'_>) -> Result<(), Rejection> + Send + Sync>;

impl Server {
    /// The connection that a client would get, or take the place of, if it may: the application is
    /// asked without a lock, and the registry looks whether it was asked about the right one.
    ///
    /// # Errors
    ///
    /// What the application says, which may panic.
    pub(crate) fn reauthorize(
        &self,
        request: &ConnectRequest,
        admission: &Admission,
        exchange: Option<&Exchange>,
    ) -> Result<Option<Arc<ConnectionShared>>, Rejection> {
        let Some(reauthorize) = &self.callbacks().reauthorize else { return Ok(None) };
        let Some(connection) = self.find_sought(admission, exchange) else { return Ok(None) };
        reauthorize(&connection, &Returning { request, admission })?;
        Ok(Some(Arc::clone(connection.shared())))
    }

    /// The connection that a client would get, or take the place of, as long as nothing changes.
    fn find_sought(
        &self,
        admission: &Admission,
        exchange: Option<&Exchange>,
    ) -> Option<Connection> {
        if let Some(id) = &admission.id {
            return self.connection(id);
        }
        let offer = exchange?.resume.as_ref()?;
        self.find_offered(offer, None).map(|(session, ..)| Connection::new(session))
    }
}
