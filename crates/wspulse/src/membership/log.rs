//! What a large room has said lately, for those of its members that follow it.
//!
//! A member that sleeps and has nothing to write holds no frames of its own: it follows the log, and
//! knows how far it has got. So a broadcast touches none of these members, and whoever writes for
//! them writes the same bytes to one after the other. All else that looks at such a member's queue
//! has it stop first: then what it lacks is moved into its queue, as if it had always been there.
//!
//! The lock is taken under those of groups and mailboxes, and none under it.

use std::collections::VecDeque;

use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{Compressed, Form, Run};

use crate::ground::sync::Mutex;

/// The most bytes that a log holds, and a segment of it: as much as one write takes at once.
const BYTES_MAX: usize = 64 * 1024;

/// The most frames that a log holds: those of two rounds over the members of a busy room.
const FRAMES_MAX: usize = 128;

/// How many frames a log had held before one: it wraps around, as it only tells neighbours apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset(u32);

impl Offset {
    /// How many frames lie between this and a later one.
    const fn until(self, later: Self) -> usize {
        later.0.wrapping_sub(self.0) as usize
    }

    const fn after(self, frames: usize) -> Self {
        // No log holds as many as there are numbers.
        #[expect(clippy::cast_possible_truncation, reason = "it wraps around")]
        let frames = frames as u32;
        Self(self.0.wrapping_add(frames))
    }
}

pub(crate) struct Log {
    inner: Mutex<Inner>,
    /// No member's queue has room for less.
    frames_max: usize,
    bytes_max: usize,
}

struct Inner {
    frames: VecDeque<EncodedFrame>,
    bytes: usize,
    /// That of the oldest frame.
    begin: Offset,
    followers: usize,
    /// The places in the group's list of those that have stopped, since the group looked.
    stopped: Vec<u32>,
}

/// A frame is not in the log.
pub(super) enum NotAppended {
    /// First these must be told by themselves: they are at these places, and do not follow any more.
    Stopped(Vec<u32>),
    /// There is no room for it until nobody follows.
    Full,
}

impl Log {
    /// For members whose queues hold so much.
    pub(super) fn new(capacity_frames: usize, capacity_bytes: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                frames: VecDeque::new(),
                bytes: 0,
                begin: Offset(0),
                followers: 0,
                stopped: Vec::new(),
            }),
            frames_max: capacity_frames.min(FRAMES_MAX),
            bytes_max: capacity_bytes.min(BYTES_MAX),
        }
    }

    // What follows is for the group, under its lock.

    /// Says something to all followers, and tells how many they are.
    pub(super) fn append(&self, frame: &EncodedFrame) -> Result<usize, NotAppended> {
        let mut inner = self.inner.lock();
        if !inner.stopped.is_empty() {
            return Err(NotAppended::Stopped(std::mem::take(&mut inner.stopped)));
        }
        if inner.followers == 0 {
            let frames = inner.frames.len();
            inner.forget(frames);
            return Ok(0);
        }
        let bytes = inner.bytes + frame.wire_bytes();
        if inner.frames.len() >= self.frames_max || bytes > self.bytes_max {
            return Err(NotAppended::Full);
        }
        inner.bytes = bytes;
        inner.frames.push_back(frame.clone());
        Ok(inner.followers)
    }

    /// The places of those that have stopped, since the group looked.
    pub(super) fn take_stopped(&self) -> Vec<u32> {
        std::mem::take(&mut self.inner.lock().stopped)
    }

    /// Forgets what is before this, which all followers have.
    pub(super) fn forget_before(&self, floor: Offset) {
        let mut inner = self.inner.lock();
        let frames = inner.begin.until(floor);
        // All is forgotten already once nobody has followed.
        if frames <= inner.frames.len() {
            inner.forget(frames);
        }
    }

    /// Nobody follows any more.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock();
        debug_assert_eq!(inner.followers, 0, "each has stopped");
        let frames = inner.frames.len();
        inner.forget(frames);
        inner.stopped.clear();
    }

    // What follows is for mailboxes, under their locks.

    /// Another one follows from now on, at this place in the group's list; `None` if the group does
    /// not know yet that it had stopped before.
    pub(super) fn follow(&self, place: u32) -> Option<Offset> {
        let mut inner = self.inner.lock();
        if inner.stopped.contains(&place) {
            return None;
        }
        inner.followers += 1;
        Some(inner.end())
    }

    /// The one at this place stops, and gets what it lacks.
    pub(super) fn stop(&self, offset: Offset, place: u32, lacks: impl FnMut(&EncodedFrame)) {
        let mut inner = self.inner.lock();
        inner.since(offset).for_each(lacks);
        inner.followers -= 1;
        inner.stopped.push(place);
    }

    // What follows is for who writes.

    /// What is behind all frames.
    pub(super) fn end(&self) -> Offset {
        self.inner.lock().end()
    }
}

