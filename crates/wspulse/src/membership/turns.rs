//! Turns at reading: under saturation nobody reads twice before everybody who waits has had a turn.
//!
//! A worker of tokio's puts what it wakes into a queue of its own, and what does not fit there into
//! one that all workers share; as long as its own queue has something, it takes one task of the
//! shared one for dozens of its own. In a saturated server a worker's own queue never runs dry:
//! a room that was just served is answered by its clients at once, and comes back into it. So some
//! rooms are served all the time, and others wait in the shared queue for seconds.
//!
//! What a server does begins with what it reads. So while tasks wait in the shared queue, a
//! connection that has read since they came waits as well, here: the workers' own queues run dry,
//! everybody who waits in the shared one has a turn, and then the next round begins.
//!
//! Each runtime has rounds of its own: its threads are what its connections wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use std::{mem, vec};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::app::server::Server;
use crate::ground::runtimes::Home;
use crate::ground::sync::Mutex;
use crate::ground::yielding::Yielding;

/// The longest that a connection waits for its next turn. A round of 5,000 busy rooms of ten takes
/// about so long. It ends a round in which the shared queue never runs dry, because an application
/// fills it from other threads.
const ROUND_MAX: Duration = Duration::from_millis(250);

/// How many connections are woken at once at the beginning of a round: half of what a worker's own
/// queue holds (256). With more, part of them would overflow into the shared queue, out of order.
const WOKEN_AT_ONCE: usize = 128;

/// The turns of all connections of a server.
#[derive(Clone)]
pub(crate) struct Turns(Arc<[Rounds]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..Home::COUNT).map(|_| Rounds::new()).collect())
    }
}

/// The rounds of one runtime's connections. Alone on their cache line, since every read looks at
/// the number.
#[repr(align(64))]
struct Rounds {
    /// It never comes around: who took an old one for it would believe to be in the list of those
    /// who wait, and would never be woken.
    round: AtomicU64,
    /// A round began with more connections than could be woken at once, or somebody waits for the
    /// next: a [`Steward`] is at work.
    has_steward: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// When a connection had its last turn, and on which runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastTurn(u64);

impl LastTurn {
    /// In the highest bit: it is in the list of those who wait for this round to end.
    const WAITS: u64 = 1 << 63;

    /// Below, in six bits, its home. No count of rounds reaches the bits from here on.
    const HOME_SHIFT: u32 = 57;

    /// The round before the first.
    const NEVER: u64 = 0;

    /// Of a connection that has had none.
    pub(crate) const fn never(home: Home) -> Self {
        Self::new(home, Self::NEVER)
    }

    const fn new(home: Home, round: u64) -> Self {
        Self((home.index() as u64) << Self::HOME_SHIFT | round)
    }

    const fn home(self) -> Home {
        Home::from_index((self.0 >> Self::HOME_SHIFT) as usize)
    }

    const fn round(self) -> u64 {
        self.0 & ((1 << Self::HOME_SHIFT) - 1)
    }

    const fn waits(self) -> bool {
        self.0 & Self::WAITS != 0
    }

    /// Lets it read out of turn, and tells whether it waited for one: nobody is to be taken for
    /// silent whom this server did not hear.
    pub(crate) fn jump_queue(&mut self) -> bool {
        let waited = self.waits();
        *self = Self::never(self.home());
        waited
    }
}

impl Turns {
    fn of(&self, home: Home) -> &Rounds {
        &self.0[home.index()]
    }

    /// Whether a connection of this server may read. If not, its task is woken when it may.
    #[inline]
    pub(crate) fn may_read(server: &Server, last: &mut LastTurn, cx: &Context<'_>) -> bool {
        let turns = server.turns();
        let rounds = turns.of(last.home());
        let round = rounds.round.load(Ordering::Relaxed);
        if last.round() != round {
            return true;
        }
        if last.waits() {
            return false;
        }
        if !rounds.has_steward.load(Ordering::Relaxed) && !tasks_wait() {
            // Somebody else may have begun it.
            let next = round + 1;
            let _ =
                rounds.round.compare_exchange(round, next, Ordering::Relaxed, Ordering::Relaxed);
            return true;
        }
        match rounds.wait(round, cx.waker()) {
            Wait::Over => return true,
            Wait::First => {
                let steward = Steward {
                    turns: turns.clone(),
                    home: last.home(),
                    woken: Vec::new().into_iter(),
                    is_done: false,
                };
                server.spawn_stealable(steward.begin_rounds());
            }
            Wait::Further => {}
        }
        last.0 |= LastTurn::WAITS;
        false
    }

