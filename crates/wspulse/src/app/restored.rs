//! What a client that has come back brings along, and what it gets.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;

use wspulse_core::Resumed;

use crate::membership::shared::ConnectionShared;
use crate::settings::connect::Asked;

/// A client that has come back to its session: what its new handshake was admitted with, and what it
/// has missed.
///
/// The session keeps its room and its data, which are those of the first handshake:
/// [`Connection::room_id`](crate::Connection::room_id) and
/// [`Connection::data`](crate::Connection::data). What the connect function has said this time is
/// here.
///
/// ```
/// struct User {
///     token: String,
/// }
///
/// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
/// builder.on_transport_restore(|conn, restored| {
///     if restored.data::<User>().is_some_and(|user| user.token.is_empty()) {
///         conn.close(); // whatever it was admitted with before
///     }
/// })
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Restored {
    missed: Resumed,
    asked: Asked,
    peer_addr: Option<SocketAddr>,
}

impl Asked {
    /// What a session was begun with.
    pub(crate) fn of(session: &ConnectionShared) -> Self {
        Self { room: session.room_name(), data: session.data.clone() }
    }
}

impl Restored {
    pub(crate) const fn new(missed: Resumed, asked: Asked, peer_addr: Option<SocketAddr>) -> Self {
        Self { missed, asked, peer_addr }
    }

    /// So many frames are written again, as nobody knows whether they have arrived. Always 0
    /// without a [promise of delivery](crate::ServerBuilder::delivery).
    pub const fn replayed(&self) -> usize {
        self.missed.replayed
    }

    /// So many frames have waited to be written at all.
    pub const fn waited(&self) -> usize {
        self.missed.waited
    }

    /// The room of the new [`Admission`](crate::Admission). The session may be in another one:
    /// [`room_id`](crate::Connection::room_id) says in which.
    pub fn room(&self) -> &str {
        &self.asked.room
    }

    /// The data that [`Admission::data`](crate::Admission::data) attached this time, if it is a `T`.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.asked.data.get()?.downcast_ref()
    }

    /// The address that the client has come from this time, as far as it is known.
    pub const fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }
}

impl fmt::Debug for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored")
            .field("replayed", &self.replayed())
            .field("waited", &self.waited())
            .field("room", &self.room())
            .field("has_data", &self.asked.data.get().is_some())
            .field("peer_addr", &self.peer_addr)
            .finish_non_exhaustive()
    }
}
