//! Until when a connection may go on. Renewals and the expiry are decided here, under one lock.

use tokio::time::Instant;
use wspulse_core::SessionEvent;

use super::{End, HasEnded, Inner, Mailbox};
use crate::membership::Further;
use crate::membership::shared::ConnectionState;

impl Mailbox {
    /// For a connection that nobody knows of yet.
    pub(crate) fn expiring_at(self, expires_at: Option<Instant>) -> Self {
        if let Some(expires_at) = expires_at {
            self.inner.lock().expire_at(expires_at);
        }
        self
    }

    /// When the connection expires, if it does.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.inner.lock().expires_at()
    }

    /// Lets the connection go on until then, if it has not ended.
    pub(crate) fn renew(&self, expires_at: Instant) -> Result<(), HasEnded> {
        let mut inner = self.inner.lock();
        match inner.state {
            ConnectionState::Connected | ConnectionState::Suspended => {
                inner.expire_at(expires_at);
                Ok(())
            }
            ConnectionState::Closed => Err(HasEnded),
        }
    }

    /// Whether the application is still to hear that the connection is about to expire: it has not
    /// ended, nor been renewed, since its task looked.
    pub(crate) fn is_expiring(&self) -> bool {
        let inner = self.inner.lock();
        let is_renewed = inner.mail.as_ref().is_some_and(|mail| mail.expires_at.is_some());
        inner.state != ConnectionState::Closed && !is_renewed
    }

    /// As [`end`](Self::end), if the time has come: `None` also if it was renewed meanwhile.
    pub(crate) fn end_expired(
        &self,
        end: End,
        told: impl FnOnce(ConnectionState, &Further) -> Vec<SessionEvent>,
    ) -> Option<ConnectionState> {
        let mut inner = self.lock();
        if inner.expires_at().is_none_or(|at| at > Instant::now()) {
            return None;
        }
        self.post_end(&mut inner, end, told).ok()
    }
}

impl Inner {
    fn expires_at(&self) -> Option<Instant> {
        self.rare.as_ref()?.expires_at
    }

    pub(super) fn expire_at(&mut self, expires_at: Instant) {
        self.rare.get_or_insert_default().expires_at = Some(expires_at);
        self.post(|mail| mail.expires_at = Some(expires_at));
    }
}
