//! Who is connected, and in which room: the one place where ids and rooms are decided.

mod farewells;
mod places;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use slab::Slab;
use tokio::time::Instant;
use wspulse_core::Disconnect;
use wspulse_core::session::Predecessor;

use crate::address::AddressGroup;
use crate::connection::{Connection, ConnectionShared, ConnectionState};
use crate::mailbox::{End, HasEnded};
use crate::meter::{LifecycleEvent, Meter};
use crate::options::admission::AdmissionOptions;
use crate::options::{DuplicatePolicy, ReturnRules, RoomChange};
use crate::room::{Members, RunningWaves};
use crate::sync::Mutex;
use crate::transport::Upgrade;
use farewells::Farewells;
use places::{ENDING_PER_PLACE_MAX, Place, Places};

/// All connections and rooms. Its lock comes before a room's, which comes before a mailbox's; no
/// application code runs under any of them.
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    farewells: Arc<Farewells>,
}

struct Inner {
    is_open: bool,
    /// Connections that have not ended, by id.
    connections: HashMap<Arc<str>, Arc<ConnectionShared>>,
    /// Connections that have ended and whose tasks still run, by id.
    ending: HashMap<Arc<str>, Ending>,
    /// Rooms that have members.
    rooms: HashMap<Arc<str>, Arc<Members>>,
    /// Every connection whose task runs: those above, and those that have ended and still flush or
    /// run callbacks.
    tasks: Slab<Arc<ConnectionShared>>,
    /// What `connections` count as, where their number is limited.
    places: Places,
}

/// The connections of one id that have ended and still flush or run callbacks.
struct Ending {
    /// Its callbacks come before those of the next connection with that id.
    last: Arc<ConnectionShared>,
    tasks: usize,
}

/// A client that was admitted.
pub(crate) struct Arrival<'a> {
    pub(crate) id: &'a Arc<str>,
    /// The application has given the id: it is not a random one.
    pub(crate) is_named: bool,
    /// The room that it was admitted to.
    pub(crate) room: &'a str,
    /// What the client speaks, which its session must be of as well.
    pub(crate) speaks: Speaks,
    /// The transport on its way.
    pub(crate) upgrade: Upgrade,
}

/// What a client and its session speak.
pub(crate) enum Speaks {
    /// WebSocket, and nothing beside.
    Plain,
    /// `wspulse.1`; and this is the session whose token the client has, if it has one.
    Exchange { resumes: Option<Arc<ConnectionShared>> },
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    ServerClosed,
    /// All connections that `max_connections` allows are there.
    TooManyConnections,
    /// There is a limit by address, and it cannot be told which one this client's is.
    UnknownAddress,
    /// All that `max_connections_per_addr` allows are there.
    TooManyFromAddress,
    /// Too many with this id, of this address or in all have ended and are not done yet.
    TooManyEnding,
    /// Its session has another room than it was admitted to, and is to stay there.
    OtherRoom,
}

/// What became of an admission.
pub(crate) enum Registered {
    /// A new connection, whose task is to be started.
    New {
        connection: Arc<ConnectionShared>,
        predecessor: Predecessor,
        upgrade: Upgrade,
        /// Those of its room, if that has just become large: they are to be started.
        waves: Option<RunningWaves>,
    },
    /// An existing connection gets another transport. One that was on its way to it is displaced.
    Attached { connection: Arc<ConnectionShared>, displaced: Option<Upgrade> },
}

/// Whether an end gives way to a transport that has just come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndRule {
    Always,
    UnlessAttaching,
}

impl Registry {
    pub(crate) fn new(options: &AdmissionOptions) -> Self {
        Self {
            inner: Mutex::new(Inner {
                is_open: true,
                connections: HashMap::new(),
                ending: HashMap::new(),
                rooms: HashMap::new(),
                tasks: Slab::new(),
                places: Places::new(options),
            }),
            farewells: Arc::new(Farewells::new(options)),
        }
    }

    /// The transports that are being parted with; they have a lock of their own.
    pub(crate) const fn farewells(&self) -> &Arc<Farewells> {
        &self.farewells
    }

    pub(crate) fn is_open(&self) -> bool {
        self.inner.lock().is_open
    }

