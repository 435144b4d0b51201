//! What is expected of a session that expires, and renewals of it.

use std::time::Instant;

use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;
use crate::link::Mail;

impl Driver {
    /// It may go on until then, which its task hears later.
    pub(crate) fn renew(&mut self, at: Instant) {
        self.expires_at = Some(at);
        self.mailbox.push_back(Mail::Expiry(at));
    }

    /// Its task hears until when it may go on.
    pub(crate) fn expect_expiry(&mut self, at: Instant) {
        if self.told.end.is_none() {
            self.told.expires_at = Some(at);
            self.told.notice_at =
                self.config.expiry_notice.and_then(|notice| at.checked_sub(notice));
            Scene::NoticeTakenBack.seen_if(std::mem::take(&mut self.told.notice_waits));
        }
        self.session.handle_expiry(at);
    }

    /// Whether it is to ask for its end.
    pub(crate) fn has_expired(&self, env: &Env) -> bool {
        self.may_expire() && self.told.expires_at.is_some_and(|at| env.now >= at)
    }

    /// Time has passed, and it has not expired.
    pub(crate) fn expect_notice(&mut self, env: &Env) {
        if self.may_expire() && !self.told.opening {
            let is_due = self.told.notice_at.take_if(|at| env.now >= *at).is_some();
            self.told.notice_waits |= is_due;
        }
    }

    /// When it expires, or the application hears of that.
    pub(crate) fn expiry_deadline(&self) -> Option<Instant> {
        let at = self.told.expires_at.filter(|_| self.may_expire())?;
        let notice_at = self.told.notice_at.filter(|_| !self.told.opening);
        Some(notice_at.unwrap_or(at).min(at))
    }

    /// Whether it has neither ended nor lost what it cannot go on without.
    fn may_expire(&self) -> bool {
        let told = &self.told;
        let goes_on = told.opening || self.current.is_some() || told.suspended_until.is_some();
        goes_on && told.end.is_none()
    }
}
