//! When a session's permission runs out, and what else has a deadline that few sessions have.

use std::time::{Duration, Instant};

use super::state::State;
use super::{Action, Session};
use crate::callbacks::SessionEvent;
use crate::clock::put_off;
use crate::disconnect::Disconnect;

/// Boxed while there are some: most sessions have none once their first transport is there.
#[derive(Debug, Default)]
pub(super) struct RareDeadlines(Option<Box<Rare>>);

#[derive(Debug, Default)]
struct Rare {
    /// When to give up a transport that is still being upgraded, if there is one.
    upgrade: Option<Instant>,
    expiry: Option<Expiry>,
}

#[derive(Debug, Clone, Copy)]
struct Expiry {
    at: Instant,
    /// When the application hears that it comes; `None` once it has, or if it does not want to.
    notice_at: Option<Instant>,
}

impl RareDeadlines {
    pub(super) fn begin_upgrade(&mut self, deadline: Instant) {
        self.0.get_or_insert_default().upgrade = Some(deadline);
    }

    /// Tells whether there was one.
    pub(super) fn end_upgrade(&mut self) -> bool {
        let was_upgrading = self.0.as_mut().is_some_and(|rare| rare.upgrade.take().is_some());
        self.0.take_if(|rare| rare.upgrade.is_none() && rare.expiry.is_none());
        was_upgrading
    }

    pub(super) fn upgrade(&self) -> Option<Instant> {
        self.0.as_ref()?.upgrade
    }

    pub(super) fn is_upgrading(&self) -> bool {
        self.upgrade().is_some()
    }

    pub(super) fn put_off_upgrade(&mut self, missed: Duration, time: Duration, now: Instant) {
        if let Some(deadline) = self.0.as_mut().and_then(|rare| rare.upgrade.as_mut()) {
            *deadline = put_off(*deadline, missed, time, now);
        }
    }

    pub(super) const fn are_none(&self) -> bool {
        self.0.is_none()
    }

    fn expiry(&self) -> Option<Expiry> {
        self.0.as_ref()?.expiry
    }

    /// Tells whether the time for the notice has come, once for each expiry.
    fn take_notice(&mut self, now: Instant) -> bool {
        let expiry = self.0.as_mut().and_then(|rare| rare.expiry.as_mut());
        expiry.is_some_and(|expiry| expiry.notice_at.take_if(|at| now >= *at).is_some())
    }
}

impl Session {
    /// The connection may go on until this instant, whatever was said before. Then it ends with
    /// [`Disconnect::Expired`], in whichever state it is, and for whatever it waits.
    ///
    /// The application hears of it [some time](super::SessionConfig::expiry_notice) before. A notice
    /// that waits for its callback is for nothing if the time was put off, and is taken back.
    ///
    /// Time in which the driver stood still counts: a permission runs out for everybody.
    pub fn handle_expiry(&mut self, expires_at: Instant) {
        if self.has_ended() {
            return;
        }
        self.callbacks.take_back_notice();
        let notice = self.config.expiry_notice;
        // Before the clock began, it is due at once.
        let notice_at = notice.map(|time| expires_at.checked_sub(time).unwrap_or(expires_at));
        let expiry = Expiry { at: expires_at, notice_at };
        self.rare.0.get_or_insert_default().expiry = Some(expiry);
    }

    /// When the connection expires, or the application hears of that.
    pub(super) fn expiry_deadline(&self) -> Option<Instant> {
        let expiry = self.rare.expiry()?;
        match self.state {
            // The first callback is still to come, and this is not to come before it.
            State::Opening => Some(expiry.at),
            State::Connected(_) | State::Suspended { .. } => {
                Some(expiry.notice_at.unwrap_or(expiry.at).min(expiry.at))
            }
            State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => None,
        }
    }

    /// Does what is due by `now`, and tells whether the connection has expired.
    pub(super) fn handle_expiry_timeout(&mut self, now: Instant) -> bool {
        if self.expiry_deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        if self.rare.expiry().is_some_and(|expiry| now >= expiry.at) {
            self.actions.push_back(Action::End(Disconnect::Expired));
            return true;
        }
        if self.rare.take_notice(now) {
            self.callbacks.push(SessionEvent::Expiring);
        }
        false
    }

    const fn has_ended(&self) -> bool {
        match self.state {
            State::Opening | State::Connected(_) | State::Suspended { .. } | State::Lost { .. } => {
                false
            }
            State::Flushing { .. } | State::AwaitingTransport { .. } | State::Closed => true,
        }
    }
}