    /// A connection has read something.
    pub(crate) fn take(&self, last: &mut LastTurn) {
        let home = last.home();
        *last = LastTurn::new(home, self.of(home).round.load(Ordering::Relaxed));
    }
}

impl Rounds {
    const fn new() -> Self {
        Self {
            round: AtomicU64::new(LastTurn::NEVER + 1),
            has_steward: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Has a task woken at the end of a round.
    fn wait(&self, round: u64, waker: &Waker) -> Wait {
        let mut waiting = self.waiting.lock();
        if self.round.load(Ordering::Relaxed) != round {
            return Wait::Over;
        }
        waiting.push(waker.clone());
        if self.has_steward.swap(true, Ordering::Relaxed) { Wait::Further } else { Wait::First }
    }

    /// Begins the next round, with those who have waited for it. If there are none, the steward's
    /// work is done.
    fn begin_next(&self) -> Vec<Waker> {
        let mut waiting = self.waiting.lock();
        self.round.fetch_add(1, Ordering::Relaxed);
        let woken = mem::take(&mut *waiting);
        self.has_steward.store(!woken.is_empty(), Ordering::Relaxed);
        woken
    }
}

/// What waiting for the end of a round has come to.
enum Wait {
    /// It has ended.
    Over,
    /// Nobody waited before: a steward must be started.
    First,
    Further,
}

/// Whether tasks wait in the queue that the workers of this runtime share.
fn tasks_wait() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.metrics().global_queue_depth() > 0)
}

/// Wakes those who wait, in their order, until nobody does.
struct Steward {
    turns: Turns,
    home: Home,
    /// Those whose round has begun, and who are still to be woken.
    woken: vec::IntoIter<Waker>,
    /// Nobody waits any more, or somebody else sees to it.
    is_done: bool,
}

impl Steward {
    async fn begin_rounds(mut self) {
        let mut yielding = Yielding::default();
        loop {
            let deadline = Instant::now() + ROUND_MAX;
            while self.woken.len() > 0 {
                self.woken.by_ref().take(WOKEN_AT_ONCE).for_each(Waker::wake);
                everybody_had_a_turn(&mut yielding, deadline).await;
            }
            everybody_had_a_turn(&mut yielding, deadline).await;
            let woken = self.turns.of(self.home).begin_next();
            if woken.is_empty() {
                self.is_done = true;
                return;
            }
            self.woken = woken.into_iter();
        }
    }
}

/// Waits until the queue that all share is empty.
async fn everybody_had_a_turn(yielding: &mut Yielding, deadline: Instant) {
    yielding.give_way(deadline).await;
    while tasks_wait() && Instant::now() < deadline {
        yielding.give_way(deadline).await;
    }
}

impl Drop for Steward {
    /// Its runtime may end before its work does, be it before its task was polled at all.
    fn drop(&mut self) {
        self.woken.by_ref().for_each(Waker::wake);
        while !self.is_done {
            let woken = self.turns.of(self.home).begin_next();
            self.is_done = woken.is_empty();
            woken.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use wspulse_core::Frame;

    use super::*;
    use crate::settings::connect::Admission;
    use crate::settings::options::Delivery;
    use crate::testing::TestClient;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_that_does_not_come_is_read_before_it_is_taken_for_silent() {
        let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
            .on_message(|conn, frame| drop(conn.send(frame)))
            .heartbeat(SECOND, 3 * SECOND)
            .build()
            .unwrap();
        let mut client = TestClient::connect(&server, "/").await.unwrap();
        client.send(&Frame::new("first")).await.unwrap();
        client.frame().await.unwrap();
        // As if there were a steward whose thread is held.
        server.turns().of(Home::current()).has_steward.store(true, Ordering::Relaxed);
        for _ in 0..10 {
            client.send(&Frame::new("second")).await.unwrap();
            assert_eq!(client.frame().await.unwrap().event(), "second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_is_not_read_sooner_because_it_is_to_be_asked() {
        let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
            .on_message(|conn, frame| drop(conn.send(frame)))
            .delivery(Delivery::AtLeastOnce)
            .resume_window(SECOND)
            .heartbeat(20 * SECOND, 60 * SECOND)
            .build()
            .unwrap();
        let mut client = TestClient::connect(&server, "/").await.unwrap();
        client.send(&Frame::new("first")).await.unwrap();
        client.frame().await.unwrap();
        server.turns().of(Home::current()).has_steward.store(true, Ordering::Relaxed);
        client.send(&Frame::new("in turn")).await.unwrap();
        client.frame().await.unwrap();
        client.send(&Frame::new("waits")).await.unwrap();
        let early = tokio::time::timeout(15 * SECOND, client.frame()).await;
        assert!(early.is_err(), "{early:?}");
        client.frame().await.unwrap();
    }
}
