//! Frames into the queue, and out of it as far as the socket takes them.

use std::io::IoSlice;

use wspulse_core::outbound::{
    Batch, OverflowPolicy, PingPayload, QueueFull, SLICES_MAX, advance, gather,
};
use wspulse_core::session::Taken;
use wspulse_core::{Disconnect, EncodedFrame};

use crate::asking::Peer;

use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;
use crate::marks::{Marks, Placed};
use crate::socket::{data_frame, number_in};

impl Driver {
    /// A producer's frame, as long as the connection has not ended.
    pub(crate) fn push(&mut self, policy: OverflowPolicy, filling_bytes: usize, marks: Marks) {
        if self.told.gap {
            return;
        }
        let policy = if marks.is_volatile { OverflowPolicy::GiveWay } else { policy };
        if marks.is_volatile && self.session.is_suspended() {
            self.drop_newest();
            return;
        }
        let frame = data_frame(self.ledger.next_number(), filling_bytes, marks);
        let bytes = frame.wire_bytes();
        let was_empty = self.queue.is_empty();
        let pushed = if marks.is_plain() {
            self.queue.push(frame, policy).map(|pushed| {
                assert_eq!(pushed.was_empty, was_empty);
                Placed { evicted: pushed.evicted, conflated: false }
            })
        } else {
            self.queue
                .push_marked(frame, policy)
                .map(|pushed| Placed { evicted: pushed.evicted, conflated: pushed.conflated })
        };
        let begun = self.ledger.is_begun();
        let expected = self.ledger.push(policy, bytes, marks);
        assert_eq!(pushed.is_err(), expected.is_err(), "refusals");
        let Placed { evicted, .. } = match pushed {
            Ok(pushed) => {
                assert_eq!(Ok(pushed), expected, "evictions, and what a key replaces");
                pushed
            }
            Err(full) => {
                let by_bytes = matches!(full, QueueFull::Bytes { .. });
                assert_eq!(Err(by_bytes), expected, "the bound is told");
                Scene::Refused.seen_if(!by_bytes);
                Scene::RefusedForBytes.seen_if(by_bytes);
                if policy == OverflowPolicy::RejectBeyondWaiting {
                    self.lose_newest();
                } else if marks.is_volatile {
                    self.drop_newest();
                }
                return;
            }
        };
        Scene::Evicted.seen_if(evicted > 0);
        Scene::EvictedForBytes.seen_if(evicted > 1);
        Scene::EvictedBehindHalfWritten.seen_if(evicted > 0 && begun);
        self.woken |= was_empty || (self.ledger.kept.is_some() && self.queue.is_writable());
        self.ledger.check(self.queue.stats());
    }

    /// There is nobody to give a broadcast back to: it is lost, and nothing may follow it.
    fn lose_newest(&mut self) {
        Scene::GapForWantOfRoom.seen();
        self.drop_newest();
        self.told.gap = true;
        self.asked.push(Disconnect::FramesLost);
    }

    fn drop_newest(&mut self) {
        self.queue.drop_newest();
        self.ledger.accept_and_drop();
        self.ledger.check(self.queue.stats());
    }

    /// The session waits for its client: volatile frames do not.
    pub(crate) fn drop_volatile(&mut self) {
        assert_eq!(self.queue.drop_volatile(), self.ledger.drop_volatile());
        self.ledger.check(self.queue.stats());
    }

    /// Writes until nothing is left that may be written, or the socket is full.
    pub(crate) fn write(&mut self, env: &mut Env) {
        self.woken = false;
        let mut taken_frames = 0;
        loop {
            // The queue is looked at only if there is something in it that may be written.
            let may_write = self.may_write();
            let batch = if may_write { self.queue.take() } else { Batch::default() };
            let link = self.current.as_mut().expect("a transport to write to");
            if batch.is_empty() && link.lane.is_empty() {
                if may_write && self.session.asks() && self.relieve_window(env) {
                    continue;
                }
                return self.flushed();
            }
            if may_write {
                self.ledger.begin_write(batch.len());
            }
            self.ask_if_much_is_on_its_way(env);
            self.push_meanwhile(env);
            let (is_blocked, frames) = self.write_batch(batch, may_write, env);
            taken_frames += frames;
            let link = self.current.as_mut().expect("a transport to write to");
            if is_blocked {
                link.blocked = true;
                if taken_frames > 0 || link.blocked_since.is_none() {
                    link.blocked_since = Some(env.now);
                }
                let taken = Taken { frames: taken_frames, ..Taken::default() };
                return self.session.handle_write_blocked(taken, env.now);
            }
            let is_owed = !link.lane.is_empty();
            if !is_owed && !self.may_write() {
                return self.flushed();
            }
        }
    }

    /// Whether there is a frame to be written. Once the end is posted, none waits for an
    /// acknowledgement any more.
    fn may_write(&self) -> bool {
        self.queue.is_writable() || (self.ended && self.queue.has_waiting())
    }

    fn flushed(&mut self) {
        if let Some(link) = &mut self.current {
            link.blocked_since = None;
        }
        self.told.flushed = self.told.end.is_some();
        self.session.handle_flushed();
    }