impl Inner {
    fn end(&self) -> Offset {
        self.begin.after(self.frames.len())
    }

    fn since(&self, offset: Offset) -> impl Iterator<Item = &EncodedFrame> {
        let known = self.begin.until(offset);
        debug_assert!(known <= self.frames.len(), "a follower lacks what was forgotten");
        self.frames.range(known.min(self.frames.len())..)
    }

    fn forget(&mut self, frames: usize) {
        let forgotten = self.frames.drain(..frames);
        self.bytes -= forgotten.map(|frame| frame.wire_bytes()).sum::<usize>();
        self.begin = self.begin.after(frames);
        if self.frames.is_empty() && self.frames.capacity() > FRAMES_MAX {
            self.frames = VecDeque::new();
        }
    }
}

/// What a segment keeps of its memory while nothing is said.
const JOINED_BYTES_KEPT: usize = 4 * 1024;

/// A part of a log as one run of bytes, made once for all followers that have got as far.
pub(crate) struct Segment {
    begin: Offset,
    end: Offset,
    run: Run,
    /// Of several frames, in the forms that followers write: a kernel takes one slice in less time than many.
    joined: Vec<Joined>,
}

/// All frames of a segment in one form.
struct Joined {
    form: Form,
    /// Empty until somebody writes them.
    bytes: Vec<u8>,
    compressed: Compressed,
}

impl Segment {
    pub(super) fn new(log: &Log) -> Self {
        let end = log.end();
        Self { begin: end, end, run: Run::default(), joined: Vec::new() }
    }

    /// Ends where the log does from now on.
    pub(super) fn go_on(&mut self, log: &Log) {
        let end = log.end();
        if end != self.end {
            (self.begin, self.end) = (end, end);
        }
    }

    /// Holds nothing, until somebody lacks something again.
    pub(super) fn clear(&mut self) {
        self.begin = self.end;
        self.run.refill([].into_iter());
        self.joined.truncate(1);
        if let Some(joined) = self.joined.first_mut() {
            joined.bytes.clear();
            joined.bytes.shrink_to(JOINED_BYTES_KEPT);
        }
    }

    pub(super) const fn end(&self) -> Offset {
        self.end
    }

    /// Becomes the part from there to where it ends; tells whether there is one.
    pub(super) fn begin_at(&mut self, offset: Offset, log: &Log) -> bool {
        if offset == self.end {
            return false;
        }
        if offset != self.begin {
            let inner = log.inner.lock();
            self.run.refill(inner.since(offset).take(offset.until(self.end)));
            drop(inner);
            self.begin = offset;
            self.joined.iter_mut().for_each(|joined| joined.bytes.clear());
        }
        true
    }

    /// Makes what is to be written in this form, unless it is made.
    pub(super) fn join(&mut self, form: Form) {
        if self.run.len() < 2 {
            return;
        }
        let place = self.joined.iter().position(|joined| joined.form == form);
        let place = place.unwrap_or_else(|| {
            let compressed = Compressed::default();
            self.joined.push(Joined { form, bytes: Vec::new(), compressed });
            self.joined.len() - 1
        });
        let joined = &mut self.joined[place];
        if joined.bytes.is_empty() {
            self.run.chunks(form).for_each(|chunk| joined.bytes.extend_from_slice(chunk));
            joined.compressed = self.run.compressed(form);
        }
    }

    pub(super) const fn run(&self) -> &Run {
        &self.run
    }

    /// What is to be written in a form in which it was [joined](Self::join).
    pub(super) fn bytes(&self, form: Form) -> &[u8] {
        match self.made(form) {
            Some(joined) => &joined.bytes,
            None => self.run.chunks(form).next().unwrap_or_default(),
        }
    }

    /// What of that goes compressed.
    pub(super) fn compressed(&self, form: Form) -> Compressed {
        self.made(form).map_or_else(|| self.run.compressed(form), |joined| joined.compressed)
    }

    fn made(&self, form: Form) -> Option<&Joined> {
        self.joined.iter().find(|joined| joined.form == form && !joined.bytes.is_empty())
    }
}
