//! Asking a peer how far it has got, and hearing the answer.

use std::time::{Duration, Instant};

use wspulse_core::Escaped;
use wspulse_core::outbound::{NotWritten, WrittenBeside};
use wspulse_core::session::Session;

use super::{Driver, now};
use crate::membership::mailbox::Mailbox;
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::FramesAcknowledged;
use crate::wire::transport::Transport;

/// Owes the peer the question how far it has got, if it is asked that at all: behind what was
/// written, in front of what is written next.
pub(super) fn queue_question(
    session: &mut Session,
    transport: &mut Transport,
    mailbox: &Mailbox,
    now: Instant,
) {
    let number = mailbox.written_to_transport();
    if session.exchanges() {
        transport.lane.queue_ask();
    } else if let Some(nonce) = transport.nonce {
        transport.lane.queue_ping(nonce.question(number));
    } else {
        return;
    }
    session.handle_asked(number, now);
}

impl Driver {
    /// Owes the peer a Ping, which asks how far it has got if anything is kept.
    pub(super) fn queue_ping(&mut self, now: Instant) {
        let Some(transport) = &mut self.transport else { return };
        // With a client of `wspulse.1` the question is a message of its own.
        let is_question = transport.nonce.is_some();
        if !is_question {
            transport.queue_ping();
        }
        if is_question || self.session.may_ask() {
            queue_question(&mut self.session, transport, &self.connection.mailbox, now);
        }
    }

    /// Others have written with the transport. The peer is asked at once if that was as much as it is
    /// asked for: nothing may be written next for which the question could wait.
    pub(super) fn hear_of_written(&mut self, written: WrittenBeside) {
        self.session.handle_written(written.frames, written.bytes, now);
        if self.session.wants_to_ask()
            && let Some(transport) = &mut self.transport
        {
            queue_question(&mut self.session, transport, &self.connection.mailbox, now());
        }
    }

    /// The peer has all frames up to this one, it says.
    ///
    /// # Errors
    ///
    /// [`NotWritten`] for one of the future. From a peer that answers Pings it is no answer to
    /// anything that was asked, but life, as every byte is.
    pub(super) fn acknowledge(&mut self, number: u64, now: Instant) -> Result<(), NotWritten> {
        let ConnectionShared { mailbox, server, .. } = &*self.connection;
        // The answer to a Ping of the heartbeat, from a peer that is known to answer, while nothing is
        // on its way: there is nothing to learn from it.
        if self.session.asks_nothing() && self.session.is_answered() && !self.session.exchanges() {
            return Ok(());
        }
        let frames = mailbox.acknowledge(number, server.queued_bytes())?;
        let age = self.session.handle_acknowledged(number, frames, now);
        if frames > 0 {
            self.connection.count_acknowledged(frames, age);
        }
        Ok(())
    }

    /// The peer does not answer: what was written up to this frame is taken for arrived.
    #[cold]
    pub(super) fn presume(&self, number: u64, is_news: bool) {
        let ConnectionShared { mailbox, server, id, .. } = &*self.connection;
        let room = self.connection.room();
        mailbox.presume(number, server.queued_bytes());
        if is_news {
            tracing::debug!(
                id = Escaped::new(id).as_str(),
                room = Escaped::new(room).as_str(),
                "the peer answers no Ping with its payload, or a gateway keeps them: what it has \
                 got is guessed by time"
            );
        }
    }

    /// There is nothing that may be written now: if frames wait, as much is on its way as may be.
    /// Tells whether there is more to write because of that.
    #[cold]
    pub(super) fn relieve_window(&mut self, now: Instant) -> bool {
        if !self.connection.mailbox.has_waiting() {
            return false;
        }
        if self.session.may_presume() {
            let ConnectionShared { mailbox, server, .. } = &*self.connection;
            mailbox.presume_all(server.queued_bytes());
            self.session.handle_presumed();
            true
        } else if self.session.may_ask() {
            self.queue_ping(now);
            true
        } else {
            self.connection.mailbox.stall();
            false
        }
    }
}

impl ConnectionShared {
    /// Counts frames that are known to have arrived.
    pub(super) fn count_acknowledged(&self, frames: usize, age: Option<Duration>) {
        let acknowledged = FramesAcknowledged { room: self.room(), id: &self.id, frames, age };
        self.server.metrics().record(|hooks| hooks.frames_acknowledged(&acknowledged));
    }
}
