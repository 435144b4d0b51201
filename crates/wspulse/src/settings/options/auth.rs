//! The options of permissions that expire and are looked at again.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::settings::error::ConfigError;

#[derive(Debug, Clone, Copy)]
pub(crate) struct AuthOptions {
    pub(crate) expiry_notice: Duration,
}

/// Long enough for a client to ask somebody for a token, and for that to be tried again; short
/// enough for tokens of five minutes.
const EXPIRY_NOTICE_DEFAULT: Duration = Duration::from_mins(1);
const EXPIRY_NOTICE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

impl Default for AuthOptions {
    fn default() -> Self {
        Self { expiry_notice: EXPIRY_NOTICE_DEFAULT }
    }
}

impl AuthOptions {
    /// The first value that is out of its range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if EXPIRY_NOTICE.contains(&self.expiry_notice) {
            return Ok(());
        }
        let rule = "must be at least 1 ms and at most 24 h";
        Err(ConfigError::new("expiry_notice", self.expiry_notice, rule))
    }
}
