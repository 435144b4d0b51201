//! What is promised of frames that were sent.

use std::time::Duration;

use wspulse_core::outbound::Window;
use wspulse_core::session::AskConfig;

use crate::settings::error::ConfigError;

/// What a server promises of the frames that it has accepted, within a session and the limits of
/// its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// What a socket has taken is forgotten. What a dead network had taken before its silence was
    /// noticed is lost.
    #[default]
    AtMostOnce,
    /// What the client's WebSocket endpoint has not acknowledged is written again, in order and
    /// before anything new, when its session resumes. A client may get the last frames before a cut
    /// twice. Any client will do: what acknowledges is the Pong that RFC 6455 §5.5.3 has it send.
    AtLeastOnce,
    /// Each frame arrives once, in both directions and in order, with clients that speak the
    /// protocol `wspulse.1` (`docs/protocol.md` in the repository), as this project's own do. To any
    /// other client it is [`AtLeastOnce`](Self::AtLeastOnce).
    ExactlyOnce,
}

/// The options of a promise of delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryOptions {
    pub(crate) level: Delivery,
    pub(crate) window: Window,
}

/// Of the questions that a window allows, at least two: the next frames are on their way while one
/// is answered.
const QUESTIONS_PER_WINDOW: usize = 2;

/// An answer costs a read of its own: in a fan-out at full speed, where 16 frames are written at
/// once, asking for each 64 made all of it a fifth slower, for each 512 still a tenth. What is kept
/// meanwhile of a fan-out is a pointer for each batch.
const ASK_FRAMES: usize = 2048;
const ASK_BYTES: usize = 256 * 1024;
const ASK_TIME: Duration = Duration::from_secs(1);

const WINDOW_FRAMES_MAX: usize = 65_536;
const WINDOW_BYTES_MAX: usize = 1 << 30;

impl Default for DeliveryOptions {
    fn default() -> Self {
        let window = Window { frames: 4096, bytes: 4 * 1024 * 1024 };
        Self { level: Delivery::default(), window }
    }
}

impl DeliveryOptions {
    /// Whether no frame that was accepted may be lost without a word.
    pub(crate) const fn is_promised(&self) -> bool {
        self.window().is_some()
    }

    /// What is kept, if anything is.
    pub(crate) const fn window(&self) -> Option<Window> {
        match self.level {
            Delivery::AtMostOnce => None,
            Delivery::AtLeastOnce | Delivery::ExactlyOnce => Some(self.window),
        }
    }

    /// Whether a protocol is offered by which nothing arrives twice.
    pub(crate) fn offers_exchange(&self) -> bool {
        self.level == Delivery::ExactlyOnce
    }

    /// When to ask for acknowledgements, if anything is kept.
    pub(crate) fn ask(&self) -> Option<AskConfig> {
        let window = self.window()?;
        Some(AskConfig {
            frames: (window.frames / QUESTIONS_PER_WINDOW).clamp(1, ASK_FRAMES),
            bytes: (window.bytes / QUESTIONS_PER_WINDOW).clamp(1, ASK_BYTES),
            time: ASK_TIME,
        })
    }

    pub(crate) fn check(&self, resume_window: Duration) -> Result<(), ConfigError> {
        if self.is_promised() && resume_window.is_zero() {
            let rule = "it needs a resume_window";
            return Err(ConfigError::new("delivery", self.level, rule));
        }
        if !(1..=WINDOW_FRAMES_MAX).contains(&self.window.frames) {
            let rule = "frames must be at least 1 and at most 65536";
            return Err(ConfigError::new("delivery_window", self.window.frames, rule));
        }
        if !(1..=WINDOW_BYTES_MAX).contains(&self.window.bytes) {
            let rule = "bytes must be at least 1 and at most 1073741824 (1 GiB)";
            return Err(ConfigError::new("delivery_window", self.window.bytes, rule));
        }
        Ok(())
    }
}