    /// Whether a client of this group will be refused whatever its id turns out to be.
    pub(crate) fn check_places(&self, group: Option<AddressGroup>) -> Result<(), Refused> {
        self.inner.lock().places.check_unnamed(group)
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
        create: impl FnOnce(usize) -> ConnectionShared,
    ) -> Result<Registered, Refused> {
        let Arrival { id, is_named, room, speaks, upgrade } = arrival;
        let group = upgrade.peer_addr.map(AddressGroup::of);
        let inner = &mut *self.inner.lock();
        if !inner.is_open {
            return Err(Refused::ServerClosed);
        }
        let existing = inner.connections.get(id);
        if let Some(connection) = existing
            && speaks.may_resume(connection, rules.duplicates)
            && rules.may_come_back(connection, room)?
        {
            inner.places.keep(connection.task_key, group);
            let displaced = connection.mailbox.attach(upgrade);
            let connection = Arc::clone(connection);
            return Ok(Registered::Attached { connection, displaced });
        }
        let replaced = existing.cloned();
        let ending = inner.ending.get(id).map_or(0, |ending| ending.tasks);
        if ending + usize::from(replaced.is_some()) > ENDING_PER_PLACE_MAX {
            return Err(Refused::TooManyEnding);
        }
        inner.places.check_ending(group)?;
        if replaced.is_none() {
            inner.places.check(group)?;
        }
        let entry = inner.tasks.vacant_entry();
        let mut connection = create(entry.key());
        if let Some((name, _)) = inner.rooms.get_key_value(&connection.room) {
            // All members share one copy of their room's name.
            connection.room = Arc::clone(name);
        }
        let connection = Arc::new(connection);
        entry.insert(Arc::clone(&connection));
        inner.places.take(connection.task_key, Place { group, is_named });
        if let Speaks::Exchange { .. } = speaks {
            connection.mailbox.begin_exchange();
        }
        let waves = inner.join(&connection, meter);
        if let Some(old) = replaced {
            let end = End { disconnect: Disconnect::Duplicate, deadline: end_deadline };
            // Nobody else can have ended it: it was registered, and ends happen under this lock.
            let _ = inner.end(&old, end, meter);
        }
        let predecessor = match inner.ending.get(id) {
            Some(ending) => ending.last.mailbox.succeed(&connection),
            None => Predecessor::None,
        };
        meter.note(|| LifecycleEvent::Opened {
            room: Arc::clone(&connection.room),
            id: Arc::clone(&connection.id),
        });
        inner.connections.insert(Arc::clone(id), Arc::clone(&connection));
        Ok(Registered::New { connection, predecessor, upgrade, waves })
    }

