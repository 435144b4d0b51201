//! The options of what clients are told of their sessions.

use super::ServerBuilder;

impl ServerBuilder {
    /// Whether a frame that is broadcast to a room says to which, for clients that are in several.
    /// Default: `false`, so that it is the same frame as one that is sent directly, to the byte.
    ///
    /// With JSON it is a fourth member, `"room":"lobby"`, with MessagePack and CBOR a fourth entry, with
    /// Protobuf a field; other
    /// codecs [may have a place for it](crate::codec::Codec::encode_in_room). Clients that do not know
    /// of it ignore it, as those of the Go library do. Home rooms are named like any other, since a
    /// frame is encoded once for all members. What goes to a user, to everybody, or to an audience of
    /// several rooms and users names none.
    pub const fn name_rooms(mut self, names: bool) -> Self {
        self.options.names_rooms = names;
        self
    }

    /// Has the first frame on each transport tell its client whether it has a new session or its old
    /// one, and how many frames follow that were sent before. Default: `false`.
    ///
    /// With the JSON codec it is one of these, to the byte, `session` being the
    /// [event](Self::session_event):
    ///
    /// ```text
    /// {"event":"session","payload":{"session":"new","replay":0}}
    /// {"event":"session","payload":{"session":"resumed","replay":3}}
    /// ```
    ///
    /// It is written before anything that waits. It is no frame of the application's: it counts in
    /// no [`outbound_stats`](crate::Connection::outbound_stats), needs no acknowledgement, and is
    /// not written again. `new` says that no transport of this session has come about before. Without
    /// a [promise of delivery](Self::delivery) fewer frames than `replay` may follow, where the send
    /// buffer is full and newer ones take their places before they are written.
    ///
    /// With the MessagePack and the CBOR codec the payload is a map with the same members, with the
    /// Protobuf codec it is JSON. A codec of your own is
    /// given the payload as JSON. [`build`](Self::build) refuses one that cannot write it.
    ///
    /// Clients that speak `wspulse.1` get none: their `hello` says as much.
    pub const fn announce_sessions(mut self, announce: bool) -> Self {
        self.options.announcements.enabled = announce;
        self
    }

    /// The event name of [announcements](Self::announce_sessions), by which a client tells them
    /// from the application's frames. Default: `session`; 1 to 128 bytes.
    pub fn session_event(mut self, event: impl AsRef<str>) -> Self {
        self.options.announcements.event = event.as_ref().into();
        self
    }
}
