//! Frames that a socket has taken and whose peer has not said yet that they have arrived.

use std::mem;

use super::answers::{NotKept, NotWritten, ResumedAt};
use super::backlog::Backlog;
use super::keeping::{Bounds, Keeping};
use super::kept::Kept;
use super::queue::{OutboundQueue, Writing};
use super::room::Load;
use super::written::WrittenFrames;
use crate::callbacks::Resumed;
use crate::encoded::EncodedFrame;

/// How much may be on its way: written, and not acknowledged. What goes beyond it waits. A bound
/// above 2^32 - 1 counts as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The bound, in frames; at least 1.
    pub frames: usize,
    /// The bound, in bytes on the wire; a single frame may be longer.
    pub bytes: usize,
}

/// What an acknowledgement has freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// So many frames are known to have arrived.
    pub frames: usize,
    /// Their bytes on the wire.
    pub bytes: usize,
}

/// The part of a queue that only a promise of delivery needs.
#[derive(Debug)]
pub(super) struct Retained {
    window: Bounds,
    /// Written whole to the current transport and not acknowledged, oldest first.
    frames: WrittenFrames,
    /// So many frames in front of all that wait were written to an earlier transport, and wait to
    /// be written again. They are the oldest, so they are never dropped for newer ones.
    replaying: usize,
    replaying_bytes: usize,
    acknowledged: u64,
    /// A transport was lost in the middle of the first frame that none has taken whole. Its farewell
    /// may have brought the rest, and whoever comes next need not know of that: a handshake may take
    /// longer than a later one.
    begun: bool,
    /// The next frame waits for an acknowledgement.
    stalled: bool,
    doubt: Doubt,
    /// Written by others than the session's task, which has not heard of it.
    untold: WrittenBeside,
    /// When it must.
    tell_at: WrittenBeside,
}

/// What was written by others than the session's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrittenBeside {
    /// So many frames, whole.
    pub frames: usize,
    /// So many bytes on the wire.
    pub bytes: usize,
}

/// Whether frames were taken for arrived that nobody has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doubt {
    /// None was, or what was has arrived.
    #[default]
    None,
    /// Those of the current transport: an acknowledgement of newer ones is one of them as well.
    UntilAcknowledged,
    /// Those of an earlier transport: nobody will ever know.
    Lasting,
}

impl Retained {
    pub(super) fn new(window: Bounds) -> Self {
        Self {
            window,
            frames: WrittenFrames::default(),
            replaying: 0,
            replaying_bytes: 0,
            acknowledged: 0,
            begun: false,
            stalled: false,
            doubt: Doubt::None,
            untold: WrittenBeside::default(),
            tell_at: WrittenBeside::default(),
        }
    }

    pub(super) const fn replaying(&self) -> usize {
        self.replaying
    }

    pub(super) const fn replaying_bytes(&self) -> usize {
        self.replaying_bytes
    }