    /// Ends a connection, once: it is gone from its room and its id is free when this returns.
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
        inner.end(connection, end, meter)
    }

    /// Ends all connections and takes no more; each task learns until when callbacks may run.
    /// Tells whether this call was the one that closed.
    pub(crate) fn close(&self, deadline: Instant, meter: &Meter) -> bool {
        let mut inner = self.inner.lock();
        if !inner.is_open {
            return false;
        }
        inner.is_open = false;
        inner.places.clear();
        inner.connections = HashMap::new();
        // Nobody comes any more who would have to wait for them.
        inner.ending = HashMap::new();
        let mut rooms = std::mem::take(&mut inner.rooms);
        // In the order of the tasks: that of the maps is another in each process, and no fault
        // would show twice.
        for (_, connection) in &inner.tasks {
            let end = End { disconnect: Disconnect::ServerClosed, deadline };
            if let Ok(before) = connection.mailbox.end(end) {
                let reason = Disconnect::ServerClosed.reason();
                meter.note(|| LifecycleEvent::closed(connection, before, reason));
            }
            connection.mailbox.limit_callbacks(deadline);
        }
        for (_, connection) in &inner.tasks {
            if let Some((room, members)) = rooms.remove_entry(&connection.room) {
                members.dissolve();
                meter.note(|| LifecycleEvent::RoomDestroyed { room });
            }
        }
        true
    }

    /// Forgets a connection whose task is about to return.
    pub(crate) fn forget_task(&self, connection: &ConnectionShared) {
        let mut inner = self.inner.lock();
        inner.tasks.remove(connection.task_key);
        inner.places.forget(connection.task_key);
        if let Entry::Occupied(mut entry) = inner.ending.entry(Arc::clone(&connection.id)) {
            entry.get_mut().tasks -= 1;
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

    pub(crate) fn find(&self, id: &str) -> Option<Arc<ConnectionShared>> {
        self.inner.lock().connections.get(id).cloned()
    }

    pub(crate) fn members(&self, room: &str) -> Option<Arc<Members>> {
        self.inner.lock().rooms.get(room).cloned()
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.inner.lock().connections.values().cloned().map(Connection::new).collect()
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.inner.lock().connections.len()
    }

    pub(crate) fn room_count(&self) -> usize {
        self.inner.lock().rooms.len()
    }
}

impl Speaks {
    /// The id of the session that the client has the token of, or a random one.
    pub(crate) fn session_id(&self) -> Arc<str> {
        match self {
            Self::Exchange { resumes: Some(session) } => Arc::clone(&session.id),
            Self::Exchange { resumes: None } | Self::Plain => {
                uuid::Uuid::new_v4().to_string().into()
            }
        }
    }

    /// Whether the client gets this session, which has the id that it was admitted with.
    fn may_resume(&self, session: &Arc<ConnectionShared>, policy: DuplicatePolicy) -> bool {
        match (self, session.mailbox.state(), policy) {
            (_, ConnectionState::Closed, _) => false,
            // Whoever has the token is whom the session waits for, be it suspended or not.
            (Self::Exchange { resumes }, _, _) => {
                resumes.as_ref().is_some_and(|resumes| Arc::ptr_eq(resumes, session))
            }
            (Self::Plain, _, _) if session.mailbox.proof().is_some() => false,
            (Self::Plain, ConnectionState::Suspended, _)
            | (Self::Plain, ConnectionState::Connected, DuplicatePolicy::Resume) => true,
            (Self::Plain, ConnectionState::Connected, DuplicatePolicy::Replace) => false,
        }
    }
}

impl ReturnRules {
    /// Whether a client that was admitted to this room gets the session that waits for it; else it
    /// begins a new one. All that it may have changed besides its room belongs here.
    fn may_come_back(self, session: &ConnectionShared, room: &str) -> Result<bool, Refused> {
        match self.room_changes {
            _ if *session.room == *room => Ok(true),
            RoomChange::Keep => Ok(true),
            RoomChange::Replace => Ok(false),
            RoomChange::Refuse => Err(Refused::OtherRoom),
        }
    }
}

impl Inner {
    /// Puts a connection into its room, whose waves are returned if they must be started.
    fn join(&mut self, connection: &Arc<ConnectionShared>, meter: &Meter) -> Option<RunningWaves> {
        let members = match self.rooms.entry(Arc::clone(&connection.room)) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => {
                meter.note(|| LifecycleEvent::RoomCreated { room: Arc::clone(entry.key()) });
                Arc::clone(entry.insert(Arc::default()))
            }
        };
        members.join(Arc::clone(connection))
    }

    fn end(
        &mut self,
        connection: &Arc<ConnectionShared>,
        end: End,
        meter: &Meter,
    ) -> Result<(), HasEnded> {
        let reason = end.disconnect.reason();
        let before = connection.mailbox.end(end)?;
        self.connections.remove(&connection.id);
        self.places.free(connection.task_key);
        let last = Arc::clone(connection);
        match self.ending.entry(Arc::clone(&connection.id)) {
            Entry::Occupied(mut entry) => {
                let tasks = entry.get().tasks + 1;
                entry.insert(Ending { last, tasks });
            }
            Entry::Vacant(entry) => {
                entry.insert(Ending { last, tasks: 1 });
            }
        }
        meter.note(|| LifecycleEvent::closed(connection, before, reason));
        if let Entry::Occupied(entry) = self.rooms.entry(Arc::clone(&connection.room))
            && entry.get().leave(connection)
        {
            let (room, _) = entry.remove_entry();
            meter.note(|| LifecycleEvent::RoomDestroyed { room });
        }
        Ok(())
    }
}
