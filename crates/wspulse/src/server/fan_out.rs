//! Broadcasts: from a frame to the queues of a room's members.

use std::sync::Arc;

use wspulse_core::{EncodedFrame, Frame};

use super::Server;
use crate::connection::{Connection, ConnectionShared};
use crate::error::BroadcastError;
use crate::metrics::MessageBroadcast;
use crate::representations::{NotExpressed, Representations};
use crate::room::{Addressed, FanOut, Group, Overflow};

impl Server {
    /// Queues a frame for all members of a room, suspended ones included, without waiting. It is
    /// encoded once for each [codec](crate::ServerBuilder::also_codec) that members have, and shared
    /// by all who have it. A member whose buffer is full drops its oldest frames. All members get the
    /// room's broadcasts in the same order. A room without members is no error.
    ///
    /// Returns how many members have it in their send buffers now, suspended ones included.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::ServerClosed`] after [`close`](Self::close); [`BroadcastError::Encode`] if a
    /// codec cannot express the frame: then no member gets it. On a server that has several codecs,
    /// only those are asked that members of the room have.
    pub fn broadcast(&self, room: &str, frame: Frame) -> Result<usize, BroadcastError> {
        self.fan_out(self.group(room), frame, None)
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
    ) -> Result<usize, BroadcastError> {
        self.fan_out(self.group(room), frame, Some(excluded.shared()))
    }

    pub(crate) fn fan_out(
        &self,
        group: Option<Arc<Group>>,
        frame: Frame,
        excluded: Option<&Arc<ConnectionShared>>,
    ) -> Result<usize, BroadcastError> {
        if !self.is_open() {
            return Err(BroadcastError::ServerClosed { frame });
        }
        let overflow = self.overflow_interest();
        let addressed = Addressed { excluded, overflow, queued_bytes: self.queued_bytes() };
        if self.codecs().are_several() {
            return self.fan_out_by_codec(group, frame, addressed);
        }
        let encoded = match EncodedFrame::encode(self.codecs().default_codec(), &frame) {
            Ok(encoded) => encoded,
            Err(source) => return Err(BroadcastError::Encode { frame, codec: None, source }),
        };
        let Some(group) = group else { return Ok(0) };
        let fan_out = group.broadcast(&encoded, addressed);
        Ok(self.account(&group, encoded.payload().len(), fan_out))
    }

    /// All encodings are made before anybody is given one.
    fn fan_out_by_codec(
        &self,
        group: Option<Arc<Group>>,
        frame: Frame,
        addressed: Addressed<'_>,
    ) -> Result<usize, BroadcastError> {
        let Some(group) = group else { return Ok(0) };
        let mut frames = Representations::new(self.codecs());
        // Once for each codec at the most: none is missing twice.
        let fan_out = loop {
            match group.broadcast_by_codec(&frames, addressed) {
                Ok(fan_out) => break fan_out,
                Err(missing) => {
                    if let Err(NotExpressed { codec, source }) = frames.make(missing, &frame) {
                        return Err(BroadcastError::Encode { frame, codec, source });
                    }
                }
            }
        };
        Ok(self.account(&group, frames.payload_bytes(), fan_out))
    }

    /// Tells what a broadcast has done, and returns how many members have it.
    fn account(&self, group: &Group, payload_bytes: usize, fan_out: FanOut) -> usize {
        let room = &**group.name();
        let FanOut { members, overflowed } = fan_out;
        self.metrics().record(|hooks| {
            hooks.message_broadcast(&MessageBroadcast { room, payload_bytes, fan_out: members });
        });
        for (member, offered) in overflowed {
            member.count_overflow(offered);
        }
        members
    }

    /// Whether somebody must hear of the members for whom there was no room.
    fn overflow_interest(&self) -> Overflow {
        if self.options().delivery.is_promised() {
            Overflow::Listed
        } else {
            self.metrics().overflow_interest()
        }
    }
}
