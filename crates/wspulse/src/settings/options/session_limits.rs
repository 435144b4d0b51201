//! What one session may cost: values, defaults and bounds.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use wspulse_core::outbound::OutboundQueue;
use wspulse_core::session::SuspensionLimit;
use wspulse_core::websocket::Decoder;
use wspulse_core::{InboundRate, OverRate, Rate};

use super::Options;
use crate::ground::queued_bytes::QueuedBytes;
use crate::settings::compression::Longest;
use crate::settings::error::ConfigError;

/// The limits as given, checked or not.
pub(crate) struct SessionLimits {
    pub(crate) inbound_rate: Option<InboundRate>,
    pub(crate) message_fragments_max: usize,
    pub(crate) message_timeout: Duration,
    pub(crate) send_buffer_bytes: usize,
    pub(crate) queued_bytes_max: Option<usize>,
    pub(crate) suspended_max: Option<usize>,
}

/// Browsers send a message in one frame, or in a few hundred if it is huge. Conformance suites go
/// up to 65,536; whoever wants to be open to those can go far beyond.
const MESSAGE_FRAGMENTS: RangeInclusive<usize> = 1..=1024 * 1024;
const MESSAGE_TIMEOUT_MAX: Duration = Duration::from_hours(1);
/// A token each microsecond: rounding to nanoseconds stays below a thousandth.
const MESSAGES_PER_SECOND: RangeInclusive<u32> = 1..=1_000_000;
/// More than any network card brings to one connection.
const BYTES_PER_SECOND: RangeInclusive<u32> = 1..=1_000_000_000;
const SEND_BUFFER_BYTES: RangeInclusive<usize> = 1..=1024 * 1024 * 1024;
/// RFC 6455 §5.2: two bytes, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            inbound_rate: None,
            message_fragments_max: 1024,
            message_timeout: Duration::from_mins(1),
            send_buffer_bytes: 16 * 1024 * 1024,
            queued_bytes_max: None,
            suspended_max: None,
        }
    }
}

impl SessionLimits {
    /// The first value that is out of its range.
    pub(super) fn check(&self, longest: Longest) -> Result<(), ConfigError> {
        if let Some(rate) = &self.inbound_rate {
            check_rate(rate, longest)?;
        }
        if !MESSAGE_FRAGMENTS.contains(&self.message_fragments_max) {
            let rule = "must be at least 1 and at most 1048576";
            let fragments = self.message_fragments_max;
            return Err(ConfigError::new("max_message_fragments", fragments, rule));
        }
        if self.message_timeout.is_zero() || self.message_timeout > MESSAGE_TIMEOUT_MAX {
            let rule = "must be positive and at most 1 h";
            return Err(ConfigError::new("message_timeout", self.message_timeout, rule));
        }
        if !SEND_BUFFER_BYTES.contains(&self.send_buffer_bytes) {
            let rule = "must be at least 1 and at most 1073741824 (1 GiB)";
            return Err(ConfigError::new("send_buffer_bytes", self.send_buffer_bytes, rule));
        }
        if self.queued_bytes_max == Some(0) {
            return Err(ConfigError::new("max_queued_bytes", 0, "must be at least 1"));
        }
        if self.suspended_max == Some(0) {
            let rule = "must be at least 1; without a resume_window none is suspended";
            return Err(ConfigError::new("max_suspended", 0, rule));
        }
        Ok(())
    }

    pub(super) fn suspension_limit(&self) -> Option<Arc<SuspensionLimit>> {
        self.suspended_max.map(|sessions| Arc::new(SuspensionLimit::new(sessions)))
    }

    pub(crate) fn queued_bytes(&self) -> Option<QueuedBytes> {
        self.queued_bytes_max.map(QueuedBytes::new)
    }

    /// Names the limits by their options.
    pub(super) fn fields(&self, debug: &mut fmt::DebugStruct<'_, '_>) {
        debug
            .field("inbound_rate", &self.inbound_rate)
            .field("max_message_fragments", &self.message_fragments_max)
            .field("message_timeout", &self.message_timeout)
            .field("send_buffer_bytes", &self.send_buffer_bytes)
            .field("max_queued_bytes", &self.queued_bytes_max)
            .field("max_suspended", &self.suspended_max);
    }
}

impl Options {
    /// The decoder of a new transport.
    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(self.message_bytes_max)
            .with_message_fragments_max(self.session_limits.message_fragments_max)
    }

    /// The queue of a new connection.
    pub(crate) fn outbound_queue(&self) -> OutboundQueue {
        let queue = OutboundQueue::new(self.send_buffer_frames)
            .with_capacity_bytes(self.session_limits.send_buffer_bytes);
        match self.delivery.window() {
            Some(window) => queue.with_window(window),
            None => queue,
        }
    }
}

fn check_rate(rate: &InboundRate, longest: Longest) -> Result<(), ConfigError> {
    let refuse = |value: &dyn fmt::Debug, rule| Err(ConfigError::new("inbound_rate", value, rule));
    let within = |rate: Rate, range: &RangeInclusive<u32>| {
        range.contains(&rate.per_second) && range.contains(&rate.burst)
    };
    if let Some(messages) = rate.message_rate()
        && !within(messages, &MESSAGES_PER_SECOND)
    {
        let rule = "messages per second and their burst must be at least 1 and at most 1000000";
        return refuse(&messages, rule);
    }
    let Some(bytes) = rate.byte_rate() else {
        return match rate.message_rate() {
            Some(_) => Ok(()),
            None => refuse(rate, "must limit messages, bytes or both"),
        };
    };
    if !within(bytes, &BYTES_PER_SECOND) {
        let rule = "bytes per second and their burst must be at least 1 and at most 1000000000";
        return refuse(&bytes, rule);
    }
    let (message_bytes, rule) = match longest {
        Longest::Plain(bytes) => (
            bytes,
            "the burst of bytes must hold a message of max_message_size and its header \
             of 14 bytes, else such a message would close its connection",
        ),
        #[cfg(feature = "compression")]
        Longest::Compressed(bytes) => (
            bytes,
            "the burst of bytes must hold a message of max_message_size, a 7th of it, 64 bytes and \
             14 for its header, else one that cannot be compressed would close its connection",
        ),
    };
    if rate.over() == OverRate::Close && (bytes.burst as usize) < message_bytes + HEADER_BYTES_MAX {
        return refuse(&bytes, rule);
    }
    Ok(())
}
