//! Sending to a connection.

use wspulse_core::{EncodedFrame, Frame, Marks, Outgoing, Overflow};

use super::Connection;
use crate::membership::mailbox::{Offered, Outcome, Waiter};
use crate::membership::shared::ConnectionState;
use crate::membership::turn_writes::TurnWrites;
use crate::observe::metrics::{DropReason, Limit};
use crate::settings::error::SendError;

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
        let (frame, marks) = frame.into().into_parts();
        self.send_as(frame, marks)
    }

    /// Sends a frame with its marks, if it has any.
    #[inline]
    pub(crate) fn send_as(&self, frame: Frame, marks: Option<Box<Marks>>) -> Result<(), SendError> {
        match marks {
            None => self.send_plain(frame),
            Some(marks) => self.send_marked(frame, &marks),
        }
    }

    fn send_marked(&self, frame: Frame, marks: &Marks) -> Result<(), SendError> {
        let (shared, server) = (&self.shared, self.server());
        if self.state() == ConnectionState::Closed {
            return Err(SendError::Closed { frame: Box::new(frame) });
        }
        let frame = self.check_promise(frame, marks.overflow)?;
        let encoded = server.codecs().encode_marked(shared.mailbox.codec(), &frame, marks);
        match encoded {
            Ok(encoded) => self.send_marked_encoded(frame, encoded, marks.overflow),
            Err(source) => Err(SendError::Encode { frame: Box::new(frame), source }),
        }
    }

    /// Queues a frame of another server, which is in this connection's codec. An error gives back an
    /// empty one.
    pub(crate) fn send_said(
        &self,
        encoded: EncodedFrame,
        overflow: Option<Overflow>,
    ) -> Result<(), SendError> {
        let frame = self.check_promise(Frame::default(), overflow)?;
        if overflow.is_none() && !encoded.is_keyed() && !encoded.is_volatile() {
            self.send_encoded(frame, encoded)
        } else {
            self.send_marked_encoded(frame, encoded, overflow)
        }
    }

    fn check_promise(&self, frame: Frame, overflow: Option<Overflow>) -> Result<Frame, SendError> {
        if let Some(overflow @ Overflow::DropOldest) = overflow
            && self.server().options().delivery.is_promised()
        {
            return Err(SendError::BreaksPromise { frame: Box::new(frame), overflow });
        }
        Ok(frame)
    }

    fn send_marked_encoded(
        &self,
        frame: Frame,
        encoded: EncodedFrame,
        overflow: Option<Overflow>,
    ) -> Result<(), SendError> {
        let shared = &self.shared;
        let offered = shared.mailbox.send_marked(
            encoded,
            overflow,
            TurnWrites::notice_for(shared.mailbox.home()),
            self.server().queued_bytes(),
        );
        let Ok(offered) = offered else {
            return Err(SendError::Closed { frame: Box::new(frame) });
        };
        shared.count_conflated(offered.conflated);
        self.finish_send(frame, offered)
    }

    #[inline]
    fn send_plain(&self, frame: Frame) -> Result<(), SendError> {
        if self.state() == ConnectionState::Closed {
            return Err(SendError::Closed { frame: Box::new(frame) });
        }
        let codecs = self.server().codecs();
        let encoded = match codecs.encode(self.shared.mailbox.codec(), &frame) {
            Ok(encoded) => encoded,
            Err(source) => return Err(SendError::Encode { frame: Box::new(frame), source }),
        };
        self.send_encoded(frame, encoded)
    }

    #[inline]
    pub(crate) fn send_encoded(
        &self,
        frame: Frame,
        encoded: EncodedFrame,
    ) -> Result<(), SendError> {
        let mailbox = &self.shared.mailbox;
        let notice = TurnWrites::notice_for(mailbox.home());
        let Ok(offered) = mailbox.send(encoded, notice, self.server().queued_bytes()) else {
            return Err(SendError::Closed { frame: Box::new(frame) });
        };
        self.finish_send(frame, offered)
    }

    #[inline]
    fn finish_send(&self, frame: Frame, offered: Offered) -> Result<(), SendError> {
        if offered.is_left {
            TurnWrites::add(&self.shared);
        }
        if offered.has_overflowed() { self.finish_overflowed(frame, offered) } else { Ok(()) }
    }

    #[cold]
    fn finish_overflowed(&self, frame: Frame, offered: Offered) -> Result<(), SendError> {
        self.shared.count_dropped(offered.evicted, DropReason::Evicted);
        match offered.outcome {
            Outcome::Queued => Ok(()),
            Outcome::QueuedAtServerLimit => {
                self.shared.report_limit(Limit::QueuedBytes);
                Ok(())
            }
            Outcome::Refused(limit) => {
                self.shared.mailbox.await_room(Waiter::here(&self.shared));
                self.shared.count_refused(limit, DropReason::Rejected);
                Err(SendError::Full { frame: Box::new(frame), limit })
            }
            Outcome::TooSlow(limit) => {
                self.shared.count_refused(limit, DropReason::Rejected);
                self.shared.end_as_slow();
                Err(SendError::Full { frame: Box::new(frame), limit })
            }
            Outcome::Faded => {
                self.shared.count_dropped(1, DropReason::Volatile);
                Ok(())
            }
        }
    }
}
