//! Broadcasts: from a frame to the queues of a group's members.

use std::iter;
use std::sync::Arc;

use wspulse_core::codec::EncodeError;
use wspulse_core::{EncodedFrame, Frame, Marks, Outgoing, Overflow};

use super::Server;
use crate::app::connection::Connection;
use crate::app::room::Audience;
use crate::membership::shared::ConnectionShared;
use crate::membership::{
    Addressed, Addressees, Group, Kind, Pushed, Queueing, push_to_all, push_to_each,
};
use crate::membership::{OverflowInterest, Terms};
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
    /// How many older frames it has replaced, as they had its [key](crate::Frame::conflate).
    pub conflated: usize,
}

impl FanOut {
    fn add(&mut self, pushed: &Pushed) {
        self.reached += pushed.members;
        self.suspended += pushed.suspended;
        self.dropped += pushed.dropped;
        self.conflated += pushed.conflated;
    }
}

impl Server {
    /// Queues a frame for all members of a room, suspended ones included, without waiting. It is
    /// encoded once for each [codec](crate::ServerBuilder::also_codec) that members have, and shared
    /// by all who have it. A member whose buffer is full drops its oldest frames, unless the frame or
    /// the [server](crate::ServerBuilder::overflow) says otherwise. All members get the room's
    /// broadcasts in the same order, but for what [keys](Frame::conflate) change in it. A room without members is no error.
    ///
    /// Returns what it did: how many members have it in their send buffers now, and how many of them
    /// are suspended. That nobody is there is worth knowing, for instance to send an e-mail.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::ServerClosed`] after [`close`](Self::close);
    /// [`BroadcastError::BreaksPromise`] if a member with a full buffer is not to get it although its
    /// delivery is promised; [`BroadcastError::Encode`] if a codec cannot express the frame, or its
    /// key is too long: then no member gets it. On a server that has several codecs,
    /// only those are asked that members of the room have.
    pub fn broadcast(
        &self,
        room: &str,
        frame: impl Into<Outgoing>,
    ) -> Result<FanOut, BroadcastError> {
        self.fan_out(self.group(Kind::Room, room), frame.into(), None)
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
        frame: impl Into<Outgoing>,
    ) -> Result<FanOut, BroadcastError> {
        self.fan_out(self.group(Kind::Room, room), frame.into(), Some(excluded.shared()))
    }

    /// Several rooms as one audience, which hears a broadcast once; users can be added, and who is
    /// not to hear it left out.
    pub fn to<R: AsRef<str>>(&self, rooms: impl IntoIterator<Item = R>) -> Audience {
        Audience::rooms(self.clone(), rooms)
    }

    /// Queues a frame for all connections of the server, suspended ones included. Broadcasts to all
    /// have one order for everybody; among those to rooms its place may differ from member to member.
    /// It wakes all at once: for a seldom announcement, not for a steady stream.
    ///
    /// # Errors
    ///
    /// See [`broadcast`](Self::broadcast).
    pub fn broadcast_all(&self, frame: impl Into<Outgoing>) -> Result<FanOut, BroadcastError> {
        let (frame, marks) = frame.into().into_parts();
        let marks = marks.as_deref();
        let (frame, queueing) = self.queueing(frame, marks)?;
        let (payload_bytes, pushed) = self.push_in_codecs(frame, marks, |frames| {
            // It goes after the lock: with the last of a connection goes the application's data.
            let all;
            let _one_order = self.inner.everybody.lock();
            all = self.inner.registry.all();
            push_to_each(&all, frames, queueing)
        })?;
        let mut fan_out = FanOut::default();
        self.account((GroupKind::Everybody, ""), payload_bytes, pushed, &mut fan_out);
        Ok(fan_out)
    }

