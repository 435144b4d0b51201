//! Broadcasts: from a frame to the queues of a group's members.

use std::sync::Arc;

use wspulse_core::{EncodedFrame, Frame};

use super::Server;
use crate::app::connection::Connection;
use crate::app::room::Audience;
use crate::membership::shared::ConnectionShared;
use crate::membership::{
    Addressed, Addressees, Group, Kind, Overflow, Pushed, Queueing, push_to_all, push_to_each,
};
use crate::observe::metrics::{GroupKind, MessageBroadcast};
use crate::settings::codecs::CodecSet;
use crate::settings::error::BroadcastError;
use crate::settings::representations::{NotExpressed, Representations};

/// What a broadcast did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FanOut {
    /// How many connections have the frame in their send buffers, suspended ones included.
    pub reached: usize,
    /// How many of those are suspended: their clients get it when they come back in time.
    pub suspended: usize,
    /// How many frames were dropped: older ones to make room, or this one where there was none.
    pub dropped: usize,
}

impl FanOut {
    fn add(&mut self, pushed: &Pushed) {
        self.reached += pushed.members;
        self.suspended += pushed.suspended;
        self.dropped += pushed.dropped;
    }
}

impl Server {
    /// Queues a frame for all members of a room, suspended ones included, without waiting. It is
    /// encoded once for each [codec](crate::ServerBuilder::also_codec) that members have, and shared
    /// by all who have it. A member whose buffer is full drops its oldest frames. All members get the
    /// room's broadcasts in the same order. A room without members is no error.
    ///
    /// Returns what it did: how many members have it in their send buffers now, and how many of them
    /// are suspended. That nobody is there is worth knowing, for instance to send an e-mail.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::ServerClosed`] after [`close`](Self::close); [`BroadcastError::Encode`] if a
    /// codec cannot express the frame: then no member gets it. On a server that has several codecs,
    /// only those are asked that members of the room have.
    pub fn broadcast(&self, room: &str, frame: Frame) -> Result<FanOut, BroadcastError> {
        self.fan_out(self.group(Kind::Room, room), frame, None)
    }

    /// Queues a frame for all members of a room but one, such as the one whom it came from.
    ///
    /// # Errors
    ///
    /// See [`broadcast`](Self::broadcast).
    pub fn broadcast_except(
        &self,
        room: &str,
        excluded: &Connection,
        frame: Frame,
    ) -> Result<FanOut, BroadcastError> {
        self.fan_out(self.group(Kind::Room, room), frame, Some(excluded.shared()))
    }

    /// Several rooms as one audience, which hears a broadcast once; users can be added, and who is
    /// not to hear it left out.
    pub fn to<R: Into<Arc<str>>>(&self, rooms: impl IntoIterator<Item = R>) -> Audience {
        Audience::rooms(self.clone(), rooms)
    }

    /// Queues a frame for all connections of the server, suspended ones included. Broadcasts to all
    /// have one order for everybody; among those to rooms its place may differ from member to member.
    /// It wakes all at once: for a seldom announcement, not for a steady stream.
    ///
    /// # Errors
    ///
    /// See [`broadcast`](Self::broadcast).
    pub fn broadcast_all(&self, frame: Frame) -> Result<FanOut, BroadcastError> {
        if !self.is_open() {
            return Err(BroadcastError::ServerClosed { frame });
        }
        let (payload_bytes, pushed) = self.push_in_codecs(frame, None, |frames, queueing| {
            let _one_order = self.inner.everybody.lock();
            push_to_each(&self.inner.registry.all(), frames, queueing)
        })?;
        let mut fan_out = FanOut::default();
        self.account((GroupKind::Everybody, ""), payload_bytes, pushed, &mut fan_out);
        Ok(fan_out)
    }

