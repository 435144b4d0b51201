//! Who is connected, and in which room: the one place where ids and rooms are decided.

mod arrival;
mod directory;
mod elsewhere;
mod farewells;
mod groups;
mod per_user;
mod phase;
mod places;
mod speaks;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;
use wspulse_core::session::Predecessor;
use wspulse_core::{CloseCode, CloseFrame, Disconnect};

use crate::cluster::speaker::Speaker;
use crate::ground::address::AddressGroup;
use crate::ground::sync::Mutex;
use crate::membership::Kind;
use crate::membership::mailbox::{End, HasEnded, Leave};
use crate::membership::shared::ConnectionShared;
use crate::membership::shared::ConnectionState;
use crate::observe::meter::{LifecycleEvent, Meter};
use crate::settings::options::ReturnRules;
use crate::settings::options::admission::AdmissionOptions;
use crate::settings::room_options::RoomSettings;
pub(crate) use arrival::{Arrival, Refused, Registered};
use directory::{Directory, Named};
pub(crate) use elsewhere::{ComesElsewhere, Fate};
use farewells::Farewells;
pub(crate) use groups::{Entrance, Groups};
use per_user::UserPlaces;
use phase::{CurrentPhase, Phase};
use places::{ENDING_PER_PLACE_MAX, Place, Places};
pub(crate) use speaks::Speaks;
use speaks::is_overtaken;

/// All connections and rooms. Its lock comes before those of a directory's shard and of a room, and
/// these before a mailbox's; no application code runs under any of them.
///
/// Whoever comes or ends takes the registry's lock. Whoever looks for a connection or a room does
/// not: a fan-out to a large room, for which others wait that come to it, holds back no message.
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    phase: CurrentPhase,
    /// Those that have not ended, by id.
    connections: Directory<ConnectionShared>,
    groups: Groups,
    farewells: Arc<Farewells>,
}

struct Inner {
    /// Connections that have ended and whose tasks still run, by id.
    ending: HashMap<Arc<str>, Ending>,
    /// Every connection whose task runs: those that have not ended, and those that have and still
    /// flush or run callbacks.
    tasks: Slab<Arc<ConnectionShared>>,
    /// What those that have not ended count as, where their number is limited.
    places: Places,
    users: UserPlaces,
}

/// The connections of one id that have ended and still flush or run callbacks.
struct Ending {
    /// Its callbacks come before those of the next connection with that id.
    /// `None` once its task has returned: they are over, and nobody goes with the registry's lock held.
    last: Option<Arc<ConnectionShared>>,
    tasks: usize,
}

/// What an end gives way to that has just come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndRule {
    Always,
    /// To a transport.
    UnlessAttaching,
    /// To a renewal: it has not expired then.
    UnlessRenewed,
}

impl Registry {
    pub(crate) fn new(
        options: &AdmissionOptions,
        (rooms, resume_window): (&RoomSettings, Duration),
        speaker: Option<Arc<Speaker>>,
    ) -> Self {
        Self {
            inner: Mutex::new(Inner {
                ending: HashMap::new(),
                tasks: Slab::new(),
                places: Places::new(options),
                users: UserPlaces::new(options.per_user),
            }),
            phase: CurrentPhase::new(),
            connections: Directory::new(),
            groups: Groups::new(rooms, resume_window, speaker),
            farewells: Arc::new(Farewells::new(options)),
        }
    }

    /// The transports that are being parted with; they have a lock of their own.
    pub(crate) const fn farewells(&self) -> &Arc<Farewells> {
        &self.farewells
    }

    /// Whether a client of this group will be refused whatever its id turns out to be.
    pub(crate) fn check_places(&self, group: Option<AddressGroup>) -> Result<(), Refused> {
        let inner = self.inner.lock();
        // One who has a place may make way for a newcomer.
        if inner.users.ends_oldest() { Ok(()) } else { inner.places.check_unnamed(group) }
    }

