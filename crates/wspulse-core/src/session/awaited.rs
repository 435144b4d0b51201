//! Reading past the pause, as a callback awaits what its own client must say.

use std::time::Instant;

use super::{Action, Session};
use crate::frame::Frame;
use crate::websocket::Flow;

/// How much may wait for its callback while something of the client's is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwaitedConfig {
    /// Messages, those counted that may wait at any time.
    pub messages_max: usize,
    /// Bytes of frames beyond those: a message begins below this and may end above it.
    pub bytes_max: usize,
}

/// Kept while something is awaited, and while more waits than may at any other time.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    phase: Phase,
    /// Of the frames that came while as many waited as may at any other time.
    bytes_beyond: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Reading goes on.
    Reading,
    /// Nothing is awaited any more, or too much waits.
    #[default]
    Over,
}

impl Session {
    /// Something is awaited that the client must say, by the callback that runs perhaps: reading
    /// goes on although as many messages wait as may. At [`AwaitedConfig`]'s bounds follows
    /// [`Action::Overloaded`].
    pub fn handle_awaited(&mut self, now: Instant) {
        if self.is_awaiting() {
            return;
        }
        let was_paused = !self.has_room();
        let awaited = self.inbound.get_or_insert_default().awaited.get_or_insert_default();
        awaited.phase = Phase::Reading;
        self.check_awaited();
        if was_paused && self.has_room() {
            self.resume_behind_callbacks(now);
        }
    }

    /// Nothing is awaited any more.
    pub fn handle_awaited_over(&mut self) {
        if let Some(awaited) = self.awaited_mut() {
            awaited.phase = Phase::Over;
            self.forget_awaited();
        }
    }

    /// Whether reading goes on for what is awaited.
    #[inline]
    pub fn is_awaiting(&self) -> bool {
        self.awaited().is_some_and(|awaited| awaited.phase == Phase::Reading)
    }

    /// A message came for which nothing is called, as it was awaited, or is no frame and nobody wants
    /// to hear of that: it keeps its place among those that are counted with a client of `wspulse.1`.
    pub fn handle_taken(&mut self) -> Flow {
        if self.exchanges() && self.is_connected() && self.callbacks.unhandled() > 0 {
            self.callbacks.push_taken();
        }
        self.flow_behind_waiting()
    }

    /// As [`handle_taken`](Self::handle_taken), for a message that [was taken
    /// before](super::Counted::TakenBefore): it is told of as discarded.
    pub fn handle_taken_before(&mut self) -> Flow {
        self.report_discarded(1);
        self.handle_taken()
    }

    /// Whether the next message is welcome, as one more waits.
    pub(super) fn flow_behind_waiting(&mut self) -> Flow {
        if self.has_room() {
            return Flow::Continue;
        }
        self.check_awaited();
        Flow::Pause
    }

    /// Whether more messages may wait than at other times.
    pub(super) fn has_awaited_room(&self) -> bool {
        let AwaitedConfig { messages_max, bytes_max } = self.config.awaited;
        self.awaited().is_some_and(|awaited| {
            awaited.phase == Phase::Reading
                && self.callbacks.messages() < messages_max
                && awaited.bytes_beyond < bytes_max
        })
    }

    /// A frame is about to wait for its callback.
    #[inline]
    pub(super) fn note_waiting(&mut self, frame: &Frame) {
        if self.inbound.is_some() && self.callbacks.messages() >= self.config.inbound_frames_max {
            let bytes = frame.id().len() + frame.event().len() + frame.payload().len();
            if let Some(awaited) = self.awaited_mut() {
                awaited.bytes_beyond = awaited.bytes_beyond.saturating_add(bytes);
            }
        }
    }

    /// What is awaited cannot be heard if too much is in front of it.
    pub(super) fn check_awaited(&mut self) {
        if self.is_awaiting() && !self.has_room() {
            if let Some(awaited) = self.awaited_mut() {
                awaited.phase = Phase::Over;
            }
            self.actions.push_back(Action::Overloaded);
        }
    }

    /// Forgets what need not be known any more.
    pub(super) fn forget_awaited(&mut self) {
        let is_back = self.callbacks.messages() <= self.config.inbound_frames_max;
        if let Some(watch) = &mut self.inbound
            && is_back
        {
            if let Some(awaited) = &mut watch.awaited {
                awaited.bytes_beyond = 0;
            }
            watch.awaited.take_if(|awaited| awaited.phase == Phase::Over);
            self.inbound.take_if(|watch| watch.is_empty());
        }
    }

    fn awaited(&self) -> Option<&Awaited> {
        self.inbound.as_ref()?.awaited.as_ref()
    }

    fn awaited_mut(&mut self) -> Option<&mut Awaited> {
        self.inbound.as_mut()?.awaited.as_mut()
    }
}
