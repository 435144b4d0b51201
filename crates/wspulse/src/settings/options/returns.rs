//! What a client may change when it comes back to its session.

use wspulse_core::CloseCode;

use super::DuplicatePolicy;

/// What happens when a client comes back to its session with another room than the session has.
///
/// Its [`Admission`](crate::Admission) names the room; the session has that of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RoomChange {
    /// The session stays in its room. The log has a line at WARN that names both, and
    /// `on_transport_restore` is [told](crate::Restored::room) of the other one.
    #[default]
    Keep,
    /// The session ends with [`Disconnect::Duplicate`](crate::Disconnect::Duplicate), and what waits
    /// in it is dropped. A new one begins in the new room.
    Replace,
    /// The client is answered 409 `the session is in another room`. The session goes on as it was.
    Refuse,
}

/// Where an id is given once, in a cluster.
///
/// It counts for ids that the application gives ([`Admission::id`](crate::Admission::id)), not for those
/// that a server makes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IdScope {
    /// On all servers together: whoever comes under an id to one of them finds, or ends, what the others
    /// have under it. That takes a round trip to all others in each handshake with an id that is not at
    /// this server. A server that does not answer within a second keeps nobody out.
    #[default]
    Cluster,
    /// On each server: two of them may have a connection of one id. For applications whose ids are
    /// another at each connection, or whose load balancer keeps each client at one server.
    Server,
}

/// Who gets a session that is there, and who does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReturnRules {
    pub(crate) duplicates: DuplicatePolicy,
    /// What a client is told whose session or transport is replaced.
    pub(crate) duplicate_close: CloseCode,
    pub(crate) room_changes: RoomChange,
    /// The application is asked about who comes to a connection.
    pub(crate) reauthorizes: bool,
}