    pub(super) const fn bytes(&self) -> usize {
        self.frames.bytes()
    }

    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Frames that were written at least once and are not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.frames.len() + self.replaying
    }

    /// Whether this frame may be written next. What is being replayed was within the window before.
    pub(super) fn has_room_for(&self, next: &EncodedFrame) -> bool {
        let is_within = self.frames.len() < self.window.frames()
            && self.bytes() + next.wire_bytes() <= self.window.bytes();
        is_within || self.replaying > 0 || self.frames.is_empty()
    }

    /// Whether frames were taken for arrived that may not have.
    pub(super) const fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// Of a session that comes from another server: so much was written there, and of that these frames,
    /// with their bytes, are to be written again.
    pub(super) fn restore(
        &mut self,
        written: u64,
        (replaying, bytes): (usize, usize),
        is_begun: bool,
        is_doubtful: bool,
    ) {
        (self.replaying, self.replaying_bytes) = (replaying, bytes);
        self.acknowledged = written.saturating_sub(replaying as u64);
        self.begun = is_begun;
        self.doubt = if is_doubtful { Doubt::Lasting } else { Doubt::None };
    }

    /// Whether the client may say that it has the first frame that no transport has taken whole.
    pub(super) const fn is_begun(&self) -> bool {
        self.begun
    }

    pub(super) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Whether so much may be written next, as nearly always.
    pub(super) fn admits_all(&self, load: Load) -> bool {
        self.frames.len() + load.frames <= self.window.frames()
            && self.bytes() + load.bytes <= self.window.bytes()
    }

    /// How many of these frames may be written next.
    pub(super) fn admits(&self, waiting: &Backlog, is_begun: bool) -> usize {
        let frames_max = self.window.frames().saturating_sub(self.frames.len());
        let mut bytes = self.bytes();
        let fitting = waiting.iter().take(frames_max).take_while(|frame| {
            let is_only = bytes == 0;
            bytes += frame.wire_bytes();
            is_only || bytes <= self.window.bytes()
        });
        fitting.count().max(self.replaying).max(usize::from(is_begun))
    }

    /// Takes over what was written of a batch. Tells how many of these frames were new.
    pub(super) fn keep(&mut self, mut kept: Kept) -> usize {
        let mut again = 0;
        if self.replaying > 0 {
            let written = kept.gather();
            again = written.len().min(self.replaying);
            self.replaying -= again;
            self.replaying_bytes -= written.bytes_of_oldest(again);
        }
        let new = kept.append_to(&mut self.frames) - again;
        self.begun &= new == 0;
        new
    }

    /// The transport is gone: all of it is to be written again.
    pub(super) fn rewind(&mut self, begun: bool) -> (Backlog, usize) {
        self.stalled = false;
        if self.doubt == Doubt::UntilAcknowledged {
            self.doubt = Doubt::Lasting;
        }
        // Before what is written again is through, no transport comes so far: it is what it was.
        self.begun |= begun && self.replaying == 0;
        self.replaying += self.frames.len();
        let bytes = self.bytes();
        self.replaying_bytes += bytes;
        (Backlog::from(mem::take(&mut self.frames).into_frames()), bytes)
    }

    fn forget(&mut self, frames: usize) -> Acknowledged {
        let frames = frames.min(self.frames.len());
        let bytes = self.frames.drop_oldest(frames);
        self.stalled = false;
        if self.frames.is_empty() {
            // A session that is idle holds nothing.
            self.frames = WrittenFrames::default();
        }
        Acknowledged { frames, bytes }
    }

    /// The frame that was begun is dropped.
    pub(super) const fn forget_begun(&mut self) {
        self.begun = false;
    }

    /// Nobody will write or acknowledge any of it.
    pub(super) fn discard(&mut self) {
        self.begun = false;
        self.frames = WrittenFrames::default();
        (self.replaying, self.replaying_bytes) = (0, 0);
    }
}

/// What a promise of delivery adds.
impl OutboundQueue {
    /// Keeps what was written until it is [acknowledged](Self::acknowledge), within this window,
    /// and writes it again to another transport.
    #[must_use]
    pub fn with_window(mut self, window: Window) -> Self {
        self.keeping = Keeping::Later(window.into());
        self
    }

    /// Takes over what was written of a batch, and tells how many frames were new.
    #[inline(never)]
    pub(super) fn keep(&mut self, written: Kept) -> u64 {
        self.keeping.make().map_or(0, |retained| retained.keep(written) as u64)
    }

    /// What a client gets that comes back.
    pub fn resumed(&self) -> Resumed {
        let replayed = self.keeping.kept().map_or(0, Retained::unacknowledged);
        Resumed { replayed, waited: self.len() }
    }

    /// Takes note that others than the session's task have written, and tells whether that must be
    /// told now.
    pub fn note_written_beside(&mut self, written: WrittenBeside) -> bool {
        let Some(Retained { untold, tell_at, .. }) = self.keeping.kept_mut() else {
            return false;
        };
        untold.frames += written.frames;
        untold.bytes += written.bytes;
        untold.frames > 0 && (untold.frames >= tell_at.frames || untold.bytes >= tell_at.bytes)
    }

    /// What others than the session's task have written, and it has not heard of. From now on it
    /// has.
    pub fn take_written_beside(&mut self) -> Option<WrittenBeside> {
        let untold = mem::take(&mut self.keeping.kept_mut()?.untold);
        (untold.frames > 0).then_some(untold)
    }

    /// The session's task is to hear as soon as others have written so many frames, or bytes.
    pub fn tell_written_beside_at(&mut self, tell_at: WrittenBeside) {
        if let Some(retained) = self.keeping.kept_mut() {
            retained.tell_at = tell_at;
        }
    }

    /// How many frames are held: they wait, are being written, or may have to be written again.
    pub fn held(&self) -> usize {
        self.len() + self.keeping.kept().map_or(0, Retained::unacknowledged)
    }

