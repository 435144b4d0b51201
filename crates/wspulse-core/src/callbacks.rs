//! The order of a connection's callbacks: one at a time, in a fixed grammar.

use std::sync::Arc;

use crate::codec::DecodeError;
use crate::disconnect::{Disconnect, TransportLost};
use crate::frame::Frame;
use crate::rare_queue::RareQueue;

/// What an application is told of a connection.
///
/// The order is always
/// `Opened → Message* → (Suspended → Resumed → Message*)* → [Suspended] → Closed`, where a message
/// may be an undecodable one. `Joined`, `Left` and `Expiring` come anywhere between `Opened` and
/// `Closed`; for each room the first two take turns.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// The connection has come up.
    Opened,
    /// A frame has arrived.
    Message(Frame),
    /// A message has arrived that is no frame.
    Undecodable(DecodeError),
    /// The transport is gone, the session waits for the next one.
    Suspended(TransportLost),
    /// The next transport is there.
    Resumed(Resumed),
    /// It has joined the room of this name.
    Joined(Arc<str>),
    /// It is in the room of this name no more.
    Left(Arc<str>),
    /// The connection is about to expire.
    Expiring,
    /// The connection has ended; nothing follows.
    Closed(Disconnect),
}

impl SessionEvent {
    /// Whether this one and one that nobody was told of yet are as good as none: it has left the
    /// room again that it had joined, or the other way round.
    pub fn undoes(&self, untold: &Self) -> bool {
        match (self, untold) {
            (Self::Joined(room), Self::Left(other)) | (Self::Left(room), Self::Joined(other)) => {
                room == other
            }
            (
                Self::Opened
                | Self::Message(_)
                | Self::Undecodable(_)
                | Self::Suspended(_)
                | Self::Resumed(_)
                | Self::Joined(_)
                | Self::Left(_)
                | Self::Expiring
                | Self::Closed(_),
                _,
            ) => false,
        }
    }

    const fn may_come_anywhere(&self) -> bool {
        match self {
            Self::Joined(_) | Self::Left(_) | Self::Expiring => true,
            Self::Opened
            | Self::Message(_)
            | Self::Undecodable(_)
            | Self::Suspended(_)
            | Self::Resumed(_)
            | Self::Closed(_) => false,
        }
    }
}

/// What waits for its turn.
#[derive(Debug)]
enum Waiting {
    Event(SessionEvent),
    /// A message for which nothing is called: somebody awaited it, and has it, or it is no frame.
    Taken,
}

/// What a client has missed that comes back to its session: it gets all of it now, in order and
/// before anything newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resumed {
    /// So many frames are written again, as nobody knows whether they have arrived. Always 0
    /// without a promise of delivery.
    pub replayed: usize,
    /// So many frames have waited to be written at all.
    pub waited: usize,
}

/// Events that wait for the callback before them to finish.
///
/// It is bounded although peers cause its events: messages by the session (it stops reading),
/// suspensions by folding: a drop and a restore that nobody was told of yet, followed by another
/// drop, are one drop. Rooms are folded as well: of each room there is one event at the most, so they
/// are as many as rooms that it is in or was in when its callbacks were told last. No more than one
/// notice of an expiry waits.
#[derive(Debug)]
pub(crate) struct CallbackQueue {
    waiting: RareQueue<Waiting>,
    /// How many of them are messages, frames or not; the session keeps that to its `inbound_frames_max`.
    messages: u32,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The connection that had this id before still runs its callbacks.
    Held,
    Ready,
    Running,
    RunningMessage,
    /// `Closed` was handed out and its callback has finished.
    Over,
    /// `Closed` was handed out.
    RunningLast,
}

impl CallbackQueue {
    pub(crate) const fn new() -> Self {
        Self { waiting: RareQueue::new(), messages: 0, phase: Phase::Ready }
    }

    pub(crate) const fn held() -> Self {
        Self { waiting: RareQueue::new(), messages: 0, phase: Phase::Held }
    }

    pub(crate) fn release(&mut self) {
        if self.phase == Phase::Held {
            self.phase = Phase::Ready;
        }
    }

    pub(crate) fn push(&mut self, event: SessionEvent) {
        match &event {
            SessionEvent::Message(_) | SessionEvent::Undecodable(_) => self.messages += 1,
            SessionEvent::Suspended(_) => self.fold_unseen_resumption(),
            SessionEvent::Expiring => self.take_back_notice(),
            // Rooms that it was in before then were waited with.
            SessionEvent::Opened => return self.waiting.push_front(Waiting::Event(event)),
            SessionEvent::Joined(_) | SessionEvent::Left(_) => {
                if self.remove_newest(|untold| event.undoes(untold)) {
                    return;
                }
            }
            SessionEvent::Resumed(_) | SessionEvent::Closed(_) => {}
        }
        self.waiting.push_back(Waiting::Event(event));
    }

    /// A message keeps its place among those that wait, although nothing is called for it. One at
    /// least has not been handled.
    pub(crate) fn push_taken(&mut self) {
        self.messages += 1;
        self.waiting.push_back(Waiting::Taken);
    }

    /// The places of those for which nothing is called, among the messages that wait.
    pub(crate) fn places_taken(&self) -> Vec<usize> {
        let messages = self.waiting.iter().filter(|waiting| waiting.is_message()).enumerate();
        let taken = messages.filter(|(_, waiting)| matches!(waiting, Waiting::Taken));
        taken.map(|(place, _)| place).collect()
    }

    /// Removes the messages that wait and tells how many they were.
    pub(crate) fn discard_messages(&mut self) -> usize {
        let frames = self.take_messages();
        self.waiting.retain(|waiting| !waiting.is_message());
        frames
    }

