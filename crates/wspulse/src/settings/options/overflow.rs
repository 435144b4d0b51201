//! What becomes of broadcasts for which a member's send buffer has no room.

use wspulse_core::{CloseCode, CloseFrame, Overflow};

use super::DeliveryOptions;
use crate::settings::error::ConfigError;

/// The options of full send buffers.
#[derive(Debug)]
pub(crate) struct OverflowOptions {
    /// For broadcasts that do not say it. `None` drops the oldest frames, or under a promise of
    /// delivery ends the session with `frames lost`.
    pub(crate) default: Option<Overflow>,
    /// What a slow consumer is told.
    pub(crate) close: CloseFrame,
}

const REASON: &str = "slow consumer";

impl Default for OverflowOptions {
    fn default() -> Self {
        Self { default: None, close: CloseFrame::new(CloseCode::SLOW_CONSUMER, REASON) }
    }
}

impl OverflowOptions {
    pub(crate) fn check(&self, delivery: &DeliveryOptions) -> Result<(), ConfigError> {
        if let Some(overflow) = self.default
            && !overflow.disconnects()
            && delivery.is_promised()
        {
            let rule = "a promise of delivery allows Disconnect alone";
            return Err(ConfigError::new("overflow", overflow, rule));
        }
        let code = self.close.code();
        let is_own = (4000..=4999).contains(&code.as_u16()) && code != CloseCode::FRAMES_LOST;
        if !is_own && code != CloseCode::TRY_AGAIN_LATER {
            let rule = "must be 4000 to 4999 but 4410, or 1013";
            return Err(ConfigError::new("slow_consumer_close", code, rule));
        }
        Ok(())
    }
}
