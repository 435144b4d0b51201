//! The options of requests and replies: values, defaults and bounds.

use std::fmt;
use std::ops::RangeInclusive;

use bytestring::ByteString;
use wspulse_core::Frame;
use wspulse_core::session::AwaitedConfig;

use super::INBOUND_FRAMES_MAX;
use crate::settings::error::ConfigError;

/// The options as given, checked or not.
pub(crate) struct RequestOptions {
    pub(crate) outstanding_max: usize,
    pub(crate) awaited: AwaitedConfig,
    pub(crate) reply_event: ByteString,
    pub(crate) error_event: ByteString,
    pub(crate) answers_failures: bool,
}

const OUTSTANDING: RangeInclusive<usize> = 1..=65_536;
const AWAITED_MESSAGES: RangeInclusive<usize> = INBOUND_FRAMES_MAX..=65_536;
const AWAITED_BYTES: RangeInclusive<usize> = 1..=1024 * 1024 * 1024;

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            // Clients ask for a few things at once; who asks for more waits for nothing.
            outstanding_max: 64,
            // A client that answers at all has seldom more than a second's messages before that.
            awaited: AwaitedConfig { messages_max: 1024, bytes_max: 256 * 1024 },
            reply_event: ByteString::from_static("reply"),
            error_event: ByteString::from_static("error"),
            answers_failures: false,
        }
    }
}

impl RequestOptions {
    /// The first value that is out of its range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !OUTSTANDING.contains(&self.outstanding_max) {
            let rule = "must be at least 1 and at most 65536";
            return Err(ConfigError::new("max_requests", self.outstanding_max, rule));
        }
        let AwaitedConfig { messages_max, bytes_max } = self.awaited;
        if !AWAITED_MESSAGES.contains(&messages_max) {
            let rule = "messages must be at least 32 and at most 65536";
            return Err(ConfigError::new("read_ahead", messages_max, rule));
        }
        if !AWAITED_BYTES.contains(&bytes_max) {
            let rule = "bytes must be at least 1 and at most 1073741824 (1 GiB)";
            return Err(ConfigError::new("read_ahead", bytes_max, rule));
        }
        let events = (&*self.reply_event, &*self.error_event);
        if events.0.is_empty() || events.1.is_empty() || events.0 == events.1 {
            let rule = "must be two different names, none of them empty";
            return Err(ConfigError::new("reply_events", events, rule));
        }
        Ok(())
    }

    /// Whether a frame with this event may answer a request.
    pub(crate) fn is_answer(&self, event: &str) -> bool {
        *event == *self.reply_event || *event == *self.error_event
    }

    /// Whether a frame that cannot be handled is answered: an answer is not, or two ends would answer
    /// each other for ever.
    pub(crate) fn answers_failure_of(&self, frame: &Frame) -> bool {
        self.answers_failures && !frame.id().is_empty() && !self.is_answer(frame.event())
    }

    /// Names the options.
    pub(super) fn fields(&self, debug: &mut fmt::DebugStruct<'_, '_>) {
        debug
            .field("max_requests", &self.outstanding_max)
            .field("read_ahead", &(self.awaited.messages_max, self.awaited.bytes_max))
            .field("reply_events", &(&self.reply_event, &self.error_event))
            .field("answer_failures", &self.answers_failures);
    }
}
