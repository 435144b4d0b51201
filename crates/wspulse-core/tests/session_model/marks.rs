//! The plain model of frames with keys, and of volatile ones.

use wspulse_core::outbound::OverflowPolicy;

use crate::coverage::Scene;
use crate::env::Env;
use crate::ledger::{Fate, Ledger};

/// What a frame is marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    pub(crate) key: Option<u8>,
    pub(crate) is_volatile: bool,
}

/// What a push does, if it is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) evicted: usize,
    pub(crate) conflated: bool,
}

impl Marks {
    pub(crate) fn any(env: &mut Env) -> Self {
        let key = env.chance(30).then(|| env.pick(b"abc"));
        Self { key, is_volatile: env.chance(15) }
    }

    pub(crate) fn is_plain(self) -> bool {
        self == Self::default()
    }
}

impl Ledger {
    /// The next number is accepted, or refused; says then whether that is for its bytes.
    pub(crate) fn push(
        &mut self,
        policy: OverflowPolicy,
        bytes: usize,
        marks: Marks,
    ) -> Result<Placed, bool> {
        if let Some(older) = self.older_of(marks) {
            return self.conflate(older, policy, bytes, marks);
        }
        let shed = if marks.is_volatile { 0 } else { self.shed(policy, bytes) };
        let (refuses, by_bytes) = self.refuses(policy, bytes);
        if refuses {
            assert_eq!(shed, 0, "nothing makes room in vain");
            return Err(by_bytes);
        }
        let evicted = if policy == OverflowPolicy::DropOldest { self.make_room(bytes) } else { 0 };
        self.accept(bytes, marks);
        Ok(Placed { evicted: shed + evicted, conflated: false })
    }

    fn conflate(
        &mut self,
        older: usize,
        policy: OverflowPolicy,
        bytes: usize,
        marks: Marks,
    ) -> Result<Placed, bool> {
        let (frames, waiting) = self.load_under(policy);
        let is_too_long =
            frames > 1 && waiting - self.pending[older].bytes + bytes > self.capacity.bytes;
        if is_too_long && policy != OverflowPolicy::DropOldest {
            Scene::RefusedInPlace.seen();
            return Err(true);
        }
        let is_passed = self.pending.iter().skip(older).any(|frame| frame.marks.key.is_none());
        let mut evicted = 0;
        if is_too_long {
            self.remove(older, Fate::Conflated);
            evicted = self.shed(policy, bytes) + self.make_room(bytes);
            self.accept(bytes, marks);
        } else if is_passed {
            Scene::ConflatedBehind.seen();
            self.remove(older, Fate::Conflated);
            self.accept(bytes, marks);
        } else {
            Scene::ConflatedInPlace.seen();
            if older == 0 && self.in_write.is_none() {
                self.losses = 0;
            }
            self.accept_in_place(older, bytes);
            self.pending[older].marks = marks;
        }
        Ok(Placed { evicted, conflated: true })
    }

    /// Volatile frames that go to make room, if that is enough or the oldest would have to go.
    fn shed(&mut self, policy: OverflowPolicy, bytes: usize) -> usize {
        let lacks = |(frames, waiting): (usize, usize), capacity: crate::ledger::Capacity| {
            frames >= capacity.frames || frames > 0 && waiting + bytes > capacity.bytes
        };
        let (frames, waiting) = self.load_under(policy);
        let volatile = self.pending.iter().skip(self.settled());
        let volatile: Vec<usize> =
            volatile.filter(|frame| frame.marks.is_volatile).map(|frame| frame.bytes).collect();
        let left = (frames - volatile.len(), waiting - volatile.iter().sum::<usize>());
        if policy != OverflowPolicy::DropOldest && lacks(left, self.capacity) {
            return 0;
        }
        let mut shed = 0;
        while lacks(self.load_under(policy), self.capacity)
            && let Some(index) = self.oldest_volatile()
        {
            Scene::VolatileMadeRoom.seen();
            self.remove(index, Fate::Dropped);
            shed += 1;
        }
        shed
    }

    /// The session is suspended: tells how many volatile frames go with its transport.
    pub(crate) fn drop_volatile(&mut self) -> usize {
        let mut dropped = 0;
        while let Some(index) = self.oldest_volatile() {
            Scene::VolatileGoneWithTransport.seen();
            self.remove(index, Fate::Dropped);
            dropped += 1;
        }
        dropped
    }

    /// A batch comes back of which so many frames are not written: those go of which there are newer
    /// ones. Tells how many.
    pub(crate) fn conflate_returned(&mut self, returned: usize) -> usize {
        let mut conflated = 0;
        for index in (self.settled()..returned).rev() {
            let key = self.pending[index].marks.key;
            let mut newer = self.pending.iter().skip(returned - conflated);
            if key.is_some() && newer.any(|frame| frame.marks.key == key) {
                Scene::ConflatedOnReturn.seen();
                self.remove(index, Fate::Conflated);
                conflated += 1;
            }
        }
        conflated
    }

    pub(crate) fn oldest_volatile(&self) -> Option<usize> {
        (self.settled()..self.pending.len()).find(|index| self.pending[*index].marks.is_volatile)
    }

    fn older_of(&self, marks: Marks) -> Option<usize> {
        let key = marks.key?;
        let mut indices = (self.settled()..self.pending.len()).rev();
        indices.find(|index| self.pending[*index].marks.key == Some(key))
    }

    /// How many of the oldest pending frames stay what they are: a writer has them, or the client
    /// has a part, or may say that it has all.
    fn settled(&self) -> usize {
        let may_be_finished = self.kept.as_ref().is_some_and(|kept| kept.begun_at_loss);
        match self.in_write {
            Some(_) => self.held(),
            None if self.is_begun() => self.held(),
            None => usize::from(may_be_finished),
        }
    }
}
