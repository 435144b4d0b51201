//! What a session is told at its start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Whether the answer with this HTTP status ends the client.
pub(crate) type IsFinalAnswer = Arc<dyn Fn(u16) -> bool + Send + Sync>;

/// Whether a client speaks `wspulse.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Sessions {
    /// With servers that do; to others it is a plain client.
    #[default]
    Prefer,
    /// Always: a server that does not is left again.
    Require,
    /// Never: all connections are plain ones.
    Never,
}

#[derive(Clone)]
pub(crate) struct SessionConfig {
    pub(crate) sessions: Sessions,
    /// The codec's name in the subprotocol; none does not offer the protocol.
    pub(crate) codec: Option<String>,
    pub(crate) connect_timeout: Duration,
    /// After so long without a sign of life the server is asked for one.
    pub(crate) silence: Option<Duration>,
    /// And has so long to answer.
    pub(crate) probe_timeout: Duration,
    pub(crate) outbox_messages_max: usize,
    pub(crate) outbox_bytes_max: usize,
    pub(crate) is_final_answer: IsFinalAnswer,
}

/// More often a client does not ask, whatever the server goes by.
const SILENCE_MIN: Duration = Duration::from_secs(1);

impl SessionConfig {
    /// When to ask a server that takes its clients for gone after so many milliseconds of silence:
    /// halfway there, so that an idle client is heard as well. 0 says nothing.
    pub(super) fn silence_under(&self, servers_milliseconds: u64) -> Option<Duration> {
        let own = self.silence?;
        if servers_milliseconds == 0 {
            return Some(own);
        }
        let halfway = Duration::from_millis(servers_milliseconds / 2).max(SILENCE_MIN);
        Some(own.min(halfway))
    }
}

impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfig")
            .field("sessions", &self.sessions)
            .field("codec", &self.codec)
            .field("connect_timeout", &self.connect_timeout)
            .field("silence", &self.silence)
            .field("probe_timeout", &self.probe_timeout)
            .field("outbox_messages_max", &self.outbox_messages_max)
            .field("outbox_bytes_max", &self.outbox_bytes_max)
            .finish_non_exhaustive()
    }
}
