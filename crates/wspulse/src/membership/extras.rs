//! What a room has beside its members, and how it gets that when it begins.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wspulse_core::Escaped;

use super::addressing::Kind;
use super::folding::Folding;
use super::group::{Group, Inner};
use super::history::{History, Prepared};
use super::presence::Presence;
use super::presence::across::Across;
use super::presence::elsewhere::Elsewhere;
use crate::cluster::speaker::{NameSpace, Speaker, Uplink};
use crate::ground::panics;
use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::CodecSet;
use crate::settings::room_options::{RoomOptions, RoomSettings};

/// What a room may have. It changes under the group's lock; most rooms have none.
pub(crate) struct Extras {
    pub(super) history: Option<History>,
    pub(super) presence: Option<Presence>,
}

/// What new rooms get.
pub(crate) struct Outfit {
    settings: RoomSettings,
    history_bytes: Arc<QueuedBytes>,
    folding: Arc<Folding>,
    resume_window: Duration,
    /// To other servers, if there are any.
    speaker: Option<Arc<Speaker>>,
}

impl Outfit {
    pub(crate) fn new(
        settings: &RoomSettings,
        resume_window: Duration,
        speaker: Option<Arc<Speaker>>,
    ) -> Self {
        let history_bytes = Arc::new(settings.history_bytes());
        let (settings, folding) = (settings.clone(), Arc::default());
        Self { settings, history_bytes, folding, resume_window, speaker }
    }

    /// A group's way to its members on other servers.
    pub(crate) fn uplink(&self, kind: Kind, name: &str, options: RoomOptions) -> Option<Uplink> {
        let has_presence = options.presence.is_some();
        self.speaker.as_ref().map(|it| Uplink::new(it, kind.space(), name, has_presence))
    }

    /// The way to those who keep who is in a room elsewhere.
    fn across(&self, room: &str) -> Option<Box<Across>> {
        let speaker = self.speaker.as_ref()?;
        let uplink = Uplink::new(speaker, NameSpace::Presence, room, false);
        let elsewhere = Elsewhere::new(speaker.node(), self.resume_window);
        Some(Box::new(Across::new(uplink, elsewhere)))
    }

    pub(crate) fn folding(&self) -> &Folding {
        &self.folding
    }

    /// What all rooms' histories hold together.
    pub(crate) fn history_bytes(&self) -> usize {
        self.history_bytes.used()
    }

    /// Whether a room may have any.
    pub(crate) const fn has_rule(&self) -> bool {
        self.settings.rule.is_some()
    }

    /// Asks the application what a room has. No lock may be held.
    pub(crate) fn options(&self, room: &str) -> RoomOptions {
        let Some(rule) = &self.settings.rule else { return RoomOptions::new() };
        panics::catch(|| rule(room)).unwrap_or_else(|panic| {
            let room = Escaped::new(room);
            tracing::error!(room = room.as_str(), %panic, "room_options panicked");
            RoomOptions::new()
        })
    }

    /// What a room with these options begins with.
    pub(crate) fn extras(&self, room: &str, options: RoomOptions) -> Option<Box<Extras>> {
        let history = options.history.map(|bounds| {
            let held = Arc::clone(&self.history_bytes);
            History::new(bounds, held)
        });
        let presence = options
            .presence
            .map(|told_to| Presence::new(told_to, Arc::clone(&self.folding), self.across(room)));
        let has_any = history.is_some() || presence.is_some();
        has_any.then(|| Box::new(Extras { history, presence }))
    }
}

impl Group {
    /// Makes what somebody gets that is about to [join](Self::join), which must follow. It calls the
    /// application's codecs: hold no lock.
    pub(crate) fn prepare(&self, connection: &ConnectionShared) -> Prepared {
        if !self.has_extras {
            return Prepared::default();
        }
        let (server, codec) = (&connection.server, connection.mailbox.codec());
        let codecs = server.codecs();
        let mut prepared = Prepared::default();
        if codecs.are_several() {
            let lacking = self.inner.lock().history().map(|history| history.expect(codec));
            if let Some(lacking) = lacking {
                prepared = Prepared::expected(&lacking, |source| {
                    panics::catch(|| source.encode(codecs, codec).ok()).unwrap_or_default()
                });
            }
        }
        let marks = || server.options().rooms.marks(self.name(), codec, codecs);
        prepared.marks = panics::catch(marks).unwrap_or_default();
        prepared
    }
}

impl Group {
    /// From now on its members hear its log, which is told to them from where that begins.
    pub(crate) fn open_log(&self) {
        self.hears_log.store(true, Ordering::Release);
    }

    pub(crate) fn hears_log(&self) -> bool {
        self.hears_log.load(Ordering::Acquire)
    }
}

impl Inner {
    pub(super) fn history(&mut self) -> Option<&mut History> {
        self.extras.as_mut()?.history.as_mut()
    }

    /// It keeps nothing while nobody is there: it is gone with the last member.
    pub(super) fn live_history(&mut self) -> Option<&mut History> {
        if self.list.is_empty() { None } else { self.history() }
    }

    /// The codecs of those who are about to join and will get what was told meanwhile.
    pub(super) fn expected(&self) -> CodecSet {
        let history = self.extras.as_ref().and_then(|extras| extras.history.as_ref());
        history.map_or(CodecSet::NONE, History::codecs)
    }
}
