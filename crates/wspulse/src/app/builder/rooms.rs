//! The options of what rooms have beside their members.

use std::sync::Arc;

use super::ServerBuilder;
use crate::app::room::Room;
use crate::membership::presence::person::PresenceChanges;
use crate::settings::room_options::RoomOptions;

impl ServerBuilder {
    /// What each room has beside its members, such as a history. It is asked by name when a room
    /// begins, with its first member. Default: nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use wspulse::RoomOptions;
    ///
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.room_options(|room| match room.split_once('-') {
    ///     Some(("chat", _)) => RoomOptions::new().history(50, Duration::from_mins(10)),
    ///     _ => RoomOptions::new(),
    /// })
    /// # }
    /// ```
    ///
    /// A panic in it is logged, and the room has nothing.
    pub fn room_options<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> RoomOptions + Send + Sync + 'static,
    {
        self.options.rooms.rule = Some(Arc::new(rule));
        self
    }

    /// Called when somebody has come into a room that [keeps who is there](RoomOptions::presence), has
    /// gone, or is other than before: away, or with other metadata. Changes are gathered for 50 ms and
    /// told as one; who was away for less, or comes and goes in that time, is not told at all.
    ///
    /// The changes of a room come in their sequence. It is a plain function, called for one room after
    /// the other, so it must not wait: send what takes time to a task of yours. A panic in it is
    /// caught and logged. A server that closes tells of all who are gone then.
    ///
    /// ```
    /// use wspulse::{PresenceState, ServerBuilder};
    ///
    /// fn configure(builder: ServerBuilder) -> ServerBuilder {
    ///     builder.on_presence(|room, changes| {
    ///         for person in changes.people {
    ///             if person.state == PresenceState::Gone {
    ///                 println!("{} has left {}", person.id.as_str(), room.id());
    ///             }
    ///         }
    ///     })
    /// }
    /// ```
    pub fn on_presence<F>(mut self, callback: F) -> Self
    where
        F: Fn(Room, PresenceChanges) + Send + Sync + 'static,
    {
        self.callbacks.presence = Some(Box::new(callback));
        self
    }

    /// The event name of the frames by which members are
    /// [told who is there](RoomOptions::tell_presence). Default: `presence`; 1 to 128 bytes.
    pub fn presence_event(mut self, event: impl AsRef<str>) -> Self {
        self.options.rooms.presence_event = event.as_ref().into();
        self
    }

    /// How many bytes the [histories](RoomOptions::history) of all rooms may hold together, as they
    /// are on the wire. Default 64 MiB; at least 1. At the bound a room forgets its own oldest frames
    /// for a new one, and all where that is not enough. What a server with several codecs keeps of a
    /// frame counts once more, and once for each codec that it is encoded in. Compressed forms do not count,
    /// and take less than twice as much besides.
    pub const fn max_history_bytes(mut self, bytes: usize) -> Self {
        self.options.rooms.history_bytes_max = bytes;
        self
    }

    /// Has a frame before and one behind a room's history tell whoever joins where it begins and
    /// where it ends. Default: `false`. With the JSON codec, to the byte:
    ///
    /// ```text
    /// {"event":"history","payload":{"room":"chat-1","history":"begin"}}
    /// {"event":"history","payload":{"room":"chat-1","history":"end"}}
    /// ```
    ///
    /// Both come also where nothing is kept. They count in
    /// [`outbound_stats`](crate::Connection::outbound_stats).
    pub const fn announce_history(mut self, announce: bool) -> Self {
        self.options.rooms.announces_history = announce;
        self
    }

    /// The event name of these frames. Default: `history`; 1 to 128 bytes.
    pub fn history_event(mut self, event: impl AsRef<str>) -> Self {
        self.options.rooms.history_event = event.as_ref().into();
        self
    }
}
