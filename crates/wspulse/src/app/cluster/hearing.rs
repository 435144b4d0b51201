//! What other servers say, told to those who are here.

use std::sync::Arc;

use bytestring::ByteString;
use wspulse_core::cluster::{Missed, NodeId, Output, Said, Target};
use wspulse_core::codec::InboundMessage;
use wspulse_core::{EncodedFrame, Escaped, Frame, Marks};

use super::{Gap, GapIn};
use crate::app::connection::Connection;
use crate::app::room::{Room, User};
use crate::app::server::{FanOut, Server};
use crate::cluster::beside::Beside;
use crate::cluster::speaker::NameSpace;
use crate::ground::panics;
use crate::membership::shared::ConnectionShared;
use crate::membership::{
    Addressed, Addressees, Group, Kind, Pushed, Reach, Terms, push_to_each, push_to_last,
    push_to_one,
};
use crate::observe::metrics::GroupKind;
use crate::settings::codecs::{CodecId, CodecSet};
use crate::settings::representations::Representations;

/// A frame of another server is none that can be read.
pub(crate) struct Unreadable;

impl Server {
    /// Another server has said something, or has come or gone.
    pub(super) fn hear(&self, output: Output) {
        let Some(output) = self.hear_people(output) else { return };
        match output {
            Output::Said { origin, target, stream, first, codec, said } => {
                let known = self.codec_named(&codec);
                for (number, said) in (first..).zip(said) {
                    let at = (origin, stream, number);
                    let have_heard = self.overlaps().who_has_heard(target, at, (&codec, &said));
                    let is_told = known.is_some_and(|codec| {
                        self.hear_frame((origin, target), codec, said, &have_heard)
                    });
                    if !is_told {
                        self.tell_gap(origin, target, Missed::Frames(1));
                    }
                }
            }
            Output::Gap { origin, target, missed } => self.tell_gap(origin, target, missed),
            Output::Present(node) => {
                tracing::info!(%node, "a server of the cluster is there");
                self.note_reachable(node);
                self.catch_up_with(node);
            }
            Output::Silent(node) => {
                tracing::warn!(%node, "a server of the cluster is silent");
                self.note_unreachable(node);
            }
            Output::Gone(node) => tracing::info!(%node, "a server of the cluster is gone"),
        }
    }

    pub(crate) fn codec_named(&self, name: &str) -> Option<CodecId> {
        let default = self.codecs().default_codec().name().unwrap_or_default();
        if default == name { Some(CodecId::DEFAULT) } else { self.codecs().named(name) }
    }

