//! The options.

use std::fmt;
use std::sync::Arc;

use wspulse::{ConfigError, Server};

use crate::access::Guard;
use crate::{Inspector, Shared, live};

/// How many departures the server is told to remember.
const DEPARTURES: usize = 512;

/// How many pages may be open at once.
const PAGES_MAX: usize = 64;

/// Sets the options of an [`Inspector`].
#[must_use]
pub struct Builder {
    server: Server,
    guard: Guard,
    shows_payloads: bool,
    may_act: bool,
    pages_max: usize,
}

impl Builder {
    pub(crate) fn new(server: Server, guard: Guard) -> Self {
        Self { server, guard, shows_payloads: false, may_act: true, pages_max: PAGES_MAX }
    }

    /// Shows what is in the messages, in the tail of a connection: the first 512 bytes of each
    /// payload. Default: no, only their events and lengths. What people say to each other is seldom
    /// the operator's business.
    pub const fn show_payloads(mut self, shows: bool) -> Self {
        self.shows_payloads = shows;
        self
    }

    /// Takes the buttons away, from everybody: nobody kicks, cuts or drains by this inspector.
    pub const fn read_only(mut self) -> Self {
        self.may_act = false;
        self
    }

    /// How many pages may be open at once; the next one is told that there are too many. Default: 64.
    pub const fn max_pages(mut self, most: usize) -> Self {
        self.pages_max = most;
        self
    }

    /// Makes the inspector. From now on the server remembers its last 512
    /// [departures](Server::remember_departures), since nobody looks before somebody has gone.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if no page may be open at once.
    pub fn build(self) -> Result<Inspector, ConfigError> {
        let Self { server, guard, shows_payloads, may_act, pages_max } = self;
        let pages = live::server(&server, shows_payloads, pages_max)?;
        server.remember_departures(DEPARTURES);
        Ok(Inspector(Arc::new(Shared { server, guard, may_act, pages })))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("shows_payloads", &self.shows_payloads)
            .field("may_act", &self.may_act)
            .field("pages_max", &self.pages_max)
            .finish_non_exhaustive()
    }
}
