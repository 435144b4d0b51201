//! Attribute sets: made once for each value, since hooks run for each message.

use opentelemetry::KeyValue;
use wspulse::metrics::{Limit, RequestOutcome};
use wspulse::{CallbackKind, DisconnectReason, DropReason, GroupKind};

use crate::traffic::{Direction, Traffic};

/// The value of an attribute for whatever has no value of its own.
pub(crate) const OTHER: &str = "other";

const CALLBACKS: [CallbackKind; 11] = [
    CallbackKind::ConnectFunction,
    CallbackKind::Connect,
    CallbackKind::Message,
    CallbackKind::Undecodable,
    CallbackKind::TransportDrop,
    CallbackKind::TransportRestore,
    CallbackKind::Join,
    CallbackKind::Leave,
    CallbackKind::Expiring,
    CallbackKind::Presence,
    CallbackKind::Disconnect,
];

type Set = Box<[KeyValue]>;

/// A set for each value of an attribute.
#[derive(Debug)]
pub(crate) struct Sets {
    known: Box<[(&'static str, Set)]>,
    /// For what a later wspulse may add.
    other: Set,
}

impl Sets {
    fn new(
        key: &'static str,
        values: impl IntoIterator<Item = &'static str>,
        room: &[KeyValue],
    ) -> Self {
        // The SDK keeps a set that is not sorted by its keys twice; all these stand before "room".
        let set = |value| [KeyValue::new(key, value)].into_iter().chain(room.to_vec()).collect();
        let known = values.into_iter().map(|value| (value, set(value))).collect();
        Self { known, other: set(OTHER) }
    }

    pub(crate) fn limits() -> Self {
        Self::new("limit", Limit::ALL.map(Limit::as_str), &[])
    }

    /// Of what belongs to no room.
    pub(crate) fn groups() -> Self {
        Self::of_groups(&[])
    }

    fn of_groups(room: &[KeyValue]) -> Self {
        let groups = [GroupKind::Room, GroupKind::User, GroupKind::Everybody];
        Self::new("group", groups.map(GroupKind::as_str), room)
    }

    pub(crate) fn of(&self, value: &str) -> &[KeyValue] {
        let known = self.known.iter().find(|(known, _)| *known == value);
        known.map_or(&*self.other, |(_, set)| set)
    }
}

/// All sets for one room, or for all rooms together, and what is counted under them.
#[derive(Debug)]
pub(crate) struct Attributes {
    traffic: Traffic,
    room: Set,
    groups: Sets,
    ends: Sets,
    drops: Sets,
    callbacks: Sets,
    requests: Sets,
    directions: Sets,
}

impl Attributes {
    pub(crate) fn without_room() -> Self {
        Self::new([].into())
    }

    pub(crate) fn of_room(room: &str) -> Self {
        Self::new([KeyValue::new("room", room.to_owned())].into())
    }

    fn new(room: Set) -> Self {
        Self {
            traffic: Traffic::default(),
            groups: Sets::of_groups(&room),
            ends: Sets::new("reason", DisconnectReason::ALL.map(DisconnectReason::as_str), &room),
            drops: Sets::new("reason", DropReason::ALL.map(DropReason::as_str), &room),
            callbacks: Sets::new("callback", CALLBACKS.map(CallbackKind::as_str), &room),
            requests: Sets::new("outcome", RequestOutcome::ALL.map(RequestOutcome::as_str), &room),
            directions: Sets::new("direction", Direction::ALL.map(Direction::as_str), &room),
            room,
        }
    }

    /// What is counted under the attributes of the room alone.
    pub(crate) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The room alone, or nothing.
    pub(crate) fn room(&self) -> &[KeyValue] {
        &self.room
    }

    pub(crate) fn group(&self, group: GroupKind) -> &[KeyValue] {
        self.groups.of(group.as_str())
    }

    pub(crate) fn end(&self, reason: DisconnectReason) -> &[KeyValue] {
        self.ends.of(reason.as_str())
    }

    pub(crate) fn drop(&self, reason: DropReason) -> &[KeyValue] {
        self.drops.of(reason.as_str())
    }

    pub(crate) fn request(&self, outcome: RequestOutcome) -> &[KeyValue] {
        self.requests.of(outcome.as_str())
    }

    pub(crate) fn direction(&self, direction: Direction) -> &[KeyValue] {
        self.directions.of(direction.as_str())
    }

    pub(crate) fn callback(&self, callback: CallbackKind) -> &[KeyValue] {
        self.callbacks.of(callback.as_str())
    }
}
