//! HTTP/2, whose streams become WebSockets (RFC 8441), within bounds.

mod allowance;
mod answers;
mod connection;
mod filter;
mod frames;
mod inbound;
mod inbox;
mod pieces;
pub(super) mod preface;
mod streams;
mod unread;
mod unsure;
mod waiting;

use hyper::server::conn::http2::Builder;

use super::http::HeadLimits;
use crate::settings::error::ConfigError;
pub(super) use connection::Opened;
use streams::Opener;

/// Enough for a proxy in front of many clients, and few enough for what each may hold.
const STREAMS_DEFAULT: u32 = 256;
const STREAMS_MAX: u32 = 4096;
/// A message or two, and what a client may send in half a minute of its way to the server and back.
const STREAM_WINDOW_BYTES_DEFAULT: u32 = 16 * 1024;
const STREAM_WINDOW_BYTES_MIN: u32 = 1024;
const STREAM_WINDOW_BYTES_MAX: u32 = 256 * 1024;
/// No stream that is not read may use up what the others have; and h2 lets frames that are not read
/// cost half of the connection's window beyond their bytes, at most 256 each.
const WINDOWS_PER_CONNECTION: u32 = 4;
/// Twice what it costs so if h2 has twice as many frames as may be unread for all that is known.
const CONNECTION_WINDOW_BYTES_MIN: u32 = 16 * 1024 * 1024;
/// What h2 holds of one stream's data while the peer takes nothing: one write of a WebSocket.
const SEND_BUFFER_BYTES_MAX: usize = 16 * 1024;
/// Streams that their client has reset before they were looked at (CVE-2023-44487): h2's own default.
const RESET_BEFORE_ACCEPT_MAX: usize = 20;
/// Streams that this side had to reset for what their client did, in a connection's life
/// (CVE-2025-8671). Frames that are late for a stream that has ended count among them.
const RESET_FOR_ERRORS_MAX: usize = 1024;

/// HTTP/2 in [`serve`](crate::serve()), and its bounds: for [`Serve::http2`](super::Serve::http2)
/// (feature `http2`).
///
/// A WebSocket is then a stream of a connection that may have many (RFC 8441). It is a connection of
/// the [`Server`](crate::Server)'s like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    streams_max: u32,
    stream_window_bytes: u32,
}

impl Http2 {
    /// With the defaults.
    pub const fn new() -> Self {
        Self { streams_max: STREAMS_DEFAULT, stream_window_bytes: STREAM_WINDOW_BYTES_DEFAULT }
    }

    /// How many streams one connection may have at a time, WebSockets among them
    /// (`SETTINGS_MAX_CONCURRENT_STREAMS`). Default 256, at least 1, at most 4,096.
    #[must_use]
    pub const fn max_streams(mut self, streams: u32) -> Self {
        self.streams_max = streams;
        self
    }

    /// How many bytes a client may send on one stream beyond what was read of it
    /// (`SETTINGS_INITIAL_WINDOW_SIZE`): what is held of a WebSocket that is not read at the moment, and
    /// how much it can send within a round trip. Default 16 KiB, at least 1 KiB, at most 256 KiB.
    ///
    /// Data that is not read takes up to twice that for each stream (of 64 KiB until the client has
    /// acknowledged the settings), and 8 KiB of read buffers for each of a number of frames: four of a
    /// WebSocket, and of all else in a connection one each, and 2,048 pieces of 8 KiB together. That is 32 MiB by
    /// default. Beyond that, frames wait as their bytes, and go on as one, ten times a second: of WebSockets of
    /// other libraries that are not read, up to 16,384 pieces in 24 minutes. The
    /// connection's own window is four times what its streams may have together, and at least 16 MiB.
    #[must_use]
    pub const fn stream_window_bytes(mut self, bytes: u32) -> Self {
        self.stream_window_bytes = bytes;
        self
    }

    pub(super) const fn streams_max(self) -> usize {
        self.streams_max as usize
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        if !(1..=STREAMS_MAX).contains(&self.streams_max) {
            let rule = "must be at least 1 and at most 4,096";
            return Err(ConfigError::new("max_streams", self.streams_max, rule));
        }
        let windows = STREAM_WINDOW_BYTES_MIN..=STREAM_WINDOW_BYTES_MAX;
        if !windows.contains(&self.stream_window_bytes) {
            let rule = "must be at least 1 KiB and at most 256 KiB";
            return Err(ConfigError::new("stream_window_bytes", self.stream_window_bytes, rule));
        }
        Ok(())
    }

    fn builder(self, head: HeadLimits, opener: Opener) -> Builder<Opener> {
        let mut builder = Builder::new(opener);
        builder
            .enable_connect_protocol()
            .max_concurrent_streams(self.streams_max)
            .initial_stream_window_size(self.stream_window_bytes)
            .initial_connection_window_size(self.connection_window_bytes())
            .max_header_list_size(u32::try_from(head.bytes_max).unwrap_or(u32::MAX))
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .max_pending_accept_reset_streams(RESET_BEFORE_ACCEPT_MAX)
            .max_local_error_reset_streams(RESET_FOR_ERRORS_MAX);
        builder
    }

    fn connection_window_bytes(self) -> u32 {
        /// RFC 9113 §6.9.1.
        const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
        let streams = self.streams_max.saturating_mul(self.stream_window_bytes);
        let bytes = streams.saturating_mul(WINDOWS_PER_CONNECTION);
        bytes.clamp(CONNECTION_WINDOW_BYTES_MIN, WINDOW_BYTES_MAX)
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self::new()
    }
}