    /// Registers a transport on its way: for the connection with this id if that can be resumed,
    /// else for a new one, made by `create` with the given task key, which ends the old one. Only
    /// one that would add to the connections needs a place that is free.
    pub(crate) fn register(
        &self,
        arrival: Arrival<'_>,
        rules: ReturnRules,
        end_deadline: Instant,
        meter: &Meter,
        create: impl FnOnce(u32) -> ConnectionShared,
    ) -> Result<Registered, Refused> {
        let inner = &mut *self.inner.lock();
        self.check_phase()?;
        let place = self.connections.place_of(arrival.id);
        let existing = self.connections.find_at(place, arrival.id);
        rules.check_authority(existing.as_ref(), arrival.asked_about)?;
        if let Some(connection) = existing.as_ref().filter(|it| is_overtaken(&arrival, it)) {
            let connection = Arc::clone(connection);
            return Ok(Registered::Overtaken { connection, upgrade: arrival.upgrade });
        }
        // Before anything is done to the session.
        arrival.check_existing(existing.as_ref())?;
        let Arrival { id, is_named, home, user, speaks, upgrade, asked_about: _ } = arrival;
        let group = upgrade.peer_addr.map(AddressGroup::of);
        if let Some(connection) = &existing
            && speaks.may_resume(connection, rules.duplicates)
            && rules.may_come_back(connection, home.map_or("", |home| home.name()))?
        {
            inner.places.keep(connection.task_key, group);
            let displaced = connection.mailbox.attach(upgrade);
            let connection = Arc::clone(connection);
            return Ok(Registered::Attached { connection, displaced });
        }
        let replaced = existing;
        let ending = inner.ending.get(id).map_or(0, |ending| ending.tasks);
        if ending + usize::from(replaced.is_some()) > ENDING_PER_PLACE_MAX {
            return Err(Refused::TooManyEnding);
        }
        inner.places.check_ending(group)?;
        let oldest = if replaced.is_none() { inner.users.check(user)? } else { None };
        if replaced.is_none() {
            inner.places.check(group, oldest.map(|(task_key, _)| task_key))?;
        }
        let entry = inner.tasks.vacant_entry();
        let connection =
            Arc::new(create(u32::try_from(entry.key()).expect("4 billion tasks fit in no memory")));
        entry.insert(Arc::clone(&connection));
        inner.places.take(connection.task_key, Place { group, is_named });
        inner.users.take(user, connection.task_key);
        match speaks {
            Speaks::Plain => {}
            Speaks::Exchange { .. } => connection.mailbox.begin_exchange(),
            Speaks::Moved(Some(proof)) => connection.mailbox.begin_moved(proof),
            Speaks::Moved(None) => connection.mailbox.begin_moved_plain(),
        }
        // The id leads to the old one until it ends, and to the new one from then on.
        let end = End { disconnect: Disconnect::Duplicate, deadline: end_deadline };
        let ended = self.connections.put(place, &connection, |old| old.end(end));
        if let (Some(old), Some(Ok(()))) = (&replaced, ended) {
            Self::settle_end(inner, old);
        }
        let predecessor = match inner.ending.get(id).and_then(|ending| ending.last.as_ref()) {
            Some(last) => last.mailbox.succeed(&connection),
            None => Predecessor::None,
        };
        let oldest = oldest.map(|(task_key, code)| {
            self.end_oldest(
                inner,
                task_key,
                End { disconnect: user_limit(code), deadline: end_deadline },
            )
        });
        // It joins the room once this lock is free.
        if let Some(home) = home {
            home.tell(meter);
        }
        meter.note(|| LifecycleEvent::Opened {
            room: connection.room_name(),
            id: Arc::clone(&connection.id),
        });
        let made_way = replaced.or(oldest);
        Ok(Registered::New { connection, predecessor, upgrade, made_way })
    }

    /// Ends a connection, once: it is gone from its room and its id is free when this returns. One
    /// that has given way to a renewal goes on, and is told as one that has ended before.
    pub(crate) fn end(
        &self,
        connection: &Arc<ConnectionShared>,
        end: End,
        rule: EndRule,
        meter: &Meter,
    ) -> Result<(), HasEnded> {
        let mut inner = self.inner.lock();
        if rule == EndRule::UnlessAttaching && connection.mailbox.has_upgrade() {
            return Ok(());
        }
        self.connections.take_out(connection, || match rule {
            EndRule::Always | EndRule::UnlessAttaching => connection.end(end),
            EndRule::UnlessRenewed => connection.end_expired(end),
        })?;
        Self::settle_end(&mut inner, connection);
        drop(inner);
        self.groups.leave_all(connection, meter);
        Ok(())
    }

    /// Takes a connection that has ended out of its groups, as far as who has ended it is not done
    /// with that.
    pub(crate) fn leave_all(&self, connection: &ConnectionShared, meter: &Meter) {
        if connection.any_group().is_some() {
            // Its end is noted before that of its rooms.
            drop(self.inner.lock());
            self.groups.leave_all(connection, meter);
        }
    }

