//! What a room has beside its members: options that a rule gives by the room's name.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use serde::Serialize;
use wspulse_core::{EncodedFrame, Frame, Marks};

use crate::cluster::Engine;
use crate::ground::queued_bytes::QueuedBytes;
use crate::settings::codecs::{CodecId, Codecs};
use crate::settings::error::ConfigError;

/// What a room has beside its members. [`ServerBuilder::room_options`](crate::ServerBuilder::room_options)
/// gives them, for each room by its name. Default: nothing, which costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct RoomOptions {
    pub(crate) history: Option<HistoryBounds>,
    pub(crate) presence: Option<PresenceTold>,
}

/// Who is told of who is in a room, beside the callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PresenceTold {
    Application,
    Members,
    /// In frames that are never compressed.
    MembersUncompressed,
}

impl PresenceTold {
    pub(crate) fn tells_members(self) -> bool {
        match self {
            Self::Application => false,
            Self::Members | Self::MembersUncompressed => true,
        }
    }

    /// What its frames are marked with.
    pub(crate) fn marks(self) -> Option<Marks> {
        let mut marks = Marks::default();
        marks.is_uncompressed = true;
        match self {
            Self::Application | Self::Members => None,
            Self::MembersUncompressed => Some(marks),
        }
    }
}

/// How much of what a room was told is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryBounds {
    pub(crate) frames: usize,
    pub(crate) age: Duration,
}

/// Application code.
pub(crate) type RoomRule = Arc<dyn Fn(&str) -> RoomOptions + Send + Sync>;

/// Application code.
pub(crate) type LoggedRule = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The options that concern what rooms have.
#[derive(Clone)]
pub(crate) struct RoomSettings {
    pub(crate) rule: Option<RoomRule>,
    /// Which have a log.
    pub(crate) logged: Option<LoggedRule>,
    /// What the histories of all rooms hold at the most.
    pub(crate) history_bytes_max: usize,
    pub(crate) announces_history: bool,
    pub(crate) history_event: ByteString,
    pub(crate) presence_event: ByteString,
}

/// Where a room's history begins and ends, for whoever has joined it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Begin,
    End,
}

#[derive(Serialize)]
struct Announced<'a> {
    room: &'a str,
    history: Mark,
}

/// As much as a send buffer may hold.
const HISTORY_FRAMES_MAX: usize = 4096;

/// A name, not a text.
const EVENT_BYTES_MAX: usize = 128;

impl RoomOptions {
    /// Nothing beside its members.
    pub const fn new() -> Self {
        Self { history: None, presence: None }
    }

    /// Keeps the last frames that were broadcast to the room: at most so many (4,096 count as all
    /// that there may be), none older than `age`. Whoever joins gets them before the first live one,
    /// none missing in between and none twice: as many of the newest as its send buffer has room for.
    ///
    /// They are shared, not copied. They are gone with the room, when its last member leaves. Frames
    /// to [everybody](crate::Server::broadcast_all) are no room's.
    pub const fn history(mut self, frames: usize, age: Duration) -> Self {
        let frames = if frames < HISTORY_FRAMES_MAX { frames } else { HISTORY_FRAMES_MAX };
        self.history = Some(HistoryBounds { frames, age });
        self
    }

    /// Keeps who is here, away (suspended) or gone: for [`Room::presence`](crate::Room::presence) and
    /// [`on_presence`](crate::ServerBuilder::on_presence). A user is one person with all its
    /// connections; a connection without a user is one by itself.
    pub const fn presence(mut self) -> Self {
        if self.presence.is_none() {
            self.presence = Some(PresenceTold::Application);
        }
        self
    }

    /// Keeps it as [`presence`](Self::presence) does, and tells the room's members: each one all who
    /// are there, when it joins and when its client comes back, and what changes from then on. With
    /// the JSON codec these are, `presence` being the
    /// [event](crate::ServerBuilder::presence_event):
    ///
    /// ```text
    /// {"event":"presence","payload":{"room":"lobby","seq":4,"people":[{"user":"ann","state":"here"}]}}
    /// {"event":"presence","payload":{"room":"lobby","seq":5,"changes":[{"user":"ann","state":"gone"}]}}
    /// ```
    pub const fn tell_presence(mut self) -> Self {
        self.presence = Some(PresenceTold::Members);
        self
    }

    /// Tells them as [`tell_presence`](Self::tell_presence) does, in frames that are never
    /// [compressed](wspulse_core::Frame::uncompressed): for metadata that hold a secret beside something that
    /// others can choose.
    pub const fn tell_presence_uncompressed(mut self) -> Self {
        self.presence = Some(PresenceTold::MembersUncompressed);
        self
    }
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            rule: None,
            logged: None,
            history_bytes_max: 64 * 1024 * 1024,
            announces_history: false,
            history_event: ByteString::from_static("history"),
            presence_event: ByteString::from_static("presence"),
        }
    }
}

impl RoomSettings {
    pub(crate) fn history_bytes(&self) -> QueuedBytes {
        QueuedBytes::new(self.history_bytes_max)
    }

    pub(crate) fn check(&self, codecs: &Codecs) -> Result<(), ConfigError> {
        if self.history_bytes_max == 0 {
            let rule = "must be at least 1 (bytes)";
            return Err(ConfigError::new("max_history_bytes", self.history_bytes_max, rule));
        }
        for (option, event) in
            [("history_event", &self.history_event), ("presence_event", &self.presence_event)]
        {
            if !(1..=EVENT_BYTES_MAX).contains(&event.len()) {
                let rule = "must have 1 to 128 bytes";
                return Err(ConfigError::new(option, event, rule));
            }
        }
        if self.announces_history && self.marks("room", CodecId::DEFAULT, codecs).is_none() {
            let rule = "the codec must be able to write an announcement";
            return Err(ConfigError::new("announce_history", true, rule));
        }
        Ok(())
    }

    /// Rooms have a log where there is something that keeps it.
    pub(crate) fn check_log(&self, engine: Option<&dyn Engine>) -> Result<(), ConfigError> {
        let option = "logged_rooms";
        match engine.map(Engine::log) {
            None if self.logged.is_some() => {
                let rule = "needs a cluster, with an engine that has a log";
                Err(ConfigError::new(option, format_args!("set without one"), rule))
            }
            Some(None) if self.logged.is_some() => {
                let rule =
                    "needs an engine that has a log: give it one (with wspulse-nats, by `log`)";
                Err(ConfigError::new(option, format_args!("set with {engine:?}"), rule))
            }
            None | Some(_) => Ok(()),
        }
    }

    /// What goes before and behind a room's history, in this codec; none, if they are not wanted or
    /// the codec cannot express them.
    pub(crate) fn marks(
        &self,
        room: &str,
        codec: CodecId,
        codecs: &Codecs,
    ) -> Option<[EncodedFrame; 2]> {
        let mark = |history| {
            let frame = Frame::new(self.history_event.clone());
            let frame = frame.json(&Announced { room, history }).ok()?;
            codecs.encode(codec, &frame).ok()
        };
        let wanted = self.announces_history;
        wanted.then(|| Some([mark(Mark::Begin)?, mark(Mark::End)?])).flatten()
    }
}

impl fmt::Debug for RoomSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomSettings")
            .field("has_rule", &self.rule.is_some())
            .field("has_logged", &self.logged.is_some())
            .field("max_history_bytes", &self.history_bytes_max)
            .field("announce_history", &self.announces_history)
            .field("history_event", &self.history_event)
            .field("presence_event", &self.presence_event)
            .finish()
    }
}
