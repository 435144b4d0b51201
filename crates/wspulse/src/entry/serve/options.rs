//! The options of serving: values, defaults, bounds.

use std::time::Duration;

#[cfg(feature = "http2")]
use super::http2::Http2;
use super::socket::SocketOptions;
use crate::settings::error::ConfigError;
use crate::settings::options::admission::{
    REQUEST_HEADER_BYTES_DEFAULT, REQUEST_HEADERS_DEFAULT, check_header_limits,
};

/// The options as given, checked or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServeOptions {
    pub(super) handshake_timeout: Duration,
    pub(super) request_timeout: Option<Duration>,
    pub(super) drain_timeout: Duration,
    /// If it was said.
    pub(super) pending_per_addr_max: Option<usize>,
    pub(super) request_header_bytes_max: usize,
    pub(super) request_headers_max: usize,
    pub(super) socket: SocketOptions,
    pub(super) logs_peer_addrs: bool,
    #[cfg(feature = "http2")]
    pub(super) http2: Option<Http2>,
}

/// A page and its files take a browser 6 connections; an office behind one address opens its browsers not
/// all in one second.
const PENDING_PER_ADDR_DEFAULT: usize = 128;
const HANDSHAKE_TIMEOUT_MAX: Duration = Duration::from_mins(5);
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_hours(24);
const DRAIN_TIMEOUT_MAX: Duration = Duration::from_hours(1);
/// The system counts whole seconds for one of the two.
const TCP_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Linux takes up to 32,767 s.
const TCP_KEEPALIVE_MAX: Duration = Duration::from_hours(9);
const TCP_USER_TIMEOUT_MAX: Duration = Duration::from_hours(24);

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Some(Duration::from_mins(1)),
            drain_timeout: Duration::from_secs(10),
            pending_per_addr_max: None,
            request_header_bytes_max: REQUEST_HEADER_BYTES_DEFAULT,
            request_headers_max: REQUEST_HEADERS_DEFAULT,
            socket: SocketOptions { nodelay: true, keepalive: None, user_timeout: None },
            logs_peer_addrs: false,
            #[cfg(feature = "http2")]
            http2: None,
        }
    }
}

impl ServeOptions {
    /// As many as was said, or as one connection of HTTP/2 may need.
    pub(super) fn pending_per_addr_max(&self) -> usize {
        #[cfg(feature = "http2")]
        let streams = self.http2.map_or(0, Http2::streams_max);
        #[cfg(not(feature = "http2"))]
        let streams = 0;
        self.pending_per_addr_max.unwrap_or_else(|| PENDING_PER_ADDR_DEFAULT.max(streams))
    }

    /// The first value that is out of its range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_timeouts()?;
        self.check_socket()?;
        if self.pending_per_addr_max == Some(0) {
            return Err(ConfigError::new("max_pending_per_addr", 0, "must be at least 1"));
        }
        #[cfg(feature = "http2")]
        if let Some(http2) = self.http2 {
            http2.check()?;
        }
        check_header_limits(self.request_header_bytes_max, self.request_headers_max)
    }

    fn check_timeouts(&self) -> Result<(), ConfigError> {
        const HANDSHAKE: &str = "must be positive and at most 5 min";
        const REQUEST: &str = "must be positive and at most 24 h";
        const DRAIN: &str = "must be positive and at most 1 h";
        let handshake = ("handshake_timeout", self.handshake_timeout, HANDSHAKE_TIMEOUT_MAX);
        let drain = ("drain_timeout", self.drain_timeout, DRAIN_TIMEOUT_MAX);
        let request = self.request_timeout;
        let request = request.map(|timeout| ("request_timeout", timeout, REQUEST_TIMEOUT_MAX));
        let all = [(Some(handshake), HANDSHAKE), (request, REQUEST), (Some(drain), DRAIN)];
        for (given, rule) in all {
            if let Some((option, value, max)) = given
                && (value.is_zero() || value > max)
            {
                return Err(ConfigError::new(option, value, rule));
            }
        }
        Ok(())
    }

    fn check_socket(&self) -> Result<(), ConfigError> {
        const KEEPALIVE: &str = "must be at least 1 s and at most 9 h";
        const USER_TIMEOUT: &str = "must be at least 1 s and at most 24 h";
        let SocketOptions { keepalive, user_timeout, nodelay: _ } = self.socket;
        for (option, value, max, rule) in [
            ("tcp_keepalive", keepalive, TCP_KEEPALIVE_MAX, KEEPALIVE),
            ("tcp_user_timeout", user_timeout, TCP_USER_TIMEOUT_MAX, USER_TIMEOUT),
        ] {
            if let Some(value) = value.filter(|value| !(TCP_TIMEOUT_MIN..=max).contains(value)) {
                return Err(ConfigError::new(option, value, rule));
            }
        }
        Ok(())
    }
}
