//! A frame on its way out, with what its sender wants to become of it where there is no room.

use std::sync::Arc;

use bytestring::ByteString;

use crate::frame::Frame;
use crate::outbound::OverflowPolicy;

/// The longest key of a frame, in bytes: names of things, not things.
pub const KEY_BYTES_MAX: usize = 255;

/// A [`Frame`] to send, with marks that the receiver does not see.
///
/// Every frame is one; [`Frame::conflate`], [`Frame::volatile`], [`Frame::on_overflow`] and
/// [`Frame::uncompressed`] mark it.
/// The marks go together:
///
/// ```
/// use wspulse_core::{Frame, Overflow};
///
/// let cursor = Frame::new("cursor").with_payload("[3,4]").conflate("cursor:7").volatile();
/// assert_eq!((cursor.key(), cursor.is_volatile()), (Some("cursor:7"), true));
/// let order = Frame::new("order").on_overflow(Overflow::Disconnect);
/// assert_eq!(order.overflow(), Some(Overflow::Disconnect));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// What the receiver gets.
    pub frame: Frame,
    /// Boxed, since most frames have none.
    marks: Option<Box<Marks>>,
}

/// What is said of a frame beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Marks {
    /// By what a newer frame takes its place.
    pub key: Option<ByteString>,
    /// Whether it is worth sending at once or not at all.
    pub is_volatile: bool,
    /// What happens where its queue is full, if that is not left to the server.
    pub overflow: Option<Overflow>,
    /// Whether it goes as it is where other frames are compressed.
    pub is_uncompressed: bool,
    /// The room that its clients are told it is of, if they are.
    pub room: Option<Arc<str>>,
}

/// What happens where a connection's send buffer has no room for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest frames that wait make room, and are counted as dropped. A promise of delivery
    /// does not allow it.
    DropOldest,
    /// The new frame does not go there. A direct send gives it back as an error. Of a broadcast it
    /// is counted as dropped, for this member alone, which a promise of delivery does not allow.
    Refuse,
    /// The new frame does not go there, and the connection ends as that of a slow consumer. What
    /// waits is written first, as far as the client takes it within the write wait.
    Disconnect,
}

/// A frame's key has more than [`KEY_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its key has {bytes} bytes, but may have {KEY_BYTES_MAX} at most")]
pub struct KeyTooLong {
    /// How many it has.
    pub bytes: usize,
}

impl Marks {
    /// The key, empty if there is none.
    ///
    /// # Errors
    ///
    /// [`KeyTooLong`] if it has more than [`KEY_BYTES_MAX`] bytes.
    pub fn checked_key(&self) -> Result<&str, KeyTooLong> {
        let key = self.key.as_deref().unwrap_or_default();
        let bytes = key.len();
        if bytes > KEY_BYTES_MAX { Err(KeyTooLong { bytes }) } else { Ok(key) }
    }
}

impl Overflow {
    /// What a full queue makes of such a frame.
    pub const fn policy(self) -> OverflowPolicy {
        match self {
            Self::DropOldest => OverflowPolicy::DropOldest,
            Self::Refuse | Self::Disconnect => OverflowPolicy::RejectNewest,
        }
    }

    /// Whether the connection ends.
    pub const fn disconnects(self) -> bool {
        match self {
            Self::Disconnect => true,
            Self::DropOldest | Self::Refuse => false,
        }
    }
}

impl Outgoing {
    /// See [`Frame::conflate`].
    #[must_use]
    pub fn conflate(mut self, key: impl Into<ByteString>) -> Self {
        self.marks.get_or_insert_default().key = Some(key.into());
        self
    }

    /// See [`Frame::volatile`].
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.marks.get_or_insert_default().is_volatile = true;
        self
    }

    /// See [`Frame::on_overflow`].
    #[must_use]
    pub fn on_overflow(mut self, overflow: Overflow) -> Self {
        self.marks.get_or_insert_default().overflow = Some(overflow);
        self
    }

    /// See [`Frame::uncompressed`].
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.marks.get_or_insert_default().is_uncompressed = true;
        self
    }

    /// By what a newer frame takes its place, if by anything.
    pub fn key(&self) -> Option<&str> {
        self.marks.as_ref()?.key.as_deref()
    }

    /// Whether it is worth sending at once or not at all.
    pub fn is_volatile(&self) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.is_volatile)
    }

    /// What happens where its queue is full, if that is not left to the server.
    pub fn overflow(&self) -> Option<Overflow> {
        self.marks.as_ref()?.overflow
    }

    /// Its marks, if it has any.
    pub fn marks(&self) -> Option<&Marks> {
        self.marks.as_deref()
    }

    /// The frame without its marks.
    pub fn into_frame(self) -> Frame {
        self.frame
    }

    /// The frame, and its marks if it has any.
    #[inline]
    pub fn into_parts(self) -> (Frame, Option<Box<Marks>>) {
        (self.frame, self.marks)
    }
}

impl From<Frame> for Outgoing {
    #[inline]
    fn from(frame: Frame) -> Self {
        Self { frame, marks: None }
    }
}

/// What may be said of a frame that is sent.
impl Frame {
    /// Names what this frame is the newest state of. While an older frame with the same key still
    /// waits for a client, this one takes its place: a slow client gets the newest state, and never
    /// a backlog of old ones. Up to [`KEY_BYTES_MAX`] bytes; longer ones fail when the frame is
    /// sent. The receiver does not see the key.
    ///
    /// Nothing overtakes a frame without a key: if one was sent between the two, the older frame
    /// goes and the newer one waits behind. Frames with different keys may change places.
    ///
    /// ```
    /// use wspulse_core::Frame;
    ///
    /// let newest = Frame::new("cursor").with_payload("[3,4]").conflate("cursor:7");
    /// ```
    pub fn conflate(self, key: impl Into<ByteString>) -> Outgoing {
        Outgoing::from(self).conflate(key)
    }

    /// Says that this frame is worth sending at once or not at all, such as a cursor or a signal
    /// that somebody types. It is dropped, and counted as that, for a client that is suspended, also
    /// if it waits when the client is lost, and where the send buffer is full. While it waits, it
    /// makes room for any frame that is not volatile. Sending it never fails for want of room.
    ///
    /// A promise of delivery does not hold for it before a socket has taken it.
    pub fn volatile(self) -> Outgoing {
        Outgoing::from(self).volatile()
    }

    /// Says that this frame is never compressed, also where that was agreed on. For what carries a secret
    /// beside something that others can choose: by how much shorter a message gets, they could guess it.
    pub fn uncompressed(self) -> Outgoing {
        Outgoing::from(self).uncompressed()
    }

    /// Says what happens where the send buffer has no room for this frame, whatever the server's
    /// default is. A volatile frame needs no room, so this says nothing of it.
    pub fn on_overflow(self, overflow: Overflow) -> Outgoing {
        Outgoing::from(self).on_overflow(overflow)
    }
}
