//! Sending to a connection, and counting what becomes of that.

use std::sync::Arc;

use wspulse_core::{Disconnect, Frame, Marks, Outgoing, Overflow};

use super::{Connection, ConnectionState};
use crate::membership::mailbox::{Offered, Outcome};
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::{DropReason, FrameDropped, FramesConflated, FramesLost, Limit};
use crate::settings::error::{BufferLimit, SendError};

impl Connection {
    /// Queues a frame for this connection, without waiting. While it is suspended a full buffer
    /// drops its oldest frames, unless delivery is promised, or the frame says
    /// [otherwise](Frame::on_overflow). A frame may [take the place](Frame::conflate) of an older
    /// one that waits, or be [volatile](Frame::volatile).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after its end; [`SendError::Encode`] if the codec cannot express the
    /// frame, or its key is too long; [`SendError::Full`] if its send buffer is full, and it is
    /// connected or delivery is promised, or if all send buffers together are and its own oldest
    /// frames cannot make room; never for a volatile frame.
    /// [`SendError::BreaksPromise`] if it is to drop others whose delivery is promised.
    pub fn send(&self, frame: impl Into<Outgoing>) -> Result<(), SendError> {
        match frame.into().into_parts() {
            (frame, None) => self.send_plain(frame),
            (frame, Some(marks)) => self.send_marked(frame, &marks),
        }
    }

    fn send_marked(&self, frame: Frame, marks: &Marks) -> Result<(), SendError> {
        let (shared, server) = (&self.shared, self.server());
        if self.state() == ConnectionState::Closed {
            return Err(SendError::Closed { frame });
        }
        if let Some(overflow @ Overflow::DropOldest) = marks.overflow
            && server.options().delivery.is_promised()
        {
            return Err(SendError::BreaksPromise { frame, overflow });
        }
        let encoded = server.codecs().encode_marked(shared.mailbox.codec(), &frame, marks);
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(source) => return Err(SendError::Encode { frame, source }),
        };
        let offered = shared.mailbox.send_marked(encoded, marks.overflow, server.queued_bytes());
        let Ok(offered) = offered else {
            return Err(SendError::Closed { frame });
        };
        shared.count_conflated(offered.conflated);
        self.finish_send(frame, offered)
    }

    #[inline]
    fn send_plain(&self, frame: Frame) -> Result<(), SendError> {
        if self.state() == ConnectionState::Closed {
            return Err(SendError::Closed { frame });
        }
        let codecs = self.server().codecs();
        let encoded = match codecs.encode(self.shared.mailbox.codec(), &frame) {
            Ok(encoded) => encoded,
            Err(source) => return Err(SendError::Encode { frame, source }),
        };
        let Ok(offered) = self.shared.mailbox.send(encoded, self.server().queued_bytes()) else {
            return Err(SendError::Closed { frame });
        };
        self.finish_send(frame, offered)
    }

    fn finish_send(&self, frame: Frame, offered: Offered) -> Result<(), SendError> {
        self.shared.count_dropped(offered.evicted, DropReason::Evicted);
        match offered.outcome {
            Outcome::Queued => Ok(()),
            Outcome::QueuedAtServerLimit => {
                self.shared.report_limit(Limit::QueuedBytes);
                Ok(())
            }
            Outcome::Refused(limit) => {
                self.shared.count_refused(limit, DropReason::Rejected);
                Err(SendError::Full { frame, limit })
            }
            Outcome::TooSlow(limit) => {
                self.shared.count_refused(limit, DropReason::Rejected);
                self.shared.end_as_slow();
                Err(SendError::Full { frame, limit })
            }
            Outcome::Faded => {
                self.shared.count_dropped(1, DropReason::Volatile);
                Ok(())
            }
        }
    }
}

impl ConnectionShared {
    pub(crate) fn count_dropped(&self, frames: usize, reason: DropReason) {
        let dropped = FrameDropped { room: self.room(), id: &self.id, reason };
        for _ in 0..frames {
            self.server.metrics().record(|hooks| hooks.frame_dropped(&dropped));
        }
    }

    /// Counts frames that newer ones with their keys have replaced.
    pub(crate) fn count_conflated(&self, frames: usize) {
        if frames > 0 {
            let conflated = FramesConflated { room: self.room(), id: &self.id, frames };
            self.server.metrics().record(|hooks| hooks.frames_conflated(&conflated));
        }
    }

    /// Counts what a broadcast has cost.
    pub(crate) fn count_overflow(self: &Arc<Self>, offered: Offered) {
        self.count_conflated(offered.conflated);
        self.count_dropped(offered.evicted, DropReason::Evicted);
        match offered.outcome {
            Outcome::Queued => {}
            Outcome::QueuedAtServerLimit => self.report_limit(Limit::QueuedBytes),
            Outcome::Refused(limit) => {
                self.count_refused(limit, DropReason::NoRoom);
                self.end_if_promised(1);
            }
            Outcome::TooSlow(limit) => {
                self.count_refused(limit, DropReason::SlowConsumer);
                self.end_as_slow();
            }
            Outcome::Faded => self.count_dropped(1, DropReason::Volatile),
        }
    }

    /// Ends a connection whose send buffer was full when a frame came that does not allow it.
    fn end_as_slow(self: &Arc<Self>) {
        let close = self.server.options().overflow.close.clone();
        self.server.end(self, Disconnect::SlowConsumer(close));
    }

    /// Ends a session that has lost frames which it was promised.
    pub(crate) fn end_if_promised(self: &Arc<Self>, frames: usize) {
        if self.server.options().delivery.is_promised() {
            self.end_for_gap(frames);
        }
    }

    /// Ends a session whose client does not get so many frames, from the first that is lost on.
    pub(crate) fn end_for_gap(self: &Arc<Self>, frames: usize) {
        if self.server.end(self, Disconnect::FramesLost) {
            let lost = FramesLost { room: self.room(), id: &self.id, frames };
            self.server.metrics().record(|hooks| hooks.frames_lost(&lost));
        }
    }

    fn count_refused(&self, limit: BufferLimit, reason: DropReason) {
        self.count_dropped(1, reason);
        match limit {
            BufferLimit::Frames { .. } => {}
            BufferLimit::Bytes { .. } => self.report_limit(Limit::SendBufferBytes),
            BufferLimit::ServerBytes { .. } => self.report_limit(Limit::QueuedBytes),
        }
    }
}