    pub(crate) fn fan_out(
        &self,
        group: Option<Arc<Group>>,
        frame: Frame,
        excluded: Option<&Arc<ConnectionShared>>,
    ) -> Result<FanOut, BroadcastError> {
        if !self.is_open() {
            return Err(BroadcastError::ServerClosed { frame });
        }
        let mut fan_out = FanOut::default();
        let (payload_bytes, pushed) = if self.codecs().are_several() {
            let Some(group) = &group else { return Ok(fan_out) };
            let room = self.told_room(group);
            self.push_in_codecs(frame, room, |frames, queueing| {
                group.broadcast_by_codec(frames, Addressed { excluded, queueing })
            })?
        } else {
            let codec = self.codecs().default_codec();
            let encoded = match group.as_deref().and_then(|group| self.told_room(group)) {
                None => EncodedFrame::encode(codec, &frame),
                Some(room) => EncodedFrame::encode_in_room(codec, &frame, room),
            };
            let encoded = match encoded {
                Ok(encoded) => encoded,
                Err(source) => return Err(BroadcastError::Encode { frame, codec: None, source }),
            };
            let Some(group) = &group else { return Ok(fan_out) };
            let addressed = Addressed { excluded, queueing: self.queueing() };
            (encoded.payload().len(), group.broadcast(&encoded, addressed))
        };
        if let Some(group) = group {
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut fan_out);
        }
        Ok(fan_out)
    }

    pub(crate) fn fan_out_to(
        &self,
        to: &Addressees,
        frame: Frame,
    ) -> Result<FanOut, BroadcastError> {
        if !self.is_open() {
            return Err(BroadcastError::ServerClosed { frame });
        }
        let room = to.room.as_deref().filter(|_| self.options().names_rooms);
        let (payload_bytes, pushed) =
            self.push_in_codecs(frame, room, |frames, queueing| push_to_all(to, frames, queueing))?;
        let mut fan_out = FanOut::default();
        for (group, pushed) in to.groups.iter().zip(pushed) {
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut fan_out);
        }
        Ok(fan_out)
    }

    /// The room that a group's members are told with its frames.
    fn told_room<'a>(&self, group: &'a Group) -> Option<&'a str> {
        let is_told = self.options().names_rooms && group.kind() == Kind::Room;
        is_told.then(|| &**group.name())
    }

    /// Makes all encodings before `push` gives anybody one, and returns how large they are.
    fn push_in_codecs<R>(
        &self,
        frame: Frame,
        room: Option<&str>,
        push: impl Fn(&Representations<'_>, Queueing<'_>) -> Result<R, CodecSet>,
    ) -> Result<(usize, R), BroadcastError> {
        let mut frames = Representations::new(self.codecs(), room);
        // Once for each codec at the most: none is missing twice.
        loop {
            match push(&frames, self.queueing()) {
                Ok(pushed) => return Ok((frames.payload_bytes(), pushed)),
                Err(missing) => {
                    if let Err(NotExpressed { codec, source }) = frames.make(missing, &frame) {
                        return Err(BroadcastError::Encode { frame, codec, source });
                    }
                }
            }
        }
    }

    /// Tells what a broadcast to a group has done, and adds it up.
    fn account(
        &self,
        (group, name): (GroupKind, &str),
        payload_bytes: usize,
        pushed: Pushed,
        fan_out: &mut FanOut,
    ) {
        fan_out.add(&pushed);
        let broadcast =
            MessageBroadcast { group, room: name, payload_bytes, fan_out: pushed.members };
        self.metrics().record(|hooks| hooks.message_broadcast(&broadcast));
        for (member, offered) in pushed.overflowed {
            member.count_overflow(offered);
        }
    }

    /// Somebody may have to hear of the members for whom there was no room.
    fn queueing(&self) -> Queueing<'_> {
        let is_told = self.options().delivery.is_promised() || self.metrics().is_heard();
        let overflow = if is_told { Overflow::Listed } else { Overflow::Ignored };
        Queueing { overflow, queued_bytes: self.queued_bytes() }
    }
}

impl<'a> From<&'a Group> for (GroupKind, &'a str) {
    /// Users are not told of by name: they are as many as there are people.
    fn from(group: &'a Group) -> Self {
        match group.kind() {
            Kind::Room => (GroupKind::Room, group.name()),
            Kind::User => (GroupKind::User, ""),
        }
    }
}
