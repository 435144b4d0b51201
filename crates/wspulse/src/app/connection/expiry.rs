//! Until when a connection may go on, and renewals of that.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Connection;
use crate::ground::expiry;
use crate::membership::mailbox::HasEnded;
use crate::settings::error::RenewError;

impl Connection {
    /// When it [expires](crate::Admission::expires_at), as the wall clock goes now; `None` if it does
    /// not. It may be in the past for the moment in which the connection ends, and stays what it was
    /// after that.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.shared.mailbox.expires_at().map(expiry::time_of)
    }

    /// How long it is until it [expires](crate::Admission::expires_at), zero if that has come; `None`
    /// if it does not.
    pub fn expires_in(&self) -> Option<Duration> {
        let expires_at = self.shared.mailbox.expires_at()?;
        Some(expires_at.saturating_duration_since(Instant::now()))
    }

    /// Lets it go on until this time, be it later or earlier than before: the client has shown a new
    /// token, say. A time that has passed ends it at once. See
    /// [`Admission::expires_at`](crate::Admission::expires_at) for which clock counts.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # fn renew(conn: &wspulse::Connection, exp: u64) -> Result<(), wspulse::RenewError> {
    /// // `exp` of a token that was verified, in seconds since 1970.
    /// conn.renew(SystemTime::UNIX_EPOCH + Duration::from_secs(exp))
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RenewError::Closed`] if it has ended, be it because it had expired: of a renewal and an
    /// expiry at the same time, one wins. After `Ok` it has not expired.
    pub fn renew(&self, until: SystemTime) -> Result<(), RenewError> {
        self.renew_until(expiry::instant_of(until))
    }

    /// As [`renew`](Self::renew), for so long from now on.
    ///
    /// # Errors
    ///
    /// See [`renew`](Self::renew).
    pub fn renew_in(&self, time: Duration) -> Result<(), RenewError> {
        self.renew_until(expiry::instant_in(time))
    }

    fn renew_until(&self, expires_at: Instant) -> Result<(), RenewError> {
        let renewed = self.shared.mailbox.renew(expires_at);
        renewed.map_err(|HasEnded| RenewError::Closed { id: self.id().to_owned() })
    }
}
