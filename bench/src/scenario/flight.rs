//! The messages of one room that are under way, and how long its members wait for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A room's members get its messages in one order, so that a member's count tells which one it has
/// got. A delivery costs two additions and two comparisons; the clock is read twice for a message,
/// whatever the number of members.
pub(super) struct Flight {
    /// For each member, how many messages it has got.
    got: Vec<u64>,
    /// The members that have a message when half of them have.
    half: usize,
    /// In the order in which they were published, which is that in which they complete.
    under_way: VecDeque<Message>,
    pub(super) deliveries: u64,
    pub(super) completed: u64,
    /// Deliveries of what was never published.
    surplus: u64,
    waits: Waits,
}

struct Message {
    published_at: Instant,
    holders: usize,
    /// How long it took until half of the members had it, if they have.
    half_after: Option<Duration>,
}

/// How long the middle and the last member waited, over all messages.
#[derive(Clone, Copy, Default)]
struct Waits {
    messages: u32,
    middle: Duration,
    last: Duration,
}

impl Flight {
    pub(super) fn new(members: usize) -> Self {
        Self {
            got: vec![0; members],
            half: members.div_ceil(2),
            under_way: VecDeque::new(),
            deliveries: 0,
            completed: 0,
            surplus: 0,
            waits: Waits::default(),
        }
    }

    /// A message is on its way to all members.
    pub(super) fn publish(&mut self, published_at: Instant) {
        self.under_way.push_back(Message { published_at, holders: 0, half_after: None });
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// A member has got its next message.
    #[inline]
    pub(super) fn deliver(&mut self, member: usize, clock: impl Fn() -> Instant) {
        // What is complete, all members have got: this one's count is not below.
        let ahead = self.got[member] - self.completed;
        let Some(message) = self.under_way.get_mut(ahead as usize) else {
            self.surplus += 1;
            return;
        };
        self.got[member] += 1;
        self.deliveries += 1;
        message.holders += 1;
        if message.holders == self.half {
            message.half_after = Some(clock() - message.published_at);
        }
        if message.holders == self.got.len() {
            self.complete(clock());
        }
    }

    /// A server that delivers more than was published has no figures to show.
    pub(super) fn verify(&self) -> Result<(), String> {
        match self.surplus {
            0 => Ok(()),
            surplus => Err(format!("{surplus} deliveries beyond the messages that were published")),
        }
    }

    /// Waits count from now on. A message that is under way has been since it was published.
    pub(super) fn restart(&mut self) {
        self.waits = Waits::default();
    }

    /// How many times longer the last member waits for a message than the middle one.
    ///
    /// Counts of messages, as [`Shares`](super::fairness::Shares) has them, would tell nothing here:
    /// the next message waits for the slowest member, so that no count is ever more than a window
    /// ahead of another. A member that is served late shows in how long everybody waits for it. Of
    /// all members the last one counts, not the 99th of 100: one that starves is to be seen.
    ///
    /// What is still under way for longer than the mean counts as having taken until now: else a
    /// member that got nothing would not be seen. Without a message that half of the members have,
    /// there is nothing to tell, and the ratio is not a number.
    pub(super) fn fairness(&self, now: Instant) -> f64 {
        let mut waits = self.waits;
        let mean = waits.last.checked_div(waits.messages).unwrap_or_default();
        for message in &self.under_way {
            let so_far = now - message.published_at;
            if let Some(half_after) = message.half_after
                && so_far > mean
            {
                waits.add(half_after, so_far);
            }
        }
        waits.last.as_secs_f64() / waits.middle.as_secs_f64()
    }

    /// The oldest message has come to its last member.
    #[cold]
    fn complete(&mut self, now: Instant) {
        let Some(message) = self.under_way.pop_front() else { return };
        let last = now - message.published_at;
        self.waits.add(message.half_after.unwrap_or(last), last);
        self.completed += 1;
    }
}

impl Waits {
    fn add(&mut self, middle: Duration, last: Duration) {
        self.messages += 1;
        self.middle += middle;
        self.last += last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room of four whose messages come when a test says, in milliseconds.
    struct Room {
        flight: Flight,
        start: Instant,
    }

    impl Room {
        fn new() -> Self {
            Self { flight: Flight::new(4), start: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn publish(&mut self, millis: u64) {
            self.flight.publish(self.at(millis));
        }

        fn deliver(&mut self, member: usize, millis: u64) {
            let now = self.at(millis);
            self.flight.deliver(member, || now);
        }

        fn assert_fairness(&self, millis: u64, expected: f64) {
            let fairness = self.flight.fairness(self.at(millis));
            assert!((fairness - expected).abs() < 1e-9, "{fairness} is not {expected}");
        }
    }

    #[test]
    fn a_message_completes_with_its_last_member() {
        let mut room = Room::new();
        room.publish(0);
        room.publish(0);
        for member in [0, 0, 1, 2, 2] {
            room.deliver(member, 1);
        }
        assert_eq!((room.flight.completed, room.flight.under_way()), (0, 2));

        room.deliver(3, 1);
        assert_eq!((room.flight.completed, room.flight.under_way()), (1, 1));

        room.deliver(3, 1);
        room.deliver(1, 1);
        assert_eq!((room.flight.completed, room.flight.under_way()), (2, 0));
        assert_eq!(room.flight.deliveries, 8);
    }

    #[test]
    fn the_last_member_is_held_against_the_middle_one() {
        let mut room = Room::new();
        room.publish(10);
        for (member, millis) in [(2, 11), (0, 14), (1, 15), (3, 20)] {
            room.deliver(member, millis);
        }

        room.assert_fairness(99, 2.5);
    }

    #[test]
    fn waits_of_all_messages_are_added_up() {
        let mut room = Room::new();
        for (published, middle, last) in [(0, 2, 4), (10, 12, 18)] {
            room.publish(published);
            for (member, millis) in [(0, middle), (1, middle), (2, last), (3, last)] {
                room.deliver(member, millis);
            }
        }

        room.assert_fairness(99, 3.0);
    }

    #[test]
    fn a_member_that_gets_nothing_more_is_seen() {
        let mut room = Room::new();
        room.publish(0);
        for member in 0..4 {
            room.deliver(member, 5);
        }
        room.publish(10);
        for member in 0..3 {
            room.deliver(member, 15);
        }

        // What has been under way for no longer than the mean may still turn out even.
        room.assert_fairness(15, 1.0);
        room.assert_fairness(105, 10.0);
    }

    #[test]
    fn where_no_message_has_come_to_half_there_is_no_figure() {
        let mut room = Room::new();
        room.publish(0);
        room.deliver(0, 1);

        assert!(room.flight.fairness(room.at(9)).is_nan());
    }

    #[test]
    fn what_came_before_a_restart_does_not_count() {
        let mut room = Room::new();
        for (published, last) in [(0, 9), (10, 12)] {
            room.flight.restart();
            room.publish(published);
            for (member, millis) in [(0, published + 1), (1, published + 1), (2, last), (3, last)] {
                room.deliver(member, millis);
            }
        }

        room.assert_fairness(99, 2.0);
    }

    #[test]
    fn what_was_never_published_is_no_delivery_but_a_fault() {
        let mut room = Room::new();
        room.publish(2);
        room.flight.verify().expect("nothing was delivered");
        for member in [0, 0, 1, 2, 3] {
            room.deliver(member, 3);
        }

        assert_eq!((room.flight.deliveries, room.flight.completed), (4, 1));
        room.flight.verify().expect_err("member 0 got two messages of one");
    }
}
