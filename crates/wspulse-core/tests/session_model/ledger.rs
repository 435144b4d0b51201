//! The plain model of a session's outbound frames: a list, and the fate of each frame.

use std::collections::VecDeque;

use wspulse_core::OutboundStats;
use wspulse_core::outbound::OverflowPolicy;

pub(crate) struct Ledger {
    capacity_frames: usize,
    /// By number: every frame has one fate, once.
    fates: Vec<Fate>,
    /// Numbers of the frames that have no fate yet, in the order of their acceptance.
    pending: VecDeque<u32>,
    /// The peer has a part of the oldest pending frame.
    begun: bool,
    in_write: bool,
    sent: u64,
    dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    Sent,
    Dropped,
}

impl Ledger {
    pub(crate) const fn new(capacity_frames: usize) -> Self {
        Self {
            capacity_frames,
            fates: Vec::new(),
            pending: VecDeque::new(),
            begun: false,
            in_write: false,
            sent: 0,
            dropped: 0,
        }
    }

    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.fates.len()).unwrap()
    }

    pub(crate) fn refuses(&self, policy: OverflowPolicy) -> bool {
        let counted = if self.in_write { self.pending.len() } else { self.droppable() };
        policy == OverflowPolicy::RejectNewest && counted >= self.capacity_frames
    }

    /// The next number is accepted.
    pub(crate) fn accept(&mut self) {
        self.pending.push_back(self.next_number());
        self.fates.push(Fate::Pending);
    }

    /// Makes room for the next number and tells how many frames that costs. During a write it
    /// shows only afterwards what must go.
    pub(crate) fn make_room(&mut self) -> usize {
        let full = !self.in_write && self.droppable() >= self.capacity_frames;
        if full {
            self.drop_oldest();
        }
        usize::from(full)
    }

    pub(crate) fn begin_write(&mut self) {
        self.in_write = true;
    }

    /// The peer has this frame whole.
    pub(crate) fn arrived(&mut self, number: u32) {
        assert_eq!(
            self.pending.pop_front(),
            Some(number),
            "frames arrive in the order of their acceptance, each once"
        );
        self.settle(number, Fate::Sent);
        self.begun = false;
    }

    pub(crate) fn end_write(&mut self, begun: bool) {
        self.in_write = false;
        self.begun = begun;
        while self.droppable() > self.capacity_frames {
            self.drop_oldest();
        }
    }

    pub(crate) fn rewind(&mut self) -> Option<u32> {
        let begun = std::mem::take(&mut self.begun);
        self.pending.front().copied().filter(|_| begun)
    }

    pub(crate) fn discard(&mut self) -> usize {
        let discarded = std::mem::take(&mut self.pending);
        for number in &discarded {
            self.settle(*number, Fate::Dropped);
        }
        self.begun = false;
        discarded.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) const fn is_in_write(&self) -> bool {
        self.in_write
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.begun
    }

    /// Compares the queue's account with the list. Not during a write, where the queue may have
    /// dropped already what here goes only afterwards.
    pub(crate) fn check(&self, stats: OutboundStats) {
        assert_eq!(stats.accepted, self.fates.len() as u64, "accepted");
        assert_eq!(stats.pending, self.pending.len() as u64, "pending");
        assert_eq!(stats.sent, self.sent, "sent");
        assert_eq!(stats.dropped, self.dropped, "dropped");
        assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.pending);
        assert!(self.pending.len() <= self.capacity_frames + 1, "bound");
    }

    fn droppable(&self) -> usize {
        self.pending.len() - usize::from(self.begun)
    }

    fn drop_oldest(&mut self) {
        let number = self.pending.remove(usize::from(self.begun)).unwrap();
        self.settle(number, Fate::Dropped);
    }

    fn settle(&mut self, number: u32, fate: Fate) {
        let known = &mut self.fates[number as usize];
        assert_eq!(*known, Fate::Pending, "frame {number} has one fate");
        *known = fate;
        match fate {
            Fate::Pending => unreachable!("no fate is pending"),
            Fate::Sent => self.sent += 1,
            Fate::Dropped => self.dropped += 1,
        }
    }
}