    /// Tells whether it could be read.
    fn hear_frame(
        &self,
        (origin, target): (NodeId, Target),
        codec: CodecId,
        said: Said,
        have_heard: &[Arc<ConnectionShared>],
    ) -> bool {
        let Said { frame: encoded, overflow, beside } = said;
        let is_plain = overflow.is_none() && !encoded.is_keyed() && !encoded.is_volatile();
        let terms = if is_plain { Terms::Plain } else { Terms::Marked(overflow) };
        let named = match target {
            Target::Group(_) => self.speaker().and_then(|speaker| speaker.name_of(target)),
            Target::Everybody => None,
        };
        // Nobody is in it any more.
        let group = named.as_ref().and_then(|(space, name)| self.group(Kind::of(*space)?, name));
        if group.is_none() && target != Target::Everybody {
            return true;
        }
        // It will hear all of its log from its beginning.
        if origin == NodeId::LOG && group.as_ref().is_some_and(|group| !group.hears_log()) {
            return true;
        }
        let (queueing, reach) = (self.terms(terms), Reach::Here);
        let addressed = Addressed { excluded: None, queueing, reach, says_if_empty: false };
        if let Some(group) = &group
            && beside.is_empty()
            && have_heard.is_empty()
            && !self.codecs().are_several()
        {
            self.metrics().time_broadcast(|| std::iter::once(&encoded));
            let pushed = group.broadcast(&encoded, addressed).unwrap_or_default();
            let payload_bytes = encoded.payload_bytes();
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut FanOut::default());
            return true;
        }
        let Some((frame, marks)) = self.read(codec, &encoded, overflow, group.as_ref()) else {
            return false;
        };
        let frames = Representations::new(self.codecs(), &frame, marks.as_ref());
        let frames = frames.with_made(codec, encoded);
        // Who is not to hear it must not, so one whose exceptions cannot be read is for nobody.
        let Some(beside) = Beside::decode(beside) else { return false };
        let to = self.audience(group.clone(), beside, have_heard);
        let pushed = self.push_in_codecs(frames, Reach::Here, |frames| match (&to, &group) {
            (Some(to), _) => push_to_last(to, frames, addressed.queueing),
            (None, Some(group)) => {
                group.broadcast_by_codec(frames, addressed).map(Option::unwrap_or_default)
            }
            (None, None) => self.push_to_everybody(frames, addressed, have_heard),
        });
        let Ok((payload_bytes, pushed)) = pushed else { return false };
        let account = match &group {
            Some(group) => group.as_ref().into(),
            None => (GroupKind::Everybody, ""),
        };
        self.account(account, payload_bytes, pushed, &mut FanOut::default());
        true
    }

    fn push_to_everybody(
        &self,
        frames: &Representations<'_>,
        addressed: Addressed<'_>,
        have_heard: &[Arc<ConnectionShared>],
    ) -> Result<Pushed, CodecSet> {
        let mut all;
        let _one_order = self.everybody().lock();
        all = self.registry().all();
        self.overlaps().retain_present(&mut all);
        all.retain(|it| !have_heard.iter().any(|heard| Arc::ptr_eq(heard, it)));
        push_to_each(&all, frames, addressed.queueing)
    }

    /// The frame by itself, if it is needed: with one codec, what has come is what goes out.
    pub(super) fn read(
        &self,
        codec: CodecId,
        encoded: &EncodedFrame,
        overflow: Option<wspulse_core::Overflow>,
        group: Option<&Arc<Group>>,
    ) -> Option<(Frame, Option<Marks>)> {
        if !self.codecs().are_several() {
            return Some((Frame::default(), None));
        }
        let frame = self.decode(codec, encoded)?;
        let mut marks = Marks::default();
        let key = encoded.key().and_then(|key| std::str::from_utf8(key).ok());
        marks.key = key.map(ByteString::from);
        marks.is_volatile = encoded.is_volatile();
        marks.is_uncompressed = encoded.is_uncompressed();
        marks.overflow = overflow;
        let room = group.filter(|it| it.kind() == Kind::Room && self.options().names_rooms);
        marks.room = room.map(|room| Arc::clone(room.name()));
        let is_marked = marks != Marks::default();
        Some((frame, is_marked.then_some(marks)))
    }

    /// A frame that another server has encoded, unless it is none.
    pub(crate) fn decode(&self, codec: CodecId, encoded: &EncodedFrame) -> Option<Frame> {
        let message = InboundMessage::lent(encoded.kind(), encoded.payload());
        panics::catch(|| self.codecs().of(codec).decode(message)).ok()?.ok()
    }

    /// The groups whose members have it from there, then this one.
    fn audience(
        &self,
        group: Option<Arc<Group>>,
        beside: Beside,
        have_heard: &[Arc<ConnectionShared>],
    ) -> Option<Addressees> {
        let is_special = beside != Beside::default() || !have_heard.is_empty();
        let group = group.filter(|_| is_special)?;
        let Beside { before, excluded } = beside;
        let find = |targets: Vec<Target>| -> Vec<Arc<Group>> {
            let speaker = self.speaker();
            let names = targets.into_iter().filter_map(|it| speaker?.name_of(it));
            names.filter_map(|(space, name)| self.group(Kind::of(space)?, &name)).collect()
        };
        let mut groups = find(before);
        groups.push(group);
        let (excluded, excluded_connections) = (find(excluded), have_heard.to_vec());
        Some(Addressees { groups, room: None, excluded, excluded_connections, elsewhere: None })
    }

    /// What a connection gets of a frame of another server, if it is for it.
    pub(crate) fn frame_for(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        codec: &ByteString,
        said: Said,
    ) -> Result<Option<EncodedFrame>, Unreadable> {
        let own = connection.mailbox.codec();
        let is_in = |other| self.find_group(other).is_some_and(|it| connection.is_in(&it));
        self.frame_as(own, is_in, target, codec, said)
    }

    /// A connection gets what it has lacked.
    pub(crate) fn push_lacking(&self, connection: &Arc<ConnectionShared>, frame: EncodedFrame) {
        let is_plain = !frame.is_keyed() && !frame.is_volatile();
        let terms = if is_plain { Terms::Plain } else { Terms::Marked(None) };
        if let Ok(offered) = push_to_one(connection, frame, self.terms(terms)) {
            connection.count_overflow(offered);
        }
    }

    /// What whoever is in these groups gets of a frame of another server, in this codec.
    pub(crate) fn frame_as(
        &self,
        own: CodecId,
        is_in: impl Fn(Target) -> bool,
        target: Target,
        codec: &ByteString,
        said: Said,
    ) -> Result<Option<EncodedFrame>, Unreadable> {
        let codec = self.codec_named(codec).ok_or(Unreadable)?;
        let Said { frame: encoded, overflow, beside } = said;
        let Beside { before, excluded } = Beside::decode(beside).ok_or(Unreadable)?;
        if before.into_iter().chain(excluded).any(is_in) {
            return Ok(None);
        }
        if own == codec {
            return Ok(Some(encoded));
        }
        let group = self.find_group(target);
        let (frame, marks) =
            self.read(codec, &encoded, overflow, group.as_ref()).ok_or(Unreadable)?;
        let mut frames = Representations::new(self.codecs(), &frame, marks.as_ref());
        frames.make(CodecSet::NONE.with(own)).map_err(|_| Unreadable)?;
        Ok(frames.of(own).cloned())
    }

    pub(crate) fn find_group(&self, target: Target) -> Option<Arc<Group>> {
        let (space, name) = self.speaker()?.name_of(target)?;
        self.group(Kind::of(space)?, &name)
    }

    /// A session that has come from another server lacks what a third one has said.
    pub(crate) fn tell_gap_of(
        &self,
        connection: &Arc<ConnectionShared>,
        origin: NodeId,
        missed: Missed,
    ) {
        let within = GapIn::Connection(Connection::new(Arc::clone(connection)));
        self.tell_gap_within(Gap { origin, within, missed });
    }

    fn tell_gap(&self, origin: NodeId, target: Target, missed: Missed) {
        let named = self.speaker().and_then(|speaker| speaker.name_of(target));
        let within = match (target, named) {
            (Target::Everybody, _) => GapIn::Everybody,
            (Target::Group(_), Some((NameSpace::Rooms, name))) => {
                GapIn::Room(Room::new(self.clone(), name))
            }
            (Target::Group(_), Some((NameSpace::Users, name))) => {
                GapIn::User(User::new(self.clone(), name))
            }
            // Nobody is left who lacks anything.
            (Target::Group(_), Some((NameSpace::Presence, _)) | None) => return,
        };
        self.tell_gap_within(Gap { origin, within, missed });
    }

    fn tell_gap_within(&self, gap: Gap) {
        let origin = gap.origin;
        self.metrics().record(|hooks| hooks.frames_missed(&gap.as_event()));
        if let Some(not_logged) = self.gaps().lock().due() {
            let (room, frames) = (Escaped::new(gap.within.name()), gap.frames());
            let room = room.as_str();
            tracing::warn!(node = %origin, room, frames, not_logged, "frames of another server are lost");
        }
        if let Some(callback) = &self.callbacks().gap
            && let Err(panic) = panics::catch(|| callback(gap))
        {
            tracing::error!(%panic, "on_gap panicked");
        }
    }
}
