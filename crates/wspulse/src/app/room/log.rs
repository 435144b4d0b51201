//! A room's log: appending to it, and reading it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wspulse_core::cluster::{LogPosition, Said, Target};
use wspulse_core::{EncodedFrame, Frame, Outgoing};

use super::Room;
use crate::app::cluster::Attachment;
use crate::app::server::{Server, TooLarge};
use crate::cluster::speaker::{NameSpace, target_of};
use crate::cluster::{AppendFailed, AppendId, LogEntry, LogStart};
use crate::settings::error::{AppendError, BroadcastError, HistoryError};

/// How long a log has to answer. A broker that chooses another leader takes some seconds for that.
const APPENDED_WITHIN: Duration = Duration::from_secs(10);

/// The most frames that are read for one call.
const READ_MAX: usize = 4096;

/// A frame on its way into a room's log. Made by [`Room::append`]; awaited, it is appended.
#[derive(Debug)]
#[must_use = "a frame is appended once this is awaited"]
pub struct Append {
    room: Room,
    outgoing: Outgoing,
    id: AppendId,
    within: Duration,
}

/// A frame of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedFrame {
    /// Where it is.
    pub position: LogPosition,
    /// How long ago it was appended.
    pub age: Duration,
    /// The frame; `None` if it cannot be read, such as for a codec that this server does not have.
    pub frame: Option<Frame>,
}

impl Room {
    /// Appends a frame to the room's log, which must be [one that has a log](crate::ServerBuilder::logged_rooms).
    /// From there all members hear it, on all servers and in one order: those on this server as well,
    /// and not before it is there. `Ok` says that it is in the log, and with which place in that order;
    /// it is not lost then whatever server dies, as far as the log keeps it.
    ///
    /// ```
    /// use wspulse::{AppendError, Frame, Room};
    ///
    /// async fn place(room: &Room, order: Frame) -> Result<(), AppendError> {
    ///     let position = match room.append(order).await {
    ///         // It may be there. With the same id it is there once.
    ///         Err(AppendError::Unknown { frame, id, .. }) => room.append(*frame).with_id(id).await?,
    ///         appended => appended?,
    ///     };
    ///     println!("number {} of {}", position.number, room.id());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AppendError`]. The frame is not in the log then, but for [`AppendError::Unknown`].
    ///
    /// # Cancel safety
    ///
    /// Dropped once it was polled, the frame may be appended.
    pub fn append(&self, frame: impl Into<Outgoing>) -> Append {
        let (room, outgoing) = (self.clone(), frame.into());
        Append { room, outgoing, id: AppendId::random(), within: APPENDED_WITHIN }
    }

    /// The newest frames of the room's log, oldest first: so many, up to 4,096, or as many as are kept.
    /// It asks the log, wherever the room has members.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] if the room has no log, or it cannot be read now.
    pub async fn history(&self, frames: usize) -> Result<Vec<LoggedFrame>, HistoryError> {
        self.read(LogStart::Last(frames.min(READ_MAX)), frames).await
    }

    /// What follows a place in the room's log, oldest first: so many frames, up to 4,096, or as many as
    /// there are. Numbers that are skipped are frames that the log does not keep any more.
    ///
    /// # Errors
    ///
    /// See [`history`](Self::history).
    pub async fn history_after(
        &self,
        position: LogPosition,
        frames: usize,
    ) -> Result<Vec<LoggedFrame>, HistoryError> {
        self.read(LogStart::After(position), frames).await
    }

    async fn read(
        &self,
        mut from: LogStart,
        frames: usize,
    ) -> Result<Vec<LoggedFrame>, HistoryError> {
        let not_logged = || HistoryError::NotLogged { room: self.id().to_owned() };
        if !self.server.is_logged(self.id()) {
            return Err(not_logged());
        }
        let attachment = self.server.attachment().ok_or_else(not_logged)?;
        let target = target_of(NameSpace::Rooms, self.id());
        let mut all = Vec::new();
        while all.len() < frames.min(READ_MAX) {
            let read = attachment.node().read_log(target, from).await;
            let read = read.map_err(|_| HistoryError::Unavailable)?;
            let Some(last) = read.entries.last().map(|entry| entry.position) else { break };
            from = LogStart::After(last);
            all.extend(read.entries.into_iter().map(|entry| self.server.logged_frame(entry)));
            if Some(last) == read.newest {
                break;
            }
        }
        all.truncate(frames);
        Ok(all)
    }
}