    /// Whether what was written is kept.
    pub const fn keeps(&self) -> bool {
        self.keeping.is_something()
    }

    /// How many frames were written whole at least once, counted from the first: the number of the
    /// newest of them.
    pub const fn written(&self) -> u64 {
        self.sent
    }

    /// The peer has all frames up to this number, of those that were written to the current
    /// transport. A number below is old news. Tells what that frees.
    ///
    /// # Errors
    ///
    /// [`NotWritten`] if there is no frame of that number on the current transport: nothing is
    /// changed.
    pub fn acknowledge(&mut self, number: u64) -> Result<Acknowledged, NotWritten> {
        let written = self.written_to_transport();
        if number > written || !self.keeps() {
            return Err(NotWritten { number, written });
        }
        let Some(retained) = self.keeping.kept_mut() else { return Ok(Acknowledged::default()) };
        let newer = usize::try_from(written - number).unwrap_or(usize::MAX);
        let freed = retained.forget(retained.frames.len().saturating_sub(newer));
        retained.acknowledged += freed.frames as u64;
        if freed.frames > 0 && retained.doubt == Doubt::UntilAcknowledged {
            retained.doubt = Doubt::None;
        }
        Ok(freed)
    }

    /// The client comes back and says that it has the frames up to this number. To be called after
    /// [`rewind`](Self::rewind): the others are written again.
    ///
    /// # Errors
    ///
    /// [`NotKept`] if frames behind that number are not kept any more, or were never written:
    /// nothing is changed.
    pub fn resume_at(&mut self, number: u64) -> Result<ResumedAt, NotKept> {
        let (oldest, written) = (self.written_to_transport(), self.sent);
        let Some(retained) = self.keeping.make() else {
            return Err(NotKept { number, oldest: written, newest: written });
        };
        let newest = written + u64::from(retained.begun);
        if !(oldest..=newest).contains(&number) {
            return Err(NotKept { number, oldest, newest });
        }
        let mut freed = Acknowledged::default();
        while oldest + (freed.frames as u64) < number.min(written)
            && let Some(frame) = self.waiting.pop()
        {
            freed.frames += 1;
            freed.bytes += frame.wire_bytes();
        }
        retained.replaying -= freed.frames;
        retained.replaying_bytes -= freed.bytes;
        // What the last transport had begun was written to its end while it was parted with.
        let finished = if number > written { self.waiting.pop() } else { None };
        if let Some(frame) = &finished {
            freed.frames += 1;
            freed.bytes += frame.wire_bytes();
            self.sent += 1;
            self.writing = Writing::BETWEEN_FRAMES;
            retained.begun = false;
        }
        retained.acknowledged += freed.frames as u64;
        self.pending_bytes -= freed.bytes;
        Ok(ResumedAt { freed, finished })
    }

    /// The lowest number at which a client may come back: those up to it are not kept any more.
    pub fn resumable_from(&self) -> u64 {
        self.sent - self.keeping.kept().map_or(0, |retained| retained.unacknowledged() as u64)
    }

    /// Forgets the frames up to this number, for a peer that acknowledges nothing: they will not be
    /// written again.
    pub fn presume(&mut self, number: u64) -> Acknowledged {
        let newer = self.written_to_transport().saturating_sub(number);
        let newer = usize::try_from(newer).unwrap_or(usize::MAX);
        let Some(retained) = self.keeping.kept_mut() else { return Acknowledged::default() };
        let freed = retained.forget(retained.frames.len().saturating_sub(newer));
        if freed.frames > 0 && retained.doubt == Doubt::None {
            retained.doubt = Doubt::UntilAcknowledged;
        }
        freed
    }

    /// Whether frames were [presumed](Self::presume) to have arrived, and may not have.
    pub fn doubt(&self) -> Doubt {
        self.keeping.kept().map_or(Doubt::None, |retained| retained.doubt)
    }

    /// Whether frames wait that are to be written, now or later.
    pub const fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nothing can be done for what waits until something is acknowledged: it is not
    /// [writable](Self::is_writable) before.
    pub fn stall(&mut self) {
        if let Some(retained) = self.keeping.make() {
            retained.stalled = true;
        }
    }

    /// The number of the newest frame that the current transport has taken whole.
    pub fn written_to_transport(&self) -> u64 {
        self.sent - self.keeping.kept().map_or(0, |retained| retained.replaying as u64)
    }
}
