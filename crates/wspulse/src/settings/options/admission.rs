//! The options that limit who gets in: values, defaults, bounds.

use std::ops::RangeInclusive;

use http::StatusCode;

use wspulse_core::CloseCode;

use crate::settings::error::ConfigError;

/// Limits on handshakes and on the number of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionOptions {
    /// Connections in all, suspended ones included.
    pub(crate) connections_max: Option<usize>,
    /// Connections of one peer address.
    pub(crate) connections_per_addr_max: Option<usize>,
    /// Connections of one user.
    pub(crate) per_user: Option<PerUser>,
    pub(crate) request_header_bytes_max: usize,
    pub(crate) request_headers_max: usize,
    /// What a plain error of the connect function is answered with, if not with 500.
    pub(crate) error_status: Option<StatusCode>,
}

/// How many connections a user may have, and what happens to one more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PerUser {
    pub(crate) connections_max: usize,
    pub(crate) limit: UserLimit,
}

/// What happens when a user who has as many connections as may be comes with one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum UserLimit {
    /// The new one is answered 429 `too many connections of this user`.
    #[default]
    RefuseNew,
    /// The one that began first ends, suspended or not, with
    /// [`Disconnect::UserLimit`](crate::Disconnect::UserLimit) and this close code, such as
    /// [`CloseCode::USER_LIMIT`], by which the client can tell that it is not to come back. From
    /// 4000 to 4999, but not 4410, after which clients come back.
    EndOldest(CloseCode),
}

/// What nginx takes by default is 8 KiB for each header; 16 KiB for all lets long cookies through.
pub(crate) const REQUEST_HEADER_BYTES_DEFAULT: usize = 16 * 1024;
/// What hyper parses by default, and a browser sends about 20.
pub(crate) const REQUEST_HEADERS_DEFAULT: usize = 100;
/// A browser's handshake takes about 600 bytes, without cookies.
const REQUEST_HEADER_BYTES: RangeInclusive<usize> = 1024..=1024 * 1024;
/// A user's connections are looked through one by one.
const CONNECTIONS_OF_USER: RangeInclusive<usize> = 1..=4096;
/// The five that RFC 6455 §4.1 demands, and not more than a map of headers can hold.
const REQUEST_HEADERS: RangeInclusive<usize> = 5..=1024;

impl Default for AdmissionOptions {
    fn default() -> Self {
        Self {
            connections_max: None,
            connections_per_addr_max: None,
            per_user: None,
            request_header_bytes_max: REQUEST_HEADER_BYTES_DEFAULT,
            request_headers_max: REQUEST_HEADERS_DEFAULT,
            error_status: None,
        }
    }
}

impl AdmissionOptions {
    /// Whether the number of connections is limited at all.
    pub(crate) const fn limit_connections(&self) -> bool {
        self.connections_max.is_some() || self.connections_per_addr_max.is_some()
    }

    /// The first value that is out of its range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        const COUNT: &str = "must be at least 1";
        for (option, value) in [
            ("max_connections", self.connections_max),
            ("max_connections_per_addr", self.connections_per_addr_max),
        ] {
            if value == Some(0) {
                return Err(ConfigError::new(option, 0, COUNT));
            }
        }
        self.check_per_user()?;
        if let Some(status) = self.error_status
            && !(status.is_client_error() || status.is_server_error())
        {
            return Err(ConfigError::new("reject_errors_with", status, "must be 400 to 599"));
        }
        check_header_limits(self.request_header_bytes_max, self.request_headers_max)
    }

    fn check_per_user(&self) -> Result<(), ConfigError> {
        const OPTION: &str = "max_connections_per_user";
        let Some(PerUser { connections_max, limit }) = self.per_user else { return Ok(()) };
        if !CONNECTIONS_OF_USER.contains(&connections_max) {
            let rule = "must be at least 1 and at most 4096";
            return Err(ConfigError::new(OPTION, connections_max, rule));
        }
        match limit {
            UserLimit::EndOldest(code) if !keeps_away(code) => {
                let rule = "the oldest must end with 4000 to 4999, but not 4410";
                Err(ConfigError::new(OPTION, code, rule))
            }
            UserLimit::EndOldest(_) | UserLimit::RefuseNew => Ok(()),
        }
    }
}

/// Whether a client that is closed with this code stays away; with another it would come back, and
/// end in its turn whoever has taken its place.
pub(crate) fn keeps_away(code: CloseCode) -> bool {
    code != CloseCode::FRAMES_LOST && (4000..=4999).contains(&code.as_u16())
}

/// For [`Serve`](crate::serve::Serve) as well, which has options of the same names.
pub(crate) fn check_header_limits(bytes_max: usize, headers_max: usize) -> Result<(), ConfigError> {
    const BYTES: &str = "must be at least 1024 and at most 1048576 (1 MiB)";
    const HEADERS: &str = "must be at least 5 and at most 1024";
    for (option, value, range, rule) in [
        ("max_request_header_bytes", bytes_max, REQUEST_HEADER_BYTES, BYTES),
        ("max_request_headers", headers_max, REQUEST_HEADERS, HEADERS),
    ] {
        if !range.contains(&value) {
            return Err(ConfigError::new(option, value, rule));
        }
    }
    Ok(())
}
