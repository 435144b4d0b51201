//! Requests to clients, and waiting for their replies.

mod room;
mod waiting;

use std::sync::atomic::Ordering;
use std::time::Duration;

use wspulse_core::{Frame, Outgoing};

use crate::app::connection::Connection;
use crate::ground::sync::AtomicUsize;
use crate::settings::error::RequestError;
pub use room::RoomRequest;
use waiting::Waiting;

/// Counts the requests of a server, and makes the ids of those that have none.
pub(crate) struct RequestCounter {
    /// Tells its ids from those of other servers: a client that could not reply to one of them may do
    /// so once it has come to this one.
    mark: u32,
    made: AtomicUsize,
    /// Whether replies may come or failures are answered, and how many taps there are: [`REPLIES`] and
    /// [`TAP`] for each. Beside the count, as every message asks for it.
    look_closer: AtomicUsize,
}

const REPLIES: usize = 1;
const TAP: usize = 2;

/// What the ids begin with that a server makes. No client has a reason to, and none needs to know.
const ID_PREFIX: &str = "~srv.";

impl RequestCounter {
    pub(crate) fn new(answers_failures: bool) -> Self {
        // It is one of the ids that a server draws.
        let (mark, ..) = uuid::Uuid::new_v4().as_fields();
        let look_closer = AtomicUsize::new(if answers_failures { REPLIES } else { 0 });
        Self { mark, made: AtomicUsize::new(0), look_closer }
    }

    /// Whether a message may be a reply, may have to be answered, or may be looked at.
    #[inline]
    pub(crate) fn look_closer(&self) -> bool {
        self.look_closer.load(Ordering::Relaxed) != 0
    }

    /// Whether a message may be a reply, or may have to be answered.
    pub(crate) fn look_for_replies(&self) -> bool {
        self.look_closer.load(Ordering::Relaxed) & REPLIES != 0
    }

    /// Somebody looks at what passes one of the connections.
    pub(crate) fn begin_tap(&self) {
        self.look_closer.fetch_add(TAP, Ordering::Relaxed);
    }

    pub(crate) fn end_tap(&self) {
        self.look_closer.fetch_sub(TAP, Ordering::Relaxed);
    }

    /// Whether there were any: a server that makes none looks for no replies.
    pub(crate) fn are_made(&self) -> bool {
        self.made.load(Ordering::Relaxed) > 0
    }

    /// Whether a server has made this id, this one or another.
    pub(crate) fn made(id: &str) -> bool {
        id.strip_prefix(ID_PREFIX).is_some_and(|rest| !rest.is_empty())
    }

    /// Counts a request. One without an id is given one; of one length in each run, so that a seed
    /// replays.
    fn name(&self, mut outgoing: Outgoing) -> Outgoing {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        self.look_closer.fetch_or(REPLIES, Ordering::Relaxed);
        if outgoing.frame.id().is_empty() {
            let id = format!("{ID_PREFIX}{:08x}.{number}", self.mark);
            outgoing.frame = outgoing.frame.with_id(id);
        }
        outgoing
    }
}

/// A request to one client, to be given the time that its reply may take. Made by
/// [`Connection::request`].
#[derive(Debug, Clone)]
#[must_use = "a request is sent once it is given its time and awaited"]
pub struct Request {
    connection: Connection,
    outgoing: Outgoing,
}

impl Request {
    pub(crate) fn new(connection: Connection, frame: Frame) -> Self {
        Self { connection, outgoing: frame.into() }
    }

    /// It is never compressed, as a frame that is sent [so](Frame::uncompressed).
    pub fn uncompressed(mut self) -> Self {
        self.outgoing = self.outgoing.uncompressed();
        self
    }

    /// Sends the request and waits for the reply, for so long at the most. Time in which the server
    /// itself stood still does not count.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: with the request, where it was not sent.
    ///
    /// # Cancel safety
    ///
    /// Nothing is sent before the first poll. Dropped after that, the request stays in the send
    /// buffer, its place is free at once, and a reply is dropped as one that comes too late.
    pub async fn within(self, time: Duration) -> Result<Frame, RequestError> {
        let Self { connection, outgoing } = self;
        let outgoing = connection.server().requests().name(outgoing);
        Waiting::begin(connection, outgoing)?.reply(time).await
    }
}
