//! What a client tells its application.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wspulse_core::codec::DecodeError;
use wspulse_core::{CloseCode, Escaped, Frame};

/// What happens to a client, in the order in which it happens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The client is connected. After [`SessionStart::New`] it should load anew what it shows:
    /// what was sent to an earlier session of its may be missed.
    #[non_exhaustive]
    Session {
        /// Whether the client has got its session back.
        session: SessionStart,
        /// So many messages follow that were missed. Also a new session may begin with some: the
        /// client's first `hello` was lost, and messages were sent behind it.
        replay: u64,
        /// The connection's id on the server; empty on a plain connection.
        id: String,
    },
    /// A frame has come.
    Message(Frame),
    /// A message has come that the codec cannot read.
    Undecodable(DecodeError),
    /// A frame was sent, the session ended, and whether the server has handled it will never be
    /// known. Only those frames are told here for which nobody waits any more: those that were
    /// posted, and those whose `send` was cancelled.
    Lost(Frame),
    /// A frame that waited to be sent is longer than the server takes, or the client has ended
    /// before it could be sent. As with [`Lost`](Self::Lost), only if nobody waits for it.
    #[non_exhaustive]
    Unsent {
        /// The frame, which has not left the client.
        frame: Frame,
    },
    /// The connection is lost.
    #[non_exhaustive]
    Disconnected {
        /// Why.
        cause: Cause,
    },
    /// The client will try to connect again: its connection is lost, or an attempt has failed.
    #[non_exhaustive]
    Reconnecting {
        /// The how manyth attempt since the server was last heard, from 1.
        attempt: u32,
        /// The time until then.
        delay: Duration,
        /// Why there is no connection.
        cause: Cause,
    },
    /// The client has ended; nothing follows.
    #[non_exhaustive]
    Ended {
        /// Why.
        cause: EndCause,
    },
}

/// What a client finds when it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStart {
    /// A session that begins here.
    New,
    /// The session that it has had: nothing is lost, and nothing comes twice.
    Resumed,
    /// A server that does not speak the protocol: there is no session.
    Plain,
}

impl SessionStart {
    /// `new`, `resumed` or `plain`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Resumed => "resumed",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for SessionStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The server has closed it.
    #[error("closed by the server: {code} {reason:?}")]
    #[non_exhaustive]
    Closed {
        /// The close code; 1005 for a close frame without one.
        code: u16,
        /// What the server gave as its reason.
        reason: String,
    },
    /// The server has answered the handshake with an HTTP status.
    #[error("refused by the server: HTTP status {status}")]
    #[non_exhaustive]
    Refused {
        /// The HTTP status.
        status: u16,
        /// How long the server asked to wait: its `Retry-After`, up to an hour.
        retry_after: Option<Duration>,
    },
    /// The connection ended without a close frame.
    #[error("the connection ended without a close frame")]
    Dropped,
    /// Reading or writing has failed, or the server broke WebSocket's rules.
    #[error("the connection failed: {}", Escaped::display(_0))]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// No transport could be opened: no address, no TCP connection, no TLS, a proxy that refused,
    /// an answer that is no WebSocket handshake, or a target function that failed.
    #[error("cannot connect: {}", Escaped::display(_0))]
    Unreachable(#[source] Arc<dyn Error + Send + Sync>),
    /// The transport was not open, or the server had not said hello, within `connect_timeout`.
    #[error("not connected within the connect timeout")]
    ConnectTimeout,
    /// The server has sent a message longer than `max_message_size`. It would send it again to the
    /// same session, so the next one is new.
    #[error("the server has sent a message longer than `max_message_size`")]
    MessageTooLong,
    /// Nothing came for the silence, and no sign of life when the client asked for one.
    #[error("the server has fallen silent")]
    Silent,
    /// The server broke the rules of `wspulse.1`.
    #[error("the server broke the protocol: {_0}")]
    Violation(&'static str),
}

impl Cause {
    /// The code by which the server closed, if it has.
    pub const fn close_code(&self) -> Option<u16> {
        match self {
            Self::Closed { code, .. } => Some(*code),
            Self::Refused { .. }
            | Self::Dropped
            | Self::Failed(_)
            | Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::MessageTooLong
            | Self::Silent
            | Self::Violation(_) => None,
        }
    }

    pub(crate) fn unreachable(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Unreachable(Arc::new(error))
    }

    /// How long the server has asked to stay away.
    pub(crate) fn least_delay(&self) -> Duration {
        const ASKS: [CloseCode; 3] =
            [CloseCode::GOING_AWAY, CloseCode::SERVICE_RESTART, CloseCode::TRY_AGAIN_LATER];
        match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Closed { code, reason } if ASKS.iter().any(|ask| ask.as_u16() == *code) => {
                retry_in(reason).unwrap_or_default()
            }
            Self::Closed { .. }
            | Self::Dropped
            | Self::Failed(_)
            | Self::Unreachable(_)
            | Self::ConnectTimeout
            | Self::MessageTooLong
            | Self::Silent
            | Self::Violation(_) => Duration::ZERO,
        }
    }
}

/// The longest that a server can keep a client away.
pub(crate) const LEAST_DELAY_MAX: Duration = Duration::from_hours(1);

/// The milliseconds of the word `retry=<ms>` in a close reason.
fn retry_in(reason: &str) -> Option<Duration> {
    let is_between = |letter: char| letter.is_whitespace() || matches!(letter, ',' | ';');
    let number = reason.split(is_between).find_map(|word| word.strip_prefix("retry="))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let milliseconds = is_number.then(|| number.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_millis(milliseconds).min(LEAST_DELAY_MAX))
}

/// Why a client has ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EndCause {
    /// The application has closed it, or dropped all that belongs to it.
    #[error("closed by the application")]
    Closed,
    /// The server or its application has ended the session: 1000, or 4000 to 4999 but 4401 and 4410.
    #[error("ended by the server: {code} {reason:?}")]
    #[non_exhaustive]
    ClosedByServer {
        /// The close code.
        code: u16,
        /// What the server gave as its reason.
        reason: String,
    },
    /// The server has answered the handshake with a status that is final.
    #[error("refused by the server: HTTP status {status}")]
    #[non_exhaustive]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// As many attempts have failed as there may be.
    #[error("out of attempts to reconnect; the last: {cause}")]
    #[non_exhaustive]
    Exhausted {
        /// Why the last of them failed.
        #[source]
        cause: Cause,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16, reason: &str) -> Duration {
        Cause::Closed { code, reason: reason.to_owned() }.least_delay()
    }

    #[test]
    fn a_close_reason_may_say_how_long_to_wait() {
        for (reason, milliseconds) in [
            ("server shutting down retry=1500", 1500),
            ("retry=0", 0),
            ("draining; retry=20,", 20),
            ("retry=99999999999999999999", 3_600_000),
            ("retry=", 0),
            ("retry=-5", 0),
            ("retry=5s", 0),
            ("noretry=5", 0),
            ("", 0),
        ] {
            for code in [1001, 1012, 1013] {
                assert_eq!(closed(code, reason), Duration::from_millis(milliseconds), "{reason}");
            }
            assert_eq!(closed(1008, reason), Duration::ZERO);
        }
    }

    #[test]
    fn what_a_server_says_cannot_steer_a_terminal() {
        let cause = Cause::Closed { code: 1008, reason: "\u{1b}[2J".to_owned() };
        assert!(!cause.to_string().contains('\u{1b}'));
    }
}
