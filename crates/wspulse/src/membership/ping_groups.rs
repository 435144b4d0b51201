//! Which connections are pinged together.
//!
//! A connection that does nothing costs its Pings. To wake its task for each, and to keep a timer for
//! it, would be half of that, and the same work for many in a row costs less than at many times. So
//! connections are in groups, each with a beat at which all of its members are pinged, and a task for
//! each runtime pings with the transports that their tasks have left.

mod pinger;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

use super::shared::ConnectionShared;
use crate::ground::ping_schedule::{Beat, Mark, PingSchedule};
use crate::ground::runtimes::Home;
use crate::ground::sync::Mutex;
use pinger::Pinger;

/// A group with so many members takes more only when there is no beat left for another one. Their
/// Pings and Pongs keep a thread busy for some ten milliseconds, in turns with all others.
const MEMBERS_MAX: usize = 1024;

/// The groups of all connections of a server, apart for each runtime: what holds the threads of one
/// is to be felt on no other.
pub(crate) struct PingGroups {
    schedule: PingSchedule,
    homes: Box<[Mutex<Groups>]>,
}

#[derive(Default)]
struct Groups {
    /// By the place of their beat in an interval. None is empty, but in the beat itself.
    by_place: BTreeMap<u64, Group>,
    /// The newest beat whose turn has come: nobody joins for it any more.
    reached: Option<Beat>,
    pinger: PingerState,
    /// Where that is. Two runtimes may have one number, and one of them may be driven now and then.
    runtime: Option<Id>,
}

struct Group {
    /// The next one, or the one whose turn it is.
    beat: Beat,
    members: Slab<Member>,
}

struct Member {
    connection: Arc<ConnectionShared>,
    /// The first beat at which it is pinged.
    first: Beat,
}

/// The task that pings.
#[derive(Default)]
enum PingerState {
    #[default]
    None,
    Runs,
    /// Until this beat, unless it is woken.
    Waits(Beat, Waker),
}

/// A connection's place in a group. Its task keeps it, and gives it back.
#[derive(Debug)]
pub(crate) struct PingPlace {
    beat: Beat,
    /// That of the beat.
    at: Instant,
    index: u32,
    /// It was the group's turn, and the task must ping by itself.
    pub(crate) is_due: bool,
    /// Others may ping, as nothing else is due before the beat after that.
    pub(crate) may_be_pinged: bool,
}

impl PingGroups {
    pub(crate) fn new(schedule: PingSchedule) -> Self {
        Self { schedule, homes: (0..Home::COUNT).map(|_| Mutex::default()).collect() }
    }

    pub(crate) const fn schedule(&self) -> &PingSchedule {
        &self.schedule
    }

    /// Finds a place for a connection whose Ping is due then, to be asked for by its task. None if
    /// Pings are not shared, or if all beats for it are over: who came to a beat that was long ago
    /// would take that for another stop.
    pub(crate) fn join(
        &self,
        connection: &Arc<ConnectionShared>,
        due: Instant,
    ) -> Option<PingPlace> {
        // A model of threads has no clock.
        let is_shared = self.schedule.is_shared() && Instant::now() <= self.schedule.latest(due);
        if !is_shared || cfg!(all(test, shuttle)) {
            return None;
        }
        let runtime = Handle::try_current().ok()?.id();
        let home = connection.mailbox.home();
        let mut groups = self.homes[home.index()].lock();
        if matches!(groups.pinger, PingerState::None) {
            groups.runtime = Some(runtime);
        } else if groups.runtime != Some(runtime) {
            return None;
        }
        let beat = groups.choose(&self.schedule, due)?;
        let place = self.schedule.place(beat);
        let group =
            groups.by_place.entry(place).or_insert_with(|| Group { beat, members: Slab::new() });
        // It may have begun for a beat that is later by an interval.
        group.beat = group.beat.min(beat);
        let member = Member { connection: Arc::clone(connection), first: beat };
        let index = u32::try_from(group.members.insert(member)).ok()?;
        let must_start = groups.expect_pinger(beat);
        drop(groups);
        if must_start {
            Pinger::start(&connection.server, home);
        }
        let at = self.schedule.at(beat);
        Some(PingPlace { beat, at, index, is_due: false, may_be_pinged: false })
    }

    /// Gives a place back, if there still is one.
    pub(crate) fn leave(&self, connection: &Arc<ConnectionShared>, left: &PingPlace) {
        let mut groups = self.homes[connection.mailbox.home().index()].lock();
        let place = self.schedule.place(left.beat);
        let Some(group) = groups.by_place.get_mut(&place) else { return };
        let index = left.index as usize;
        // After the end of a pinger it may be another one's.
        if group.members.get(index).is_none_or(|it| !Arc::ptr_eq(&it.connection, connection)) {
            return;
        }
        group.members.remove(index);
        if group.members.is_empty() {
            groups.by_place.remove(&place);
        }
        if groups.by_place.is_empty() {
            groups.pinger.wake();
        }
    }
}

impl PingPlace {
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }

    /// Somebody else has pinged at its beat, and will look after it at the next.
    pub(crate) fn handle_pinged(&mut self, schedule: &PingSchedule) {
        self.beat = schedule.next(self.beat);
        self.at += schedule.interval();
    }

    /// The beat at which others may ping.
    pub(crate) fn open_to_others(&self) -> Option<Mark> {
        (self.may_be_pinged && !self.is_due).then(|| self.beat.mark())
    }
}

impl Groups {
    /// The fullest group that has room; else a new one, as late as may be, so that as many as may be
    /// find it; else the smallest.
    fn choose(&self, schedule: &PingSchedule, due: Instant) -> Option<Beat> {
        let (mut fullest, mut free, mut smallest) = (None, None, None);
        for beat in schedule.beats(due).filter(|beat| Some(*beat) > self.reached) {
            match self.by_place.get(&schedule.place(beat)).map(|group| group.members.len()) {
                None => free = Some(beat),
                Some(members) if members < MEMBERS_MAX => {
                    if fullest.is_none_or(|(most, _)| members >= most) {
                        fullest = Some((members, beat));
                    }
                }
                Some(members) => {
                    if smallest.is_none_or(|(fewest, _)| members < fewest) {
                        smallest = Some((members, beat));
                    }
                }
            }
        }
        let beat_of = |found: Option<(usize, Beat)>| found.map(|(_, beat)| beat);
        beat_of(fullest).or(free).or_else(|| beat_of(smallest))
    }

    /// Somebody is to be pinged at this beat. Tells whether a task for it must be started.
    fn expect_pinger(&mut self, beat: Beat) -> bool {
        match &self.pinger {
            PingerState::None => {
                self.pinger = PingerState::Runs;
                return true;
            }
            PingerState::Waits(until, _) if beat < *until => self.pinger.wake(),
            PingerState::Waits(..) | PingerState::Runs => {}
        }
        false
    }
}

impl PingerState {
    fn wake(&mut self) {
        if let Self::Waits(_, waker) = self {
            waker.wake_by_ref();
        }
    }
}
