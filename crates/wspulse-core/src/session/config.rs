//! What a session is told at its start.

use std::sync::Arc;
use std::time::Duration;

use super::acks::AskConfig;
use super::awaited::AwaitedConfig;
use super::suspension::SuspensionLimit;
use crate::close::{CloseCode, CloseFrame};
use crate::disconnect::{Disconnect, duplicate};
use crate::heartbeat::HeartbeatConfig;
use crate::rate::InboundRate;

/// The times and bounds that all sessions of a server share.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// When to ping and when to give a silent peer up.
    pub heartbeat: HeartbeatConfig,
    /// How long a socket may take for one frame, an upgrade to come about, and a close to be
    /// answered.
    pub write_wait: Duration,
    /// How many bytes a second a socket must take of a frame that takes longer than that, and pass
    /// on of what it holds back.
    pub write_rate_min: u32,
    /// How long a session without a transport waits for the next one; zero: it ends at once.
    pub resume_window: Duration,
    /// How many received frames may wait for their callback before reading stops; at least 1.
    pub inbound_frames_max: usize,
    /// How much may wait for their callback while something is awaited of the client.
    pub awaited: AwaitedConfig,
    /// How fast a peer may send, if that is limited.
    pub inbound_rate: Option<InboundRate>,
    /// How long a message may take from its first byte to its last, times left out in which the
    /// session did not read.
    pub message_timeout: Duration,
    /// When to ask how far a peer has got, if what it has not acknowledged is kept.
    pub ask: Option<AskConfig>,
    /// What a client is told whose session or transport is replaced.
    pub duplicate_close: CloseCode,
    /// How long before a connection expires the application hears of it, if it wants to.
    pub expiry_notice: Option<Duration>,
    /// How many of these sessions may be suspended at once, if that is limited.
    pub suspension_limit: Option<Arc<SuspensionLimit>>,
}

impl SessionConfig {
    /// The Close frame for a peer whose connection ends for this reason.
    pub(super) fn close_frame(&self, disconnect: &Disconnect) -> CloseFrame {
        if matches!(disconnect, Disconnect::Duplicate) {
            duplicate(self.duplicate_close)
        } else {
            disconnect.close_frame()
        }
    }

    /// Whether one more session may be suspended; it then is.
    pub(super) fn may_suspend(&self) -> bool {
        self.suspension_limit.as_ref().is_none_or(|limit| limit.try_enter())
    }

    /// A session is suspended no more.
    pub(super) fn leave_suspension(&self) {
        if let Some(limit) = &self.suspension_limit {
            limit.leave();
        }
    }
}

/// Whether another connection with the same id still runs its callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// There is none.
    None,
    /// Its last callback has not returned yet.
    Running,
}
