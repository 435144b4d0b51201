//! The values of a client's options, their defaults and bounds.

use std::sync::Arc;
use std::time::Duration;

use crate::compression::Compressing;
use crate::error::ConfigError;
use crate::session::{Backoff, SessionConfig, Sessions};
use crate::transport::SocketOptions;

/// No time of a client's may be longer: what is meant to be never has an option that says so.
const TIME_MAX: Duration = Duration::from_hours(24);

/// So rarely a client may not ask: a network's delay would be taken for silence.
const SILENCE_MIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) session: SessionConfig,
    pub(crate) backoff_base: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) inbox_events_max: usize,
    pub(crate) socket: SocketOptions,
    pub(crate) reply_event: String,
    pub(crate) error_event: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            session: SessionConfig {
                sessions: Sessions::default(),
                codec: None,
                connect_timeout: Duration::from_secs(15),
                silence: Some(Duration::from_secs(30)),
                probe_timeout: Duration::from_secs(5),
                outbox_messages_max: 1024,
                outbox_bytes_max: 1024 * 1024,
                is_final_answer: Arc::new(is_final_answer),
            },
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            attempts_max: None,
            inbox_events_max: 256,
            socket: SocketOptions {
                message_bytes_max: 16 * 1024 * 1024,
                read_buffer_bytes: 128 * 1024,
                compressing: Compressing::default(),
            },
            reply_event: "reply".to_owned(),
            error_event: "error".to_owned(),
        }
    }
}

/// The request is wrong and will be so again; but 408, 425 and 429 ask for another time.
fn is_final_answer(status: u16) -> bool {
    (400..500).contains(&status) && ![408, 425, 429].contains(&status)
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let session = &self.session;
        let times = [
            ("connect_timeout", session.connect_timeout),
            ("probe_timeout", session.probe_timeout),
            ("backoff", self.backoff_base),
            ("backoff", self.backoff_max),
        ];
        for (option, time) in times {
            if time.is_zero() || time > TIME_MAX {
                let rule = "must be more than 0 and at most 24 h";
                return Err(ConfigError::Option { option, rule });
            }
        }
        if self.backoff_base > self.backoff_max {
            let rule = "the base must not be more than the maximum";
            return Err(ConfigError::Option { option: "backoff", rule });
        }
        if session.silence.is_some_and(|time| time < SILENCE_MIN || time > TIME_MAX) {
            let rule = "must be from 1 s to 24 h";
            return Err(ConfigError::Option { option: "silence", rule });
        }
        let counts = [
            ("outbox_messages_max", session.outbox_messages_max),
            ("outbox_bytes_max", session.outbox_bytes_max),
            ("inbox_events_max", self.inbox_events_max),
            ("max_message_size", self.socket.message_bytes_max),
            ("read_buffer_bytes", self.socket.read_buffer_bytes),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((option, _)) => Err(ConfigError::Option { option, rule: "must be at least 1" }),
            None => Ok(()),
        }
    }

    pub(crate) const fn backoff(&self, seed: u64) -> Backoff {
        Backoff::new(self.backoff_base, self.backoff_max, self.attempts_max, seed)
    }
}