    /// Ends all connections and takes no more; each task learns until when callbacks may run.
    /// Tells whether this call was the one that closed.
    pub(crate) fn close(&self, deadline: Instant, meter: &Meter) -> bool {
        let mut inner = self.inner.lock();
        if self.is_closed() {
            return false;
        }
        self.phase.enter(Phase::Closed);
        inner.places.clear();
        inner.users.clear();
        self.connections.clear();
        // Nobody comes any more who would have to wait for them.
        inner.ending = HashMap::new();
        // In the order of the tasks: that of the directory is another in each process, and no
        // fault would show twice.
        for (_, connection) in &inner.tasks {
            let end = End { disconnect: Disconnect::ServerClosed, deadline };
            let _ = connection.end(end);
            connection.mailbox.limit_callbacks(deadline);
        }
        let all: Vec<_> =
            inner.tasks.iter().map(|(_, connection)| Arc::clone(connection)).collect();
        drop(inner);
        for connection in all {
            self.groups.leave_all(&connection, meter);
        }
        true
    }

    /// Forgets a connection whose task is about to return.
    pub(crate) fn forget_task(&self, connection: &ConnectionShared) {
        let mut inner = self.inner.lock();
        inner.tasks.remove(connection.task_key as usize);
        inner.places.forget(connection.task_key);
        inner.users.forget(connection.user_id());
        if let Entry::Occupied(mut entry) = inner.ending.entry(Arc::clone(&connection.id)) {
            let ending = entry.get_mut();
            ending.tasks -= 1;
            ending.last.take_if(|last| ptr::eq(Arc::as_ptr(last), connection));
            if entry.get().tasks == 0 {
                entry.remove();
            }
        }
        if inner.ending.is_empty() {
            inner.ending = HashMap::new();
        }
        if inner.tasks.is_empty() {
            inner.tasks = Slab::new();
        }
    }

    /// Has a session get ready to go over to another server, unless something is in the way.
    pub(crate) fn begin_leaving(&self, connection: &ConnectionShared, leave: Leave) -> bool {
        let _nobody_comes = self.inner.lock();
        connection.mailbox.leave(leave)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<ConnectionShared>> {
        self.connections.find(id)
    }

    pub(crate) const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// In the order of the tasks: that of the directory is another in each process.
    pub(crate) fn all(&self) -> Vec<Arc<ConnectionShared>> {
        let inner = self.inner.lock();
        let tasks = inner.tasks.iter().map(|(_, connection)| connection);
        let here = tasks.filter(|it| it.mailbox.state() != ConnectionState::Closed);
        here.cloned().collect()
    }

    pub(crate) fn connection_count(&self) -> usize {
        let _unchanged = self.inner.lock();
        self.connections.len()
    }

    /// How many have ended and still flush or run callbacks.
    pub(crate) fn ending_count(&self) -> usize {
        let inner = self.inner.lock();
        inner.tasks.len().saturating_sub(self.connections.len())
    }

    pub(crate) fn room_count(&self) -> usize {
        self.groups.count(Kind::Room)
    }

    /// Ends a user's oldest connection, for one more.
    fn end_oldest(&self, inner: &mut Inner, task_key: u32, end: End) -> Arc<ConnectionShared> {
        let oldest = Arc::clone(&inner.tasks[task_key as usize]);
        if self.connections.take_out(&oldest, || oldest.end(end)).is_ok() {
            Self::settle_end(inner, &oldest);
        }
        oldest
    }

    /// Settles what is left of a connection that has just ended.
    fn settle_end(inner: &mut Inner, connection: &Arc<ConnectionShared>) {
        inner.places.free(connection.task_key);
        inner.users.free(connection.user_id(), connection.task_key);
        let last = Some(Arc::clone(connection));
        match inner.ending.entry(Arc::clone(&connection.id)) {
            Entry::Occupied(mut entry) => {
                let tasks = entry.get().tasks + 1;
                entry.insert(Ending { last, tasks });
            }
            Entry::Vacant(entry) => {
                entry.insert(Ending { last, tasks: 1 });
            }
        }
    }
}

fn user_limit(code: CloseCode) -> Disconnect {
    Disconnect::UserLimit(CloseFrame::new(code, "too many connections"))
}

impl Named for ConnectionShared {
    fn name(&self) -> &Arc<str> {
        &self.id
    }
}
