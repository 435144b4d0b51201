//! The options that limit who gets in: values, defaults, bounds.

use std::ops::RangeInclusive;

use http::StatusCode;

use crate::settings::error::ConfigError;

/// Limits on handshakes and on the number of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionOptions {
    /// Connections in all, suspended ones included.
    pub(crate) connections_max: Option<usize>,
    /// Connections of one peer address.
    pub(crate) connections_per_addr_max: Option<usize>,
    pub(crate) request_header_bytes_max: usize,
    pub(crate) request_headers_max: usize,
    /// What a plain error of the connect function is answered with, if not with 500.
    pub(crate) error_status: Option<StatusCode>,
}

/// What nginx takes by default is 8 KiB for each header; 16 KiB for all lets long cookies through.
pub(crate) const REQUEST_HEADER_BYTES_DEFAULT: usize = 16 * 1024;
/// What hyper parses by default, and a browser sends about 20.
pub(crate) const REQUEST_HEADERS_DEFAULT: usize = 100;
/// A browser's handshake takes about 600 bytes, without cookies.
const REQUEST_HEADER_BYTES: RangeInclusive<usize> = 1024..=1024 * 1024;
/// The five that RFC 6455 §4.1 demands, and not more than a map of headers can hold.
const REQUEST_HEADERS: RangeInclusive<usize> = 5..=1024;

impl Default for AdmissionOptions {
    fn default() -> Self {
        Self {
            connections_max: None,
            connections_per_addr_max: None,
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
        if let Some(status) = self.error_status
            && !(status.is_client_error() || status.is_server_error())
        {
            return Err(ConfigError::new("reject_errors_with", status, "must be 400 to 599"));
        }
        check_header_limits(self.request_header_bytes_max, self.request_headers_max)
    }
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
