//! A handle to a person, who may have many connections.

use std::fmt;
use std::sync::Arc;

use bytestring::ByteString;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, Outgoing};

use crate::app::connection::Connection;
use crate::app::server::{FanOut, Server, ToGroup};
use crate::membership::Kind;
use crate::membership::shared::ConnectionState;
use crate::settings::error::BroadcastError;

/// A handle to a user: all connections that were admitted for one person, such as a phone and three
/// tabs of a browser. [`Admission::user`](crate::Admission::user) says whose a connection is.
///
/// A user is there while it has connections, suspended ones included; a handle outlives it.
///
/// ```
/// use wspulse::{Frame, Server};
///
/// fn notify(server: &Server, name: &str, frame: Frame) {
///     match server.user(name).send(frame) {
///         Ok(sent) if sent.reached > sent.suspended => {} // somebody is there to see it
///         _ => { /* nobody is: send an e-mail */ }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct User {
    server: Server,
    id: Arc<str>,
}

impl User {
    pub(crate) const fn new(server: Server, id: Arc<str>) -> Self {
        Self { server, id }
    }

    /// The user's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Queues a frame for all connections of the user, as [`Server::broadcast`] does for a room. All
    /// of them get what is sent to the user in the same order.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn send(&self, frame: impl Into<Outgoing>) -> Result<FanOut, BroadcastError> {
        self.server.fan_out(ToGroup::of(&self.server, Kind::User, &self.id), frame.into())
    }

    /// The user's connections at this instant, suspended ones included, in no particular order.
    pub fn connections(&self) -> Vec<Connection> {
        let group = self.server.group(Kind::User, &self.id);
        group.map_or_else(Vec::new, |group| Connection::all(group.snapshot()))
    }

    /// The number of connections at this instant, suspended ones included.
    pub fn connection_count(&self) -> usize {
        self.server.group(Kind::User, &self.id).map_or(0, |group| group.len())
    }

    /// Whether one of the connections is connected at this instant, and not only waited for.
    pub fn is_online(&self) -> bool {
        let connections = self.connections();
        connections.iter().any(|conn| conn.state() == ConnectionState::Connected)
    }

    /// Ends all connections of the user, past any resume window, with close code 1000 and the reason
    /// `kicked`. They are gone when this returns. Returns how many they were.
    pub fn kick(&self) -> usize {
        self.kick_with(CloseCode::NORMAL, "kicked")
    }

    /// Kicks with a close code and reason of your own: 4000 to 4999 are for applications (RFC 6455
    /// §7.4.2). Up to 123 bytes of the reason are sent.
    pub fn kick_with(&self, code: CloseCode, reason: impl Into<ByteString>) -> usize {
        let frame = CloseFrame::new(code, reason);
        let connections = self.connections();
        let ended = connections.iter().filter(|connection| {
            self.server.end(connection.shared(), Disconnect::Kicked(frame.clone()))
        });
        ended.count()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}
