//! A request to all members of a room.

use std::time::Duration;

use wspulse_core::{Frame, Outgoing};

use super::waiting::Waiting;
use crate::app::connection::Connection;
use crate::app::room::Room;
use crate::ground::running_time::RunningTimer;
use crate::settings::codecs::CodecSet;
use crate::settings::error::{BroadcastError, RequestError};
use crate::settings::representations::{NotExpressed, Representations};

/// A request to all members of a room, to be given the time that their replies may take. Made by
/// [`Room::request`].
#[derive(Debug, Clone)]
#[must_use = "a request is sent once it is given its time and awaited"]
pub struct RoomRequest {
    room: Room,
    outgoing: Outgoing,
}

/// What a member has answered, or why it has not.
type Answered = (Connection, Result<Frame, RequestError>);

/// A member that was asked, or could not be.
type Begun = (Connection, Result<Waiting, RequestError>);

impl RoomRequest {
    pub(crate) fn new(room: Room, frame: impl Into<Outgoing>) -> Self {
        Self { room, outgoing: frame.into() }
    }

    /// It is never compressed, as a frame that is sent [so](Frame::uncompressed).
    pub fn uncompressed(mut self) -> Self {
        self.outgoing = self.outgoing.uncompressed();
        self
    }

    /// Sends the request to those who are members at this instant, suspended ones included, and waits
    /// for their replies, for so long at the most. Each member is in the answer once, in no particular
    /// order, with its reply or with the reason why there is none. The frame is encoded once for each
    /// codec that members have, and has the same id for all of them.
    ///
    /// It is a direct send to each member: two requests, or a request and a broadcast, that are sent
    /// at the same time may reach two members in two orders.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Encode`] if a codec cannot express the frame,
    /// [`BroadcastError::ServerClosed`] after the server's end: then no member is sent anything.
    ///
    /// # Cancel safety
    ///
    /// As [`Request::within`](super::Request::within), for each member.
    pub async fn within(self, time: Duration) -> Result<Vec<Answered>, BroadcastError> {
        let begun = self.begin()?;
        let mut timer = Some(RunningTimer::after(time));
        let mut answers = Vec::with_capacity(begun.len());
        for (member, waiting) in begun {
            let answer = match waiting {
                Ok(mut waiting) => waiting.reply_within(time, &mut timer).await,
                Err(error) => Err(error),
            };
            answers.push((member, answer));
        }
        Ok(answers)
    }

    fn begin(self) -> Result<Vec<Begun>, BroadcastError> {
        let Self { room, outgoing } = self;
        let server = room.server();
        if !server.is_open() {
            return Err(BroadcastError::ServerClosed { frame: Box::new(outgoing.frame) });
        }
        let outgoing = server.requests().name(outgoing);
        let (frame, marks) = (&outgoing.frame, outgoing.marks());
        let members = room.connections();
        let codecs = members.iter().map(|member| member.shared().mailbox.codec());
        let mut encoded = Representations::new(server.codecs(), frame, marks);
        let missing = codecs.fold(CodecSet::NONE, CodecSet::with);
        let made = encoded.make(missing);
        if let Err(NotExpressed { codec, source }) = made {
            let frame = Box::new(outgoing.frame);
            return Err(BroadcastError::Encode { frame, codec, source });
        }
        let begun = members.into_iter().map(|member| {
            let waiting = match encoded.of(member.shared().mailbox.codec()) {
                Some(encoded) => {
                    Waiting::begin_encoded(member.clone(), frame.clone(), encoded.clone())
                }
                // Its codec was asked for above.
                None => Waiting::begin(member.clone(), outgoing.clone()),
            };
            (member, waiting)
        });
        Ok(begun.collect())
    }
}
