//! What a session asks of its driver.

use std::time::Instant;

use crate::callbacks::SessionEvent;
use crate::disconnect::{Disconnect, Dismissal};
#[cfg(doc)]
use crate::session::Session;

/// What a driver must do.
#[derive(Debug)]
pub enum Action {
    /// Start this callback; [`Session::handle_callback_finished`] must follow.
    Call(SessionEvent),
    /// Owe the peer a Ping. If something is on its way it is a question, and
    /// [`Session::handle_asked`] must follow.
    Ping,
    /// Take what was written up to this frame for arrived: the peer does not answer questions.
    Presume {
        /// The newest frame before the question.
        number: u64,
        /// It is the first time for this session.
        is_news: bool,
    },
    /// Owe a client of `wspulse.1` the number of its messages that are handled.
    Answer(u64),
    /// Tell whoever awaits something of the client that it will not be heard: as many messages wait
    /// in front of it as may. Reading pauses.
    Overloaded,
    /// Count a peer that was silent for too long; its transport is dismissed next.
    PongTimeout,
    /// Count a peer that left a message incomplete for too long; its transport is dismissed next.
    MessageTimeout,
    /// Part with the current transport in this way, until the deadline at the latest.
    Dismiss(Dismissal, Instant),
    /// Forget the transport that is being upgraded.
    AbandonUpgrade,
    /// Have the connection ended for this reason, unless somebody else ended it first;
    /// [`Session::handle_end`] must follow with whichever came first. An end for
    /// [`Disconnect::GraceExpired`] also yields to a transport that has come meanwhile, and one for
    /// [`Disconnect::Expired`] to a later expiry that has.
    End(Disconnect),
    /// Drop the frames that still wait in the outbound queue.
    DiscardBacklog,
    /// So many received messages never reach their handler.
    Discarded(usize),
}