    /// The question goes in front of what follows.
    fn ask_if_much_is_on_its_way(&mut self, env: &Env) {
        let wants = self.asking.is_some_and(|asking| asking.wants_to());
        assert_eq!(self.session.wants_to_ask(), wants, "asks when much is on its way");
        let Some(link) = self.current.as_mut().filter(|_| wants) else { return };
        let number = self.queue.written_to_transport();
        if self.session.exchanges() {
            link.lane.queue_ask();
        } else if let Some(nonce) = link.nonce {
            link.lane.queue_ping(question(nonce, number));
            link.pings_sent += 1;
        } else {
            return;
        }
        Scene::AskedAmidMuch.seen();
        self.note_asked(number, env);
    }

    /// Producers do not wait for the writer.
    fn push_meanwhile(&mut self, env: &mut Env) {
        if self.ended || !env.chance(15) {
            return;
        }
        let policies = match &self.ledger.kept {
            None => [OverflowPolicy::DropOldest, OverflowPolicy::RejectNewest],
            Some(_) => [OverflowPolicy::RejectBeyondWaiting, OverflowPolicy::RejectNewest],
        };
        for _ in 0..env.up_to(self.queue.capacity_frames() + 1) {
            let policy = env.pick(&policies);
            self.push(policy, 0, Marks::any(env));
        }
    }

    /// Tells whether the socket took less than there was, and how many frames it took whole.
    fn write_batch(&mut self, mut batch: Batch, was_taken: bool, env: &mut Env) -> (bool, usize) {
        let link = self.current.as_mut().expect("a transport to write to");
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = gather(&mut link.lane, &batch, &mut slices);
        let (taken, offered) = link.socket.write(&slices[..filled], env);
        let mut sent = Vec::new();
        advance(&mut link.lane, &mut batch, taken, |frame: &EncodedFrame| {
            sent.push(number_in(frame.payload()));
        });
        let arrived = link.socket.peer.take_arrived();
        assert_eq!(sent, arrived, "sent is what the peer has whole");
        let begun = link.socket.peer.begun_data_bytes();
        assert!(begun == 0 || !link.lane.is_started());
        for frame in arrived {
            self.ledger.arrived(frame);
        }
        if !sent.is_empty() {
            self.session.handle_written(sent.len(), taken, || env.now);
        }
        if let Some(asking) = &mut self.asking
            && self.told.end.is_none()
        {
            asking.written(sent.len(), taken, env.now);
        }
        if was_taken {
            let returned = self.queue.give_back(batch);
            Scene::EvictedAfterWrite.seen_if(returned.evicted > 0);
            let gone = (returned.evicted as usize, returned.conflated as usize);
            assert_eq!(gone, self.ledger.end_write(begun > 0), "who goes after a write");
        }
        self.ledger.check(self.queue.stats());
        (taken < offered, sent.len())
    }

    /// Nothing may be written now. Tells whether that has changed.
    fn relieve_window(&mut self, env: &Env) -> bool {
        if !self.queue.has_waiting() {
            return false;
        }
        let peer = self.asking.map(|asking| asking.peer);
        let may_presume = self.told.end.is_some() || peer.is_none_or(|peer| peer == Peer::Silent);
        assert_eq!(self.session.may_presume(), may_presume, "an answer is waited for");
        let may_ask = self.asking.is_some_and(|asking| asking.may());
        assert_eq!(self.session.may_ask(), may_ask, "one question at a time");
        if may_presume {
            Scene::PresumedForRoom.seen();
            self.presume(u64::MAX);
            self.session.handle_presumed();
            return true;
        }
        if may_ask {
            Scene::AskedForRoom.seen();
            self.queue_ping(env);
            return true;
        }
        Scene::Stalled.seen();
        self.queue.stall();
        false
    }

    /// What was written up to this frame is taken for arrived.
    pub(crate) fn presume(&mut self, number: u64) {
        let Some(kept) = &mut self.ledger.kept else { return };
        let freed = self.queue.presume(number);
        assert_eq!(freed.frames, kept.presume(number));
        self.client.excuse(kept.forgotten().into());
        self.ledger.check(self.queue.stats());
    }

    /// Owes the peer a Ping, which asks how far it has got if anything is kept.
    pub(crate) fn queue_ping(&mut self, env: &Env) {
        let number = self.queue.written_to_transport();
        let Some(link) = &mut self.current else { return };
        self.woken = true;
        if self.session.exchanges() {
            link.lane.queue_ping(PingPayload::Empty);
            link.pings_sent += 1;
            if self.session.may_ask() {
                link.lane.queue_ask();
                self.note_asked(number, env);
            }
            return;
        }
        link.pings_sent += 1;
        match link.nonce {
            None => link.lane.queue_ping(PingPayload::Empty),
            Some(nonce) => {
                link.lane.queue_ping(question(nonce, number));
                self.note_asked(number, env);
            }
        }
    }

    fn note_asked(&mut self, number: u64, env: &Env) {
        self.session.handle_asked(number, env.now);
        if let Some(asking) = &mut self.asking {
            asking.asked(number, env.now);
        }
    }
}

/// A Ping's payload that names the newest frame before it.
fn question(nonce: u64, number: u64) -> PingPayload {
    let mut payload = [0; 16];
    payload[..8].copy_from_slice(&nonce.to_be_bytes());
    payload[8..].copy_from_slice(&number.to_be_bytes());
    PingPayload::Question(payload)
}
