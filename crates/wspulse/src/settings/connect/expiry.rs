//! Until when a client is let in.

use std::time::{Duration, SystemTime};

use super::Admission;
use crate::ground::expiry;

impl Admission {
    /// Lets the client stay until this time: then its connection ends with close code 4401 and
    /// [`Disconnect::Expired`](crate::Disconnect::Expired), within a second, whatever it does and
    /// also while it is suspended. [`Connection::renew`](crate::Connection::renew) puts that off, and
    /// so does an admission by which the client comes back to its session; one that says nothing
    /// leaves it as it is. Default: never.
    ///
    /// This call turns the time into one of the clock that is never set, so a wall clock that is set
    /// afterwards ends nobody. Time in which the process stood still counts; time in which its
    /// machine was suspended does not, as far as that clock stands still meanwhile, as it does on
    /// Linux.
    ///
    /// A client whose time has passed when it would be let in is answered 401 `the admission has
    /// expired`; a session that it would come back to goes on as it was.
    #[must_use]
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(expiry::instant_of(time));
        self
    }

    /// As [`expires_at`](Self::expires_at), so long after this call.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_at = Some(expiry::instant_in(time));
        self
    }
}
