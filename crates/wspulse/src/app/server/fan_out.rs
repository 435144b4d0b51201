//! Broadcasts: from a frame to the queues of a group's members.

mod elsewhere;
mod logged;

use std::iter;
use std::sync::Arc;

use wspulse_core::codec::EncodeError;
use wspulse_core::{EncodedFrame, Frame, Marks, Outgoing, Overflow};

use super::Server;
use crate::app::connection::Connection;
use crate::app::room::Audience;
use crate::cluster::beside::BESIDE_BYTES_MAX;
use crate::membership::{
    Addressed, Addressees, Elsewhere, Kind, Pushed, Queueing, Reach, push_to_all, push_to_each,
};
use crate::membership::{OverflowInterest, Terms};
use crate::observe::metrics::{GroupKind, MessageBroadcast};
use crate::settings::codecs::{CodecId, CodecSet};
use crate::settings::error::BroadcastError;
use crate::settings::representations::{NotExpressed, Representations};

use elsewhere::told_as;
pub(crate) use elsewhere::{ToGroup, TooLarge};

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
    /// are suspended. That nobody is there is worth knowing, for instance to send an e-mail. In a
    /// [cluster](crate::cluster) the frame goes to the members on all servers; those here are counted.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::ServerClosed`] after [`close`](Self::close);
    /// [`BroadcastError::BreaksPromise`] if a member with a full buffer is not to get it although its
    /// delivery is promised; [`BroadcastError::Encode`] if a codec cannot express the frame, or its
    /// key is too long: then no member gets it; [`BroadcastError::TooLarge`] if it has more bytes than
    /// other servers of a cluster take; [`BroadcastError::Logged`] if the room
    /// [has a log](crate::ServerBuilder::logged_rooms) and the frame is not volatile. On a server that has several codecs,
    /// only those are asked that members of the room have.
    pub fn broadcast(
        &self,
        room: &str,
        frame: impl Into<Outgoing>,
    ) -> Result<FanOut, BroadcastError> {
        self.fan_out(ToGroup::of(self, Kind::Room, room), frame.into())
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
        let room = ToGroup::of(self, Kind::Room, room);
        self.fan_out(ToGroup { excluded: Some(excluded.shared()), ..room }, frame.into())
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
        let frames = Representations::new(self.codecs(), &frame, marks);
        let pushed = self.push_in_codecs(frames, Reach::Cluster, |frames| {
            // It goes after the lock: with the last of a connection goes the application's data.
            let mut all;
            let _one_order = self.inner.everybody.lock();
            all = self.inner.registry.all();
            self.inner.overlaps.retain_present(&mut all);
            self.say_to_all(frames, queueing)?;
            push_to_each(&all, frames, queueing)
        });
        let (payload_bytes, pushed) = pushed.map_err(|it| it.of(frame))?;
        let mut fan_out = FanOut::default();
        self.account((GroupKind::Everybody, ""), payload_bytes, pushed, &mut fan_out);
        Ok(fan_out)
    }

    pub(crate) fn fan_out(
        &self,
        to: ToGroup<'_>,
        outgoing: Outgoing,
    ) -> Result<FanOut, BroadcastError> {
        let ToGroup { kind, name, group, excluded, reach } = to;
        let (frame, marks) = outgoing.into_parts();
        let (frame, queueing) = self.queueing(frame, marks.as_deref())?;
        let room = group.as_ref().filter(|group| group.kind() == Kind::Room);
        let marks = self.named(marks, kind, || match room {
            Some(room) => Arc::clone(room.name()),
            None => name.into(),
        });
        let marks = marks.as_deref();
        let addressed = Addressed { excluded, queueing, reach, says_if_empty: false };
        let elsewhere = self.speaker().filter(|_| reach == Reach::Cluster && group.is_none());
        if self.is_for_its_log(kind, name, reach, marks) {
            return Err(BroadcastError::Logged { frame: Box::new(frame), room: name.to_owned() });
        }
        if group.is_none() && elsewhere.is_none() && self.codecs().are_several() {
            return Ok(FanOut::default());
        }
        let mut fan_out = FanOut::default();
        let (payload_bytes, pushed) = if self.codecs().are_several() {
            let frames = Representations::new(self.codecs(), &frame, marks);
            let pushed = self.push_in_codecs(frames, reach, |frames| {
                let group = group.as_ref();
                match group.map(|it| it.broadcast_by_codec(frames, addressed)).transpose()? {
                    Some(Some(pushed)) => Ok(pushed),
                    Some(None) | None => self.say_elsewhere_in(kind, name, frames, addressed),
                }
            });
            pushed.map_err(|it| it.of(frame))?
        } else {
            let codec = self.codecs().default_codec();
            let encoded = match marks {
                None => EncodedFrame::encode(codec, &frame),
                Some(marks) => EncodedFrame::encode_marked(codec, &frame, marks),
            };
            let encoded = match encoded {
                Ok(encoded) => encoded,
                Err(source) => {
                    let frame = Box::new(frame);
                    return Err(BroadcastError::Encode { frame, codec: None, source });
                }
            };
            if reach == Reach::Cluster {
                self.check_size(&encoded).map_err(|it| NotPushed::TooLarge(it).of(frame))?;
            }
            let pushed = group.as_ref().and_then(|group| {
                self.metrics().time_broadcast(|| iter::once(&encoded));
                group.broadcast(&encoded, addressed)
            });
            let say_elsewhere = || self.say_elsewhere(kind, name, &encoded, addressed);
            (encoded.payload_bytes(), pushed.unwrap_or_else(say_elsewhere))
        };
        if group.is_some() || pushed.members > 0 {
            self.account(told_as(kind, name), payload_bytes, pushed, &mut fan_out);
        }
        Ok(fan_out)
    }

    pub(crate) fn fan_out_to(
        &self,
        find: impl Fn() -> Addressees,
        outgoing: Outgoing,
    ) -> Result<FanOut, BroadcastError> {
        let to = find();
        let (frame, marks) = outgoing.into_parts();
        let (frame, queueing) = self.queueing(frame, marks.as_deref())?;
        let marks = match &to.room {
            Some(room) => self.named(marks, Kind::Room, || Arc::clone(room)),
            None => marks,
        };
        let marks = marks.as_deref();
        if let Some(bytes) = to.elsewhere.as_ref().map(Elsewhere::bytes)
            && bytes > BESIDE_BYTES_MAX
        {
            return Err(BroadcastError::TooLarge {
                frame: Box::new(frame),
                bytes,
                bytes_max: BESIDE_BYTES_MAX,
            });
        }
        let frames = Representations::new(self.codecs(), &frame, marks);
        let pushed = self.push_in_codecs(frames, Reach::Cluster, |frames| {
            let Some(speaker) = self.speaker() else {
                return Ok((None, push_to_all(&to, frames, queueing)?));
            };
            // It goes after the lock: with the last of a connection goes the application's data.
            let mut anew = None;
            let push = || push_to_all(anew.insert(find()), frames, queueing);
            let pushed = speaker.before_arrivals(push)?;
            Ok((anew, pushed))
        });
        let (payload_bytes, (anew, pushed)) = pushed.map_err(|it| it.of(frame))?;
        let (to, mut fan_out) = (anew.as_ref().unwrap_or(&to), FanOut::default());
        for (group, pushed) in to.groups.iter().zip(pushed) {
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut fan_out);
        }
        Ok(fan_out)
    }

    /// The marks of a frame that is of this room, if its clients are to be told.
    fn named(
        &self,
        marks: Option<Box<Marks>>,
        kind: Kind,
        name: impl FnOnce() -> Arc<str>,
    ) -> Option<Box<Marks>> {
        if kind != Kind::Room || !self.options().names_rooms {
            return marks;
        }
        let mut marks = marks.unwrap_or_default();
        marks.room = Some(name());
        Some(marks)
    }

    /// Makes all encodings before `push` gives anybody one, and returns how large they are.
    pub(crate) fn push_in_codecs<R>(
        &self,
        mut frames: Representations<'_>,
        reach: Reach,
        push: impl Fn(&Representations<'_>) -> Result<R, CodecSet>,
    ) -> Result<(usize, R), NotPushed> {
        // Once for each codec at the most: none is missing twice.
        loop {
            self.metrics().time_broadcast(|| frames.each().map(|(_, frame)| frame));
            match push(&frames) {
                Ok(pushed) => return Ok((frames.payload_bytes(), pushed)),
                Err(missing) => {
                    frames.make(missing).map_err(NotPushed::NotExpressed)?;
                    if reach == Reach::Cluster
                        && let Some(frame) = frames.of(CodecId::DEFAULT)
                    {
                        self.check_size(frame).map_err(NotPushed::TooLarge)?;
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
            return Err(BroadcastError::ServerClosed { frame: Box::new(frame) });
        }
        let options = self.options();
        let policy = marks.and_then(|marks| marks.overflow).or(options.overflow.default);
        let disconnects = policy.is_some_and(Overflow::disconnects);
        let is_promised = options.delivery.is_promised();
        if let Some(overflow) = policy.filter(|_| is_promised && !disconnects) {
            return Err(BroadcastError::BreaksPromise { frame: Box::new(frame), overflow });
        }
        // It may be that nobody needs an encoding of it now, and somebody who comes later does.
        if let Some(Err(too_long)) = marks.map(Marks::checked_key) {
            let source = EncodeError::new(too_long);
            return Err(BroadcastError::Encode { frame: Box::new(frame), codec: None, source });
        }
        let is_plain = marks.is_none() && policy.is_none();
        let terms = if is_plain { Terms::Plain } else { Terms::Marked(policy) };
        Ok((frame, self.terms(terms)))
    }

    /// How a frame is queued on these terms.
    pub(crate) fn terms(&self, terms: Terms) -> Queueing<'_> {
        let options = self.options();
        let policy = terms.overflow().or(options.overflow.default);
        let disconnects = policy.is_some_and(Overflow::disconnects);
        // Somebody may have to hear of the members for whom there was no room.
        let is_told = options.delivery.is_promised() || disconnects || self.metrics().is_heard();
        let overflow = if is_told { OverflowInterest::Listed } else { OverflowInterest::Ignored };
        Queueing { overflow, terms, queued_bytes: self.queued_bytes() }
    }
}

/// Why nobody has got a frame.
pub(crate) enum NotPushed {
    NotExpressed(NotExpressed),
    TooLarge(TooLarge),
}

impl NotPushed {
    fn of(self, frame: Frame) -> BroadcastError {
        match self {
            Self::NotExpressed(NotExpressed { codec, source }) => {
                BroadcastError::Encode { frame: Box::new(frame), codec, source }
            }
            Self::TooLarge(TooLarge { bytes, bytes_max }) => {
                BroadcastError::TooLarge { frame: Box::new(frame), bytes, bytes_max }
            }
        }
    }
}
