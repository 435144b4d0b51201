//! What a broadcast is to other servers.

use std::sync::Arc;

use bytes::Bytes;
use wspulse_core::EncodedFrame;
use wspulse_core::cluster::Target;

use crate::app::server::Server;
use crate::cluster::speaker::target_of;
use crate::membership::shared::ConnectionShared;
use crate::membership::{Addressed, Group, Kind, Pushed, Queueing, Reach};
use crate::observe::metrics::GroupKind;
use crate::settings::codecs::{CodecId, CodecSet};
use crate::settings::representations::Representations;

/// A frame has more bytes than other servers take.
pub(crate) struct TooLarge {
    pub(crate) bytes: usize,
    pub(crate) bytes_max: usize,
}

/// Whom a broadcast is for.
pub(crate) struct ToGroup<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    /// If it has members here.
    pub(crate) group: Option<Arc<Group>>,
    pub(crate) excluded: Option<&'a Arc<ConnectionShared>>,
    pub(crate) reach: Reach,
}

impl<'a> ToGroup<'a> {
    /// All members, wherever they are.
    pub(crate) fn of(server: &Server, kind: Kind, name: &'a str) -> Self {
        let group = server.group(kind, name);
        Self { kind, name, group, excluded: None, reach: Reach::Cluster }
    }
}

impl Server {
    /// Whether other servers take so much, if there are any.
    pub(super) fn check_size(&self, frame: &EncodedFrame) -> Result<(), TooLarge> {
        let Some(speaker) = self.speaker() else { return Ok(()) };
        let bytes = frame.payload_bytes() + frame.key().map_or(0, <[u8]>::len);
        let bytes_max = speaker.frame_bytes_max();
        if bytes > bytes_max { Err(TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }

    /// Says a frame to the members that a group without members here has elsewhere, and to whoever has
    /// come into it meanwhile.
    #[cold]
    pub(super) fn say_elsewhere(
        &self,
        kind: Kind,
        name: &str,
        frame: &EncodedFrame,
        addressed: Addressed<'_>,
    ) -> Pushed {
        let Some(speaker) = self.speaker() else { return Pushed::default() };
        let addressed = Addressed { says_if_empty: true, ..addressed };
        // It goes after the lock: with the last of a connection goes the application's data.
        let mut group = None;
        speaker.before_arrivals(|| {
            group = self.group(kind, name);
            match (&group, addressed.reach) {
                (Some(group), _) => group.broadcast(frame, addressed).unwrap_or_default(),
                (None, Reach::Here) => Pushed::default(),
                (None, Reach::Cluster) => {
                    let target = target_of(kind.space(), name);
                    speaker.say(target, frame, addressed.queueing.terms.overflow(), Bytes::new());
                    Pushed::default()
                }
            }
        })
    }

    /// As [`say_elsewhere`](Self::say_elsewhere), on a server that has several codecs.
    #[cold]
    pub(super) fn say_elsewhere_in(
        &self,
        kind: Kind,
        name: &str,
        frames: &Representations<'_>,
        addressed: Addressed<'_>,
    ) -> Result<Pushed, CodecSet> {
        let Some(speaker) = self.speaker() else { return Ok(Pushed::default()) };
        let addressed = Addressed { says_if_empty: true, ..addressed };
        let mut group = None;
        speaker.before_arrivals(|| {
            group = self.group(kind, name);
            if let Some(group) = &group {
                return Ok(group.broadcast_by_codec(frames, addressed)?.unwrap_or_default());
            }
            let missing = || CodecSet::NONE.with(CodecId::DEFAULT);
            let frame = frames.of(CodecId::DEFAULT).ok_or_else(missing)?;
            let target = target_of(kind.space(), name);
            speaker.say(target, frame, addressed.queueing.terms.overflow(), Bytes::new());
            Ok(Pushed::default())
        })
    }

    /// Says a frame to all connections of other servers, under the lock that decides the order.
    pub(super) fn say_to_all(
        &self,
        frames: &Representations<'_>,
        queueing: Queueing<'_>,
    ) -> Result<(), CodecSet> {
        let Some(speaker) = self.speaker() else { return Ok(()) };
        let missing = || CodecSet::NONE.with(CodecId::DEFAULT);
        let frame = frames.of(CodecId::DEFAULT).ok_or_else(missing)?;
        speaker.say(Target::Everybody, frame, queueing.terms.overflow(), Bytes::new());
        Ok(())
    }
}

impl<'a> From<&'a Group> for (GroupKind, &'a str) {
    fn from(group: &'a Group) -> Self {
        told_as(group.kind(), group.name())
    }
}

/// How the hooks are told of a group: not of users by name, who are as many as there are people.
pub(super) const fn told_as(kind: Kind, name: &str) -> (GroupKind, &str) {
    match kind {
        Kind::Room => (GroupKind::Room, name),
        Kind::User => (GroupKind::User, ""),
    }
}
