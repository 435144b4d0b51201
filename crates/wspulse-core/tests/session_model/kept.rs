//! The plain model of what was written and is not known to have arrived.

use std::collections::VecDeque;

use wspulse_core::OutboundStats;
use wspulse_core::outbound::Window;

/// A frame's number is here its place among all that were written, which is what a client counts.
pub(crate) struct Kept {
    window: Window,
    /// The bytes of each frame that was written whole at least once and is not forgotten.
    frames: VecDeque<usize>,
    /// So many before them are forgotten: the number of the first of them.
    forgotten: u32,
    /// So many of them were written to the current transport.
    on_transport: usize,
    acknowledged: u64,
    /// A transport was lost in the middle of the first frame that none has taken whole.
    pub(crate) begun_at_loss: bool,
}

impl Kept {
    pub(crate) const fn new(window: Window) -> Self {
        Self {
            window,
            frames: VecDeque::new(),
            forgotten: 0,
            on_transport: 0,
            acknowledged: 0,
            begun_at_loss: false,
        }
    }

    /// How many frames were written before and are to be written again.
    pub(crate) fn replaying(&self) -> usize {
        self.frames.len() - self.on_transport
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The first frame that may have to be written again.
    pub(crate) const fn forgotten(&self) -> u32 {
        self.forgotten
    }

    /// How many frames, from the session's first, the current transport has taken.
    pub(crate) fn written_to_transport(&self) -> u64 {
        u64::from(self.forgotten) + self.on_transport as u64
    }

    pub(crate) const fn window_frames(&self) -> usize {
        self.window.frames
    }

    /// A frame is taken whole once more.
    pub(crate) fn written_again(&mut self, number: u32) {
        let next = self.written_to_transport();
        assert_eq!(u64::from(number), next, "what is written again is all of it, in order");
        self.on_transport += 1;
    }

    /// A frame is taken whole for the first time.
    pub(crate) fn written(&mut self, number: u32, bytes: usize) {
        assert_eq!(u64::from(number), self.written_to_transport(), "no gap");
        let kept_bytes: usize = self.frames.iter().sum();
        let fits =
            self.frames.len() < self.window.frames && kept_bytes + bytes <= self.window.bytes;
        assert!(fits || self.frames.is_empty(), "the window is kept to");
        self.frames.push_back(bytes);
        self.on_transport += 1;
        self.begun_at_loss = false;
    }

    pub(crate) fn rewind(&mut self, begun: bool) {
        self.begun_at_loss |= begun && self.replaying() == 0;
        self.on_transport = 0;
    }

    /// The peer has so many frames. Tells how many of them are forgotten by that; `None` if the
    /// transport has not taken so many.
    pub(crate) fn acknowledge(&mut self, number: u64) -> Option<usize> {
        if number > self.written_to_transport() {
            return None;
        }
        let freed = self.forget_through(number);
        self.acknowledged += freed as u64;
        Some(freed)
    }

    pub(crate) fn presume(&mut self, number: u64) -> usize {
        self.forget_through(number.min(self.written_to_transport()))
    }

    /// Whether a client may go on behind so many frames, of which so many were written.
    pub(crate) fn may_resume_at(&self, number: u64, sent: u64) -> bool {
        let newest = sent + u64::from(self.begun_at_loss);
        (u64::from(self.forgotten)..=newest).contains(&number)
    }

    /// Forgets what the client has, all of which no transport holds any more.
    pub(crate) fn resume_at(&mut self, number: u64) {
        let freed = number - u64::from(self.forgotten);
        let old = usize::try_from(freed).unwrap().min(self.frames.len());
        self.frames.drain(..old);
        self.forgotten = u32::try_from(number).unwrap();
        self.acknowledged += freed;
    }

    pub(crate) fn discard(&mut self) {
        self.begun_at_loss = false;
        self.forgotten += u32::try_from(self.frames.len()).unwrap();
        self.frames.clear();
        self.on_transport = 0;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.frames.iter().sum()
    }

    pub(crate) fn check(&self, stats: OutboundStats) {
        assert_eq!(stats.unacknowledged, self.frames.len() as u64, "unacknowledged");
        assert_eq!(stats.acknowledged, self.acknowledged, "acknowledged");
    }

    fn forget_through(&mut self, number: u64) -> usize {
        let freed = number.saturating_sub(u64::from(self.forgotten));
        let freed = usize::try_from(freed).unwrap();
        self.frames.drain(..freed);
        self.on_transport -= freed;
        self.forgotten += u32::try_from(freed).unwrap();
        freed
    }
}
