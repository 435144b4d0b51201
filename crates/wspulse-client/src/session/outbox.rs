//! What the application has sent and the server has not handled yet: numbered, kept, bounded.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use wspulse_core::Frame;

use super::effect::{Message, Refused};

/// Frames in the order in which they were sent. The first has the number after `done`, and so on.
#[derive(Debug)]
pub(super) struct Outbox<W> {
    kept: VecDeque<Kept<W>>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    /// So many messages of this session are handled.
    done: u64,
    /// So many were written, or are known to have arrived.
    sent: u64,
    /// The last number that was written for somebody who waits.
    awaited_through: u64,
}

#[derive(Debug)]
struct Kept<W> {
    frame: Frame,
    message: Message,
    waiter: Option<W>,
}

/// A frame that is done with, and who waits for it.
type Done<W> = (Frame, Option<W>);

impl<W> Outbox<W> {
    pub(super) const fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            messages_max,
            bytes_max,
            done: 0,
            sent: 0,
            awaited_through: 0,
        }
    }

    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) const fn awaited_through(&self) -> u64 {
        self.awaited_through
    }

    /// What a server that knows this session may have received.
    pub(super) const fn countable(&self) -> RangeInclusive<u64> {
        self.done..=self.sent
    }

    pub(super) fn push(
        &mut self,
        frame: Frame,
        message: Message,
        waiter: Option<W>,
    ) -> Result<(), (Refused, Frame)> {
        let bytes = message.bytes.len();
        if bytes > self.bytes_max {
            return Err((Refused::TooLong { bytes_max: self.bytes_max as u64 }, frame));
        }
        if self.kept.len() >= self.messages_max || bytes > self.bytes_max - self.bytes {
            return Err((Refused::Full, frame));
        }
        self.bytes += bytes;
        self.kept.push_back(Kept { frame, message, waiter });
        Ok(())
    }

    /// The next message to write, which has a number from now on.
    pub(super) fn transmit(&mut self) -> Option<Message> {
        let kept = self.kept.get(index(self.sent - self.done))?;
        self.sent += 1;
        if kept.waiter.is_some() {
            self.awaited_through = self.sent;
        }
        Some(kept.message.clone())
    }

    /// Takes those up to a number that was sent.
    pub(super) fn take_through(&mut self, number: u64) -> Vec<Done<W>> {
        let count = number.min(self.sent).saturating_sub(self.done);
        self.done += count;
        self.take_first(index(count))
    }

    /// The server has received so many, and none of the others.
    pub(super) fn send_again_beyond(&mut self, received: u64) {
        self.sent = received;
        // Those who wait among the received are heard of by the next question.
        let waits = |(_, kept): &(u64, &Kept<W>)| kept.waiter.is_some();
        let numbered = (self.done + 1..=received).zip(&self.kept);
        self.awaited_through = numbered.filter(waits).last().map_or(0, |(number, _)| number);
    }

    /// Takes what was sent; the others wait for the next session, which counts from 1.
    pub(super) fn begin_anew(&mut self) -> Vec<Done<W>> {
        let taken = self.take_first(index(self.sent - self.done));
        (self.done, self.sent, self.awaited_through) = (0, 0, 0);
        taken
    }

    pub(super) fn take_all(&mut self) -> Vec<Done<W>> {
        let taken = self.take_first(self.kept.len());
        (self.done, self.sent, self.awaited_through) = (0, 0, 0);
        taken
    }

    /// Takes those that are still to be written and too long.
    pub(super) fn take_longer_than(&mut self, bytes_max: u64) -> Vec<Done<W>> {
        let mut taken = Vec::new();
        let unsent = self.kept.split_off(index(self.sent - self.done));
        for kept in unsent {
            if kept.message.bytes.len() as u64 > bytes_max {
                self.bytes -= kept.message.bytes.len();
                taken.push((kept.frame, kept.waiter));
            } else {
                self.kept.push_back(kept);
            }
        }
        taken
    }

    fn take_first(&mut self, count: usize) -> Vec<Done<W>> {
        let taken: Vec<_> = self.kept.drain(..count.min(self.kept.len())).collect();
        for kept in &taken {
            self.bytes -= kept.message.bytes.len();
        }
        taken.into_iter().map(|kept| (kept.frame, kept.waiter)).collect()
    }
}

/// A difference of numbers of kept messages, of which there are as many as there is memory for.
fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