    pub(crate) fn fan_out(
        &self,
        group: Option<Arc<Group>>,
        outgoing: Outgoing,
        excluded: Option<&Arc<ConnectionShared>>,
    ) -> Result<FanOut, BroadcastError> {
        let (frame, marks) = outgoing.into_parts();
        let (frame, queueing) = self.queueing(frame, marks.as_deref())?;
        let room = group.as_ref().filter(|group| group.kind() == Kind::Room);
        let marks = self.named(marks, room.map(|room| room.name()));
        let marks = marks.as_deref();
        let addressed = Addressed { excluded, queueing };
        let mut fan_out = FanOut::default();
        let (payload_bytes, pushed) = if self.codecs().are_several() {
            let Some(group) = &group else { return Ok(fan_out) };
            self.push_in_codecs(frame, marks, |frames| group.broadcast_by_codec(frames, addressed))?
        } else {
            let codec = self.codecs().default_codec();
            let encoded = match marks {
                None => EncodedFrame::encode(codec, &frame),
                Some(marks) => EncodedFrame::encode_marked(codec, &frame, marks),
            };
            let encoded = match encoded {
                Ok(encoded) => encoded,
                Err(source) => return Err(BroadcastError::Encode { frame, codec: None, source }),
            };
            let Some(group) = &group else { return Ok(fan_out) };
            self.metrics().time_broadcast(|| iter::once(&encoded));
            (encoded.payload_bytes(), group.broadcast(&encoded, addressed))
        };
        if let Some(group) = group {
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut fan_out);
        }
        Ok(fan_out)
    }

    pub(crate) fn fan_out_to(
        &self,
        to: &Addressees,
        outgoing: Outgoing,
    ) -> Result<FanOut, BroadcastError> {
        let (frame, marks) = outgoing.into_parts();
        let (frame, queueing) = self.queueing(frame, marks.as_deref())?;
        let marks = self.named(marks, to.room.as_ref());
        let marks = marks.as_deref();
        let (payload_bytes, pushed) =
            self.push_in_codecs(frame, marks, |frames| push_to_all(to, frames, queueing))?;
        let mut fan_out = FanOut::default();
        for (group, pushed) in to.groups.iter().zip(pushed) {
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut fan_out);
        }
        Ok(fan_out)
    }

    /// The marks of a frame that is of this room, if its clients are to be told.
    fn named(&self, marks: Option<Box<Marks>>, room: Option<&Arc<str>>) -> Option<Box<Marks>> {
        let Some(room) = room.filter(|_| self.options().names_rooms) else { return marks };
        let mut marks = marks.unwrap_or_default();
        marks.room = Some(Arc::clone(room));
        Some(marks)
    }

    /// Makes all encodings before `push` gives anybody one, and returns how large they are.
    fn push_in_codecs<R>(
        &self,
        frame: Frame,
        marks: Option<&Marks>,
        push: impl Fn(&Representations<'_>) -> Result<R, CodecSet>,
    ) -> Result<(usize, R), BroadcastError> {
        let mut frames = Representations::new(self.codecs(), &frame, marks);
        // Once for each codec at the most: none is missing twice.
        loop {
            self.metrics().time_broadcast(|| frames.each().map(|(_, frame)| frame));
            match push(&frames) {
                Ok(pushed) => return Ok((frames.payload_bytes(), pushed)),
                Err(missing) => {
                    if let Err(NotExpressed { codec, source }) = frames.make(missing) {
                        return Err(BroadcastError::Encode { frame, codec, source });
                    }
                }
            }
        }
    }

    /// Tells what a broadcast to a group has done, and adds it up.
    pub(crate) fn account(
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

    /// How a frame is queued, which comes back with that, unless it may not be.
    pub(crate) fn queueing(
        &self,
        frame: Frame,
        marks: Option<&Marks>,
    ) -> Result<(Frame, Queueing<'_>), BroadcastError> {
        if !self.is_open() {
            return Err(BroadcastError::ServerClosed { frame });
        }
        let options = self.options();
        let policy = marks.and_then(|marks| marks.overflow).or(options.overflow.default);
        let disconnects = policy.is_some_and(Overflow::disconnects);
        let is_promised = options.delivery.is_promised();
        if let Some(overflow) = policy.filter(|_| is_promised && !disconnects) {
            return Err(BroadcastError::BreaksPromise { frame, overflow });
        }
        // It may be that nobody needs an encoding of it now, and somebody who comes later does.
        if let Some(Err(too_long)) = marks.map(Marks::checked_key) {
            let source = EncodeError::new(too_long);
            return Err(BroadcastError::Encode { frame, codec: None, source });
        }
        // Somebody may have to hear of the members for whom there was no room.
        let is_told = is_promised || disconnects || self.metrics().is_heard();
        let overflow = if is_told { OverflowInterest::Listed } else { OverflowInterest::Ignored };
        let is_plain = marks.is_none() && policy.is_none();
        let terms = if is_plain { Terms::Plain } else { Terms::Marked(policy) };
        Ok((frame, Queueing { overflow, terms, queued_bytes: self.queued_bytes() }))
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
