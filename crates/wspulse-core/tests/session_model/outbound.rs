//! Frames into the queue, and out of it as far as the socket takes them.

use std::io::IoSlice;

use wspulse_core::outbound::{OverflowPolicy, QueueFull, SLICES_MAX, advance, gather};
use wspulse_core::session::Taken;

use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;
use crate::socket::{data_frame, number_in};

impl Driver {
    /// A producer's frame, as long as the connection has not ended.
    pub(crate) fn push(&mut self, policy: OverflowPolicy, filling_bytes: usize) {
        let frame = data_frame(self.ledger.next_number(), filling_bytes);
        let bytes = frame.wire_bytes();
        let was_empty = self.queue.is_empty();
        let pushed = self.queue.push(frame, policy);
        let (refuses, by_bytes) = self.ledger.refuses(policy, bytes);
        assert_eq!(pushed.is_err(), refuses, "refusals");
        let pushed = match pushed {
            Ok(pushed) => pushed,
            Err(full) => {
                assert_eq!(matches!(full, QueueFull::Bytes { .. }), by_bytes, "the bound is told");
                Scene::Refused.seen_if(!by_bytes);
                Scene::RefusedForBytes.seen_if(by_bytes);
                return;
            }
        };
        let begun = self.ledger.is_begun();
        let evicted = self.ledger.make_room(bytes);
        Scene::Evicted.seen_if(evicted > 0);
        Scene::EvictedForBytes.seen_if(evicted > 1);
        Scene::EvictedBehindHalfWritten.seen_if(evicted > 0 && begun);
        self.ledger.accept(bytes);
        assert_eq!(pushed.was_empty, was_empty);
        self.woken |= was_empty;
        assert_eq!(pushed.evicted, evicted, "evictions");
        self.ledger.check(self.queue.stats());
    }

    /// Writes until nothing is left or the socket is full.
    pub(crate) fn write(&mut self, env: &mut Env) {
        self.woken = false;
        let mut took_frame = false;
        loop {
            let (taken, offered, frames) = self.write_once(env);
            took_frame |= frames > 0;
            let link = self.current.as_mut().expect("a transport to write to");
            if taken < offered {
                link.blocked = true;
                if took_frame || link.blocked_since.is_none() {
                    link.blocked_since = Some(env.now);
                }
                self.session.handle_write_blocked(
                    Taken { frames: usize::from(took_frame), bytes: 0, ..Taken::default() },
                    env.now,
                );
                return;
            }
            if self.queue.is_empty() && link.lane.is_empty() {
                link.blocked_since = None;
                self.told.flushed = self.told.end.is_some();
                self.session.handle_flushed();
                return;
            }
        }
    }

    fn write_once(&mut self, env: &mut Env) -> (usize, usize, usize) {
        let mut batch = self.queue.take();
        self.ledger.begin_write();
        // Producers do not wait for the writer.
        if !self.ended && env.chance(15) {
            for _ in 0..env.up_to(self.queue.capacity_frames() + 1) {
                let policy = env.pick(&[OverflowPolicy::DropOldest, OverflowPolicy::RejectNewest]);
                self.push(policy, 0);
            }
        }
        let link = self.current.as_mut().expect("a transport to write to");
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = gather(&mut link.lane, &batch, &mut slices);
        let (taken, offered) = link.socket.write(&slices[..filled], env);
        let mut sent = Vec::new();
        advance(&mut link.lane, &mut batch, taken, |frame| {
            sent.push(number_in(frame.payload()));
        });
        let arrived = link.socket.peer.take_arrived();
        assert_eq!(sent, arrived, "sent is what the peer has whole");
        let begun = link.socket.peer.begun_data_bytes();
        assert!(begun == 0 || !link.lane.is_started());
        for frame in arrived {
            self.ledger.arrived(frame);
        }
        let evicted = self.queue.give_back(batch);
        Scene::EvictedAfterWrite.seen_if(evicted > 0);
        assert_eq!(evicted, self.ledger.end_write(begun > 0), "evictions after a write");
        self.ledger.check(self.queue.stats());
        (taken, offered, sent.len())
    }
}
