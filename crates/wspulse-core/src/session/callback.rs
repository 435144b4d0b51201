//! What a callback brings about that has returned, was not called, was given up or has panicked.

use std::time::Instant;

use super::Session;
use super::state::State;
use super::writing::Writing;
use crate::clock::after;
use crate::disconnect::{PanicError, TransportLost};

impl Session {
    /// The callback that [`Action::Call`](super::Action::Call) started has returned.
    #[inline]
    pub fn handle_callback_finished(&mut self, now: Instant) {
        if self.callbacks.nothing_waits() && self.acks.is_none() {
            self.callbacks.finished();
        } else {
            self.handle_callback_finished_before_others(now);
        }
    }

    /// What few callbacks bring about by their return.
    #[inline(never)]
    fn handle_callback_finished_before_others(&mut self, now: Instant) {
        let was_paused = !self.has_room();
        self.callbacks.finished();
        self.answer_if_due();
        if was_paused {
            self.forget_awaited();
            self.resume_behind_callbacks(now);
        }
    }

    /// While reading was paused nothing could be heard: the peer gets its whole time again.
    pub(super) fn resume_reading(&mut self, now: Instant) {
        self.renew_question(now);
        if let State::Connected(link) = &mut self.state {
            link.heartbeat.handle_activity(now);
            if let Writing::Failed { deadline, .. } = &mut link.writing {
                *deadline = after(now, self.config.write_wait);
            }
        }
    }

    /// The message whose turn had come is not handed on: an end that is on its way forbids it.
    pub fn handle_message_skipped(&mut self, now: Instant) {
        self.report_discarded(1);
        self.handle_undecodable_skipped(now);
    }

    /// As [`handle_message_skipped`](Self::handle_message_skipped), for a message that is no frame
    /// and was counted as that.
    pub fn handle_undecodable_skipped(&mut self, now: Instant) {
        self.take_back_for_good();
        self.handle_callback_finished(now);
    }

    /// The server closes and has given the running callback up. Of those that wait only the last
    /// is still called, so that a shutdown waits for two callbacks at the most.
    pub fn handle_callback_given_up(&mut self, now: Instant) {
        self.take_back(self.callbacks.unhandled() as usize);
        let discarded = self.callbacks.skip_to_end();
        self.report_discarded(discarded);
        self.handle_callback_finished(now);
    }

    /// The message callback panicked: the transport that brought the message is lost, and with it
    /// what waits behind it. A transport that has come since is not, and an end that is being told
    /// stays what it is.
    pub fn handle_message_panicked(&mut self, error: PanicError, now: Instant) {
        if matches!(self.state, State::Connected(_)) && !self.callbacks.suspension_waits() {
            self.take_back_waiting();
            self.discard_messages();
            self.handle_transport_lost(TransportLost::HandlerPanicked(error), now);
        }
    }

    /// The connection that had this id before has finished its last callback.
    pub fn handle_predecessor_finished(&mut self) {
        self.callbacks.release();
    }
}
