//! What a plain client is told first on each transport, if sessions are announced.

use bytestring::ByteString;
use serde::Serialize;
use wspulse_core::codec::{Codec, EncodeError};
use wspulse_core::protocol::SessionKind;
use wspulse_core::{EncodedFrame, Frame};

use crate::settings::error::ConfigError;

/// The options.
#[derive(Debug, Clone)]
pub(crate) struct Announcements {
    pub(crate) enabled: bool,
    pub(crate) event: ByteString,
}

/// Whether a client has its session, and what it gets of it. It is the frame's payload, with its
/// members in this order.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Announcement {
    pub(crate) session: SessionKind,
    /// So many frames follow that were sent before.
    pub(crate) replay: u64,
}

/// A name, not a text: each transport holds it until it is written.
const EVENT_BYTES_MAX: usize = 128;

impl Default for Announcements {
    fn default() -> Self {
        Self { enabled: false, event: ByteString::from_static("session") }
    }
}

impl Announcements {
    pub(crate) fn check(&self, codec: &dyn Codec) -> Result<(), ConfigError> {
        if !(1..=EVENT_BYTES_MAX).contains(&self.event.len()) {
            let rule = "must have 1 to 128 bytes";
            return Err(ConfigError::new("session_event", &self.event, rule));
        }
        if self.enabled
            && let Err(error) = self.encode(Announcement::SAMPLE, codec)
        {
            let rule = "the codec must be able to write an announcement";
            return Err(ConfigError::new("announce_sessions", error.to_string(), rule));
        }
        Ok(())
    }

    pub(crate) fn encode(
        &self,
        announcement: Announcement,
        codec: &dyn Codec,
    ) -> Result<EncodedFrame, EncodeError> {
        let frame = Frame::new(self.event.clone());
        let frame = match codec.name() {
            #[cfg(feature = "msgpack")]
            Some("msgpack") => frame.msgpack(&announcement),
            _ => frame.json(&announcement),
        };
        EncodedFrame::encode(codec, &frame.map_err(EncodeError::new)?)
    }
}

impl Announcement {
    const SAMPLE: Self = Self { session: SessionKind::New, replay: 0 };
}
