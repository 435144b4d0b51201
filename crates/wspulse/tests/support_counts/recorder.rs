//! A collector that writes every hook down, with its arguments, as one line each.

use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wspulse::{CallbackKind, DisconnectReason, DropReason, Limit, MetricsCollector};

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

    /// How many frames were dropped for this reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        let lines = self.only("frame_dropped");
        lines.iter().filter(|line| line.ends_with(reason.as_str())).count() as u64
    }

    fn write(&self, line: impl Display) {
        self.lines.lock().unwrap().push(line.to_string());
    }
}

impl MetricsCollector for Recorder {
    fn room_created(&self, room: &str) {
        self.write(format_args!("room_created {room}"));
    }

    fn connection_opened(&self, room: &str, id: &str) {
        self.write(format_args!("connection_opened {room} {id}"));
    }

    fn session_resumed(&self, room: &str, id: &str) {
        self.write(format_args!("session_resumed {room} {id}"));
    }

    fn connection_closed(
        &self,
        room: &str,
        id: &str,
        duration: Duration,
        reason: DisconnectReason,
    ) {
        self.write(format_args!("connection_closed {room} {id} {duration:?} {reason}"));
    }

    fn room_destroyed(&self, room: &str) {
        self.write(format_args!("room_destroyed {room}"));
    }

    fn message_received(&self, room: &str, payload_bytes: usize) {
        self.write(format_args!("message_received {room} {payload_bytes}"));
    }

    fn message_undecodable(&self, room: &str, id: &str, payload_bytes: usize) {
        self.write(format_args!("message_undecodable {room} {id} {payload_bytes}"));
    }

    fn messages_discarded(&self, room: &str, id: &str, messages: usize) {
        self.write(format_args!("messages_discarded {room} {id} {messages}"));
    }

    fn message_broadcast(&self, room: &str, payload_bytes: usize, fan_out: usize) {
        self.write(format_args!("message_broadcast {room} {payload_bytes} {fan_out}"));
    }

    fn message_sent(&self, room: &str, id: &str, payload_bytes: usize) {
        self.write(format_args!("message_sent {room} {id} {payload_bytes}"));
    }

    fn send_buffer_utilization(&self, room: &str, id: &str, used: usize, capacity: usize) {
        self.write(format_args!("send_buffer_utilization {room} {id} {used} {capacity}"));
    }

    fn frame_dropped(&self, room: &str, id: &str, reason: DropReason) {
        self.write(format_args!("frame_dropped {room} {id} {reason}"));
    }

    fn pong_timeout(&self, room: &str, id: &str) {
        self.write(format_args!("pong_timeout {room} {id}"));
    }

    fn upgrade_refused(&self, status: u16) {
        self.write(format_args!("upgrade_refused {status}"));
    }

    fn limit_reached(&self, limit: Limit) {
        self.write(format_args!("limit_reached {limit}"));
    }

    fn callback_panicked(&self, room: &str, id: &str, callback: CallbackKind) {
        self.write(format_args!("callback_panicked {room} {id} {callback}"));
    }
}
