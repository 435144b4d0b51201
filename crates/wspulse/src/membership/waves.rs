//! Writing for the members of a large room, some at a time.
//!
//! Were a broadcast to write to ten thousand members at once, then whatever else the server has to
//! do would wait for ten thousand writes: a Pong, another room, and also the next message to this
//! very room, which could have shared their writes. So a large room has a task that writes for a
//! wave of members, lets everybody else have their turn, and goes on. Those whose turn is still to
//! come when the next broadcast comes get both in one system call. Who is awake, or whose socket
//! takes nothing, writes on its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::group::{Group, Inner};
use super::log::{Log, Segment};
use super::shared::ConnectionShared;
use super::writing::Visited;
use crate::ground::runtimes::Home;
use crate::ground::yielding::Yielding;

/// To how many members one wave writes; a room with no more has none. Half as many as the tasks that
/// tokio runs (61) before it looks for what the network has brought. A model of threads has few of them.
pub(super) const WAVE_MEMBERS: usize = if cfg!(all(test, shuttle)) { 1 } else { 32 };

/// How many members one wave looks at, if nothing waits for most of them.
const VISITS_MAX: usize = 8 * WAVE_MEMBERS;

/// How long the rest of a room waits for a thread on which its waves have given way to others.
const HELD_MAX: Duration = Duration::from_millis(20);

/// Which members are still to be looked after.
#[derive(Default)]
pub(super) struct Waves {
    /// The runtime that they run on, if they do. They serve its members alone: others are not to
    /// wait for its threads.
    home: Option<Home>,
    /// Whom the next wave starts with.
    cursor: usize,
    /// How many members from there on, around the end of the list, have not been looked at since
    /// the last broadcast.
    remaining: usize,
    waker: Option<Waker>,
}

impl Waves {
    /// Whether [`RunningWaves`] must be made now, since there are none and the room has become
    /// large.
    pub(super) fn must_start(&mut self, members: usize, home: Home) -> bool {
        let must_start = self.home.is_none() && members > WAVE_MEMBERS;
        if must_start {
            self.home = Some(home);
        }
        must_start
    }

    /// Whose members a broadcast leaves to the waves.
    pub(super) const fn home(&self) -> Option<Home> {
        self.home
    }

    /// All members are to be looked after.
    pub(super) fn begin(&mut self, members: usize) {
        self.remaining = members;
        self.wake();
    }