    /// Removes all that waits but the end, and tells how many messages that were.
    pub(crate) fn skip_to_end(&mut self) -> usize {
        let frames = self.take_messages();
        self.waiting.retain(|waiting| matches!(waiting, Waiting::Event(SessionEvent::Closed(_))));
        frames
    }

    /// The next event whose callback may start now. [`finished`](Self::finished) must follow.
    pub(crate) fn start_next(&mut self) -> Option<SessionEvent> {
        if self.phase != Phase::Ready || self.waiting.is_empty() {
            return None;
        }
        self.pass_taken();
        let Waiting::Event(event) = self.waiting.pop_front()? else { return None };
        self.phase = match event {
            SessionEvent::Closed(_) => Phase::RunningLast,
            SessionEvent::Message(_) | SessionEvent::Undecodable(_) => {
                self.messages -= 1;
                Phase::RunningMessage
            }
            SessionEvent::Opened
            | SessionEvent::Suspended(_)
            | SessionEvent::Resumed(_)
            | SessionEvent::Joined(_)
            | SessionEvent::Left(_)
            | SessionEvent::Expiring => Phase::Running,
        };
        Some(event)
    }

    /// Lets a message pass by that has just come, if nothing is in its way: its callback has the
    /// turn. [`finished`](Self::finished) must follow.
    pub(crate) fn start_message(&mut self) -> bool {
        let is_free = self.phase == Phase::Ready && self.waiting.is_empty();
        if is_free {
            self.phase = Phase::RunningMessage;
        }
        is_free
    }

    /// Whether no event waits for its turn, nor the place of a message that was taken.
    #[inline]
    pub(crate) const fn nothing_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    #[inline]
    pub(crate) fn finished(&mut self) {
        self.phase = match self.phase {
            Phase::Running | Phase::RunningMessage => Phase::Ready,
            Phase::RunningLast => Phase::Over,
            Phase::Held | Phase::Ready | Phase::Over => {
                debug_assert!(false, "no callback was running");
                self.phase
            }
        };
        if !self.waiting.is_empty() {
            self.pass_taken();
        }
    }

    /// The turn has come of messages for which nothing is called.
    #[cold]
    fn pass_taken(&mut self) {
        while let Some(Waiting::Taken) = self.waiting.front() {
            self.waiting.pop_front();
            self.messages -= 1;
        }
    }

    /// Nothing is called any more. Tells how many messages waited.
    pub(crate) fn abandon(&mut self) -> usize {
        let frames = self.take_messages();
        self.waiting = RareQueue::new();
        self.phase = Phase::Over;
        frames
    }

    /// None of the messages that wait counts any more. Tells how many of them are frames: the
    /// others are counted as undecodable already.
    fn take_messages(&mut self) -> usize {
        if std::mem::take(&mut self.messages) == 0 {
            return 0;
        }
        self.events().filter(|event| matches!(event, SessionEvent::Message(_))).count()
    }

    /// Whether a callback runs.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::RunningMessage | Phase::RunningLast)
    }

    /// The number of messages that wait.
    pub(crate) const fn messages(&self) -> usize {
        self.messages as usize
    }

    /// The number of messages whose callback has not returned.
    pub(crate) fn unhandled(&self) -> u32 {
        self.messages + u32::from(self.phase == Phase::RunningMessage)
    }

    /// Whether the transport has changed since the event whose callback runs.
    pub(crate) fn suspension_waits(&self) -> bool {
        self.events().any(|event| matches!(event, SessionEvent::Suspended(_)))
    }

    /// The number of resumptions that wait.
    pub(crate) fn resumptions(&self) -> usize {
        self.events().filter(|event| matches!(event, SessionEvent::Resumed(_))).count()
    }

    /// Whether the last callback has finished.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// A notice that waits is for an expiry that is another by now.
    pub(crate) fn take_back_notice(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting
                .retain(|waiting| !matches!(waiting, Waiting::Event(SessionEvent::Expiring)));
        }
    }

    /// A notice in between does not keep them apart, or a flapping transport could grow the queue.
    fn fold_unseen_resumption(&mut self) {
        let newest = {
            let is_between = |waiting: &&Waiting| match waiting {
                Waiting::Event(event) => event.may_come_anywhere(),
                Waiting::Taken => false,
            };
            let mut newest = self.waiting.iter().rev().filter(|waiting| !is_between(waiting));
            (newest.next(), newest.next())
        };
        if let (
            Some(Waiting::Event(SessionEvent::Resumed(_))),
            Some(Waiting::Event(SessionEvent::Suspended(_))),
        ) = newest
        {
            self.remove_newest(|event| matches!(event, SessionEvent::Resumed(_)));
            self.remove_newest(|event| matches!(event, SessionEvent::Suspended(_)));
        }
    }

    fn remove_newest(&mut self, is_meant: impl Fn(&SessionEvent) -> bool) -> bool {
        self.waiting.remove_newest(|waiting| match waiting {
            Waiting::Event(event) => is_meant(event),
            Waiting::Taken => false,
        })
    }

    fn events(&self) -> impl Iterator<Item = &SessionEvent> {
        self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Event(event) => Some(event),
            Waiting::Taken => None,
        })
    }
}

impl Waiting {
    const fn is_message(&self) -> bool {
        match self {
            Self::Taken | Self::Event(SessionEvent::Message(_) | SessionEvent::Undecodable(_)) => {
                true
            }
            Self::Event(
                SessionEvent::Opened
                | SessionEvent::Suspended(_)
                | SessionEvent::Resumed(_)
                | SessionEvent::Joined(_)
                | SessionEvent::Left(_)
                | SessionEvent::Expiring
                | SessionEvent::Closed(_),
            ) => false,
        }
    }
}