impl Append {
    /// By which id the log knows the frame, if it is appended once more: with one that was appended in
    /// the last two minutes it is not appended, and `Ok` says where it is. Derive one from what your
    /// application knows the frame by, or take that of [`AppendError::Unknown`]. Default: a random one.
    pub const fn with_id(mut self, id: AppendId) -> Self {
        self.id = id;
        self
    }

    /// How long the log has to answer. Default: 10 s.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    async fn carry_out(self) -> Result<LogPosition, AppendError> {
        let Self { room, outgoing, id, within } = self;
        let (server, name) = (&room.server, room.id());
        let (frame, marks) = outgoing.into_parts();
        if !server.is_logged(name) {
            let (frame, room) = (Box::new(frame), name.to_owned());
            return Err(AppendError::NotLogged { frame, room });
        }
        let (frame, queueing) = server.queueing(frame, marks.as_deref()).map_err(refused)?;
        let marks = server.named_of_room(marks, || Arc::from(name));
        let codec = server.codecs().default_codec();
        let encoded = match marks.as_deref() {
            None => EncodedFrame::encode(codec, &frame),
            Some(marks) => EncodedFrame::encode_marked(codec, &frame, marks),
        };
        let frame = Box::new(frame);
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(source) => return Err(AppendError::Encode { frame, source }),
        };
        if encoded.is_volatile() {
            return Err(AppendError::Volatile { frame });
        }
        if let Err(TooLarge { bytes, bytes_max }) = server.check_size_to_say(&encoded) {
            return Err(AppendError::TooLarge { frame, bytes, bytes_max });
        }
        let overflow = queueing.terms.overflow();
        let said = Said { frame: encoded, overflow, beside: Bytes::new() };
        let codec = codec.name().unwrap_or_default().into();
        let target = target_of(NameSpace::Rooms, name);
        let (Some(attachment), Target::Group(key)) = (server.attachment(), target) else {
            return Err(AppendError::Unavailable { frame });
        };
        let appended = attachment.node().append(key, id, (codec, said), within).await;
        appended.map_err(|failed| match failed {
            AppendFailed::Unavailable => AppendError::Unavailable { frame },
            AppendFailed::Full => AppendError::Full { frame },
            AppendFailed::Unknown { within } => AppendError::Unknown { frame, id, within },
        })
    }
}

impl IntoFuture for Append {
    type Output = Result<LogPosition, AppendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.carry_out())
    }
}

impl Server {
    fn logged_frame(&self, entry: LogEntry) -> LoggedFrame {
        let LogEntry { position, age, entry } = entry;
        let node = self.attachment().map(Attachment::node);
        let said = node.and_then(|node| node.read_entry(entry));
        let frame = said.and_then(|(codec, said)| {
            let codec = self.codec_named(&codec)?;
            self.decode(codec, &said.frame)
        });
        LoggedFrame { position, age, frame }
    }
}

/// Nothing else is looked at before a frame is encoded.
fn refused(error: BroadcastError) -> AppendError {
    match error {
        BroadcastError::ServerClosed { frame } => AppendError::ServerClosed { frame },
        BroadcastError::BreaksPromise { frame, overflow } => {
            AppendError::BreaksPromise { frame, overflow }
        }
        BroadcastError::Encode { frame, source, codec: _ } => AppendError::Encode { frame, source },
        BroadcastError::TooLarge { frame, bytes, bytes_max } => {
            AppendError::TooLarge { frame, bytes, bytes_max }
        }
        BroadcastError::Logged { frame, room } => AppendError::NotLogged { frame, room },
    }
}