    /// The list has changed: a member may have moved over the cursor, in either direction.
    pub(super) fn resize(&mut self, members: usize) {
        if self.remaining > 0 {
            self.remaining = members;
        }
        if self.cursor >= members {
            self.cursor = 0;
        }
        if members == 0 {
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The waves of a room, from the decision that it has some: broadcasts rely on them. They may be
/// dropped before their end, or before they have begun, because their runtime is shut down while
/// others still serve members. From then on broadcasts wake the members, and those that wait are
/// woken at once.
#[must_use = "a large room's broadcasts reach nobody until its waves run"]
pub(crate) struct RunningWaves(Arc<Group>);

/// What one wave has in hand.
struct Wave {
    home: Home,
    members: Vec<Arc<ConnectionShared>>,
    /// Those of them that may follow the log from now on.
    to_follow: Vec<Arc<ConnectionShared>>,
    followed: Option<Followed>,
}

/// Of whom a wave has taken note.
struct TakenDown {
    /// The last one of the list is among them.
    ends_round: bool,
    /// Nobody else is to be looked after.
    are_last: bool,
}

/// The group's log, and what its followers lack of it.
struct Followed {
    log: Arc<Log>,
    segment: Segment,
}

impl RunningWaves {
    pub(super) const fn new(members: Arc<Group>) -> Self {
        Self(members)
    }

    /// Serves members in waves until the room is empty.
    pub(crate) async fn run(self) {
        let mut yielding = Yielding::default();
        let mut wave = Wave {
            home: Home::current(),
            members: Vec::with_capacity(WAVE_MEMBERS),
            to_follow: Vec::new(),
            followed: self.0.followed(),
        };
        while self.0.next_wave().await {
            self.0.write_wave(&mut wave);
            yielding.give_way(Instant::now() + HELD_MAX).await;
        }
    }
}

impl Group {
    /// Waits for members to be looked after; false if there are no members any more.
    async fn next_wave(&self) -> bool {
        poll_fn(|cx| {
            let inner = &mut *self.inner.lock();
            if inner.list.is_empty() {
                return Poll::Ready(false);
            }
            if inner.waves.remaining > 0 {
                return Poll::Ready(true);
            }
            if let Some(followers) = &mut inner.followers {
                followers.rest();
            }
            inner.waves.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn followed(&self) -> Option<Followed> {
        let inner = self.inner.lock();
        let log = Arc::clone(inner.followers.as_ref()?.log());
        Some(Followed { segment: Segment::new(&log), log })
    }

    /// Writes to the next members for whom something waits; or wakes those who must do it
    /// themselves, such as those of other runtimes.
    fn write_wave(self: &Arc<Self>, wave: &mut Wave) {
        let Wave { home, members, to_follow, followed } = wave;
        let (mut served, mut visits) = (0, 0);
        while served < WAVE_MEMBERS && visits < VISITS_MAX {
            let taken_down = self.inner.lock().next_members(WAVE_MEMBERS - served, members);
            // After that: what they are looked after for is in the segment.
            if let Some(Followed { log, segment }) = followed {
                segment.go_on(log);
            }
            if members.is_empty() {
                return;
            }
            visits += members.len();
            for member in members.iter() {
                if member.mailbox.home() != *home {
                    served += usize::from(member.mailbox.wake_for_frames());
                    continue;
                }
                let visited = match followed {
                    Some(Followed { log, segment }) => member.write_segment(log, segment),
                    None => Visited::Apart { is_served: member.write_or_wake() },
                };
                served += usize::from(visited.is_served());
                if followed.is_some() && visited == (Visited::Apart { is_served: true }) {
                    to_follow.push(Arc::clone(member));
                }
            }
            let must_tell = taken_down.ends_round || !to_follow.is_empty();
            if must_tell
                && let Some(Followed { segment, .. }) = followed
                && let Some(followers) = &mut self.inner.lock().followers
            {
                followers.add(self, to_follow);
                if taken_down.ends_round {
                    followers.begin_round(segment.end());
                }
            }
            // With the last of a connection goes the application's data, which may do anything.
            to_follow.clear();
            members.clear();
            if taken_down.are_last {
                if let Some(Followed { segment, .. }) = followed {
                    segment.clear();
                }
                return;
            }
        }
    }
}

impl Inner {
    /// Wakes the next so many members that are to be woken.
    pub(super) fn wake_members(&mut self, woken_max: usize) {
        let Waves { cursor, remaining, .. } = &mut self.waves;
        let (mut woken, mut visits) = (0, 0);
        while *remaining > 0
            && woken < woken_max
            && visits < VISITS_MAX
            && let Some(member) = self.list.get(*cursor)
        {
            woken += usize::from(member.mailbox.wake_for_frames());
            visits += 1;
            *remaining -= 1;
            *cursor = if *cursor + 1 == self.list.len() { 0 } else { *cursor + 1 };
        }
    }
}

impl Inner {
    /// Takes down the next members that are to be looked at, so many at the most.
    fn next_members(
        &mut self,
        members_max: usize,
        members: &mut Vec<Arc<ConnectionShared>>,
    ) -> TakenDown {
        let Waves { cursor, remaining, .. } = &mut self.waves;
        let mut ends_round = false;
        while *remaining > 0
            && members.len() < members_max
            && let Some(member) = self.list.get(*cursor)
        {
            members.push(Arc::clone(member));
            *remaining -= 1;
            *cursor += 1;
            if *cursor == self.list.len() {
                *cursor = 0;
                ends_round = true;
            }
        }
        TakenDown { ends_round, are_last: *remaining == 0 }
    }
}

impl Drop for RunningWaves {
    fn drop(&mut self) {
        let inner = &mut *self.0.inner.lock();
        inner.waves = Waves::default();
        for member in &inner.list {
            // What it lacks of the log is in its queue with that.
            member.mailbox.wake_for_frames();
        }
        inner.followers = None;
    }
}
