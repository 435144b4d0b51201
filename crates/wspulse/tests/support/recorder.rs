//! A collector that writes every hook down, with its arguments, as one line each.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use wspulse::metrics::{
    CallbackPanicked, ConnectionClosed, ConnectionOpened, FrameDropped, FramesAcknowledged,
    FramesConflated, FramesLost, LimitReached, MessageBroadcast, MessageReceived,
    MessageUndecodable, MessagesDiscarded, MessagesSent, PongTimeout, PresenceTold, RoomCreated,
    RoomDestroyed, SessionResumed, UpgradeRefused,
};
use wspulse::{DropReason, MetricsCollector};

/// The lines so far; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Every hook so far: its name, then its arguments.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The hooks of this name.
    pub(crate) fn only(&self, hook: &str) -> Vec<String> {
        self.among(&[hook])
    }

    /// The hooks of these names.
    pub(crate) fn among(&self, hooks: &[&str]) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.split(' ').next().is_some_and(|hook| hooks.contains(&hook)));
        lines
    }

    /// The hooks of rooms' and connections' lives.
    pub(crate) fn lives(&self) -> Vec<String> {
        self.among(&[
            "room_created",
            "connection_opened",
            "session_resumed",
            "connection_closed",
            "room_destroyed",
        ])
    }

    /// How many hooks were called with these arguments.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    /// How many frames were dropped for this reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        let lines = self.only("frame_dropped");
        lines.iter().filter(|line| line.ends_with(reason.as_str())).count() as u64
    }

    /// How many frames sockets have taken.
    pub(crate) fn sent(&self) -> u64 {
        let lines = self.only("messages_sent");
        lines.iter().map(|line| line.split(' ').nth(3).unwrap().parse::<u64>().unwrap()).sum()
    }

    fn write(&self, line: impl Display) {
        self.lines.lock().unwrap().push(line.to_string());
    }
}

impl MetricsCollector for Recorder {
    fn room_created(&self, event: &RoomCreated<'_>) {
        let &RoomCreated { room, .. } = event;
        self.write(format_args!("room_created {room}"));
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        let &ConnectionOpened { room, id, .. } = event;
        self.write(format_args!("connection_opened {room} {id}"));
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        let &SessionResumed { room, id, .. } = event;
        self.write(format_args!("session_resumed {room} {id}"));
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { room, id, duration, reason, .. } = event;
        self.write(format_args!("connection_closed {room} {id} {duration:?} {reason}"));
    }

    fn room_destroyed(&self, event: &RoomDestroyed<'_>) {
        let &RoomDestroyed { room, .. } = event;
        self.write(format_args!("room_destroyed {room}"));
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        let &MessageReceived { room, payload_bytes, .. } = event;
        self.write(format_args!("message_received {room} {payload_bytes}"));
    }

    fn message_undecodable(&self, event: &MessageUndecodable<'_>) {
        let &MessageUndecodable { room, id, payload_bytes, .. } = event;
        self.write(format_args!("message_undecodable {room} {id} {payload_bytes}"));
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        let &MessagesDiscarded { room, id, messages, .. } = event;
        self.write(format_args!("messages_discarded {room} {id} {messages}"));
    }

    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        let &MessageBroadcast { room, payload_bytes, fan_out, .. } = event;
        self.write(format_args!("message_broadcast {room} {payload_bytes} {fan_out}"));
    }

    fn messages_sent(&self, event: &MessagesSent<'_>) {
        let &MessagesSent { room, id, messages, payload_bytes, waiting, capacity, .. } = event;
        self.write(format_args!(
            "messages_sent {room} {id} {messages} {payload_bytes}, {waiting} of {capacity} wait"
        ));
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { room, id, reason, .. } = event;
        self.write(format_args!("frame_dropped {room} {id} {reason}"));
    }

    fn frames_conflated(&self, event: &FramesConflated<'_>) {
        let &FramesConflated { room, id, frames, .. } = event;
        self.write(format_args!("frames_conflated {room} {id} {frames}"));
    }

    fn frames_acknowledged(&self, event: &FramesAcknowledged<'_>) {
        let &FramesAcknowledged { room, id, frames, age, .. } = event;
        let age = age.map(|age| age.as_millis());
        self.write(format_args!("frames_acknowledged {room} {id} {frames} {age:?}"));
    }

    fn frames_lost(&self, event: &FramesLost<'_>) {
        let &FramesLost { room, id, frames, .. } = event;
        self.write(format_args!("frames_lost {room} {id} {frames}"));
    }

    fn presence_told(&self, event: &PresenceTold<'_>) {
        let &PresenceTold { room, changes, newcomers, members, .. } = event;
        self.write(format_args!(
            "presence_told {room}, {changes} changed, {newcomers} of {members} new"
        ));
    }

    fn pong_timeout(&self, event: &PongTimeout<'_>) {
        let &PongTimeout { room, id, .. } = event;
        self.write(format_args!("pong_timeout {room} {id}"));
    }

    fn upgrade_refused(&self, event: &UpgradeRefused) {
        let &UpgradeRefused { status, .. } = event;
        self.write(format_args!("upgrade_refused {status}"));
    }

    fn limit_reached(&self, event: &LimitReached) {
        let &LimitReached { limit, .. } = event;
        self.write(format_args!("limit_reached {limit}"));
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        let &CallbackPanicked { room, id, callback, .. } = event;
        self.write(format_args!("callback_panicked {room} {id} {callback}"));
    }
}
