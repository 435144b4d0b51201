//! Whom a broadcast is for, and who is in which room as the application knows it: what the server must
//! agree with.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Mutex;

use rand::RngExt;
use rand::rngs::SmallRng;
use wspulse::{BroadcastError, Connection, FanOut, JoinError, Outgoing, Server};

use super::app::App;
use super::journal::life;
use super::plan::Plan;

/// Users are fewer than ids, so that some have several connections.
const USERS: usize = 3;

/// What a connection is a member of.
#[derive(Debug)]
pub(crate) struct Memberships {
    rooms: Mutex<BTreeSet<usize>>,
    /// Those that `on_join` has told of and `on_leave` has not.
    told: Mutex<BTreeSet<usize>>,
    user: Option<usize>,
}

/// Whom a broadcast is for.
#[derive(Debug, Clone)]
pub(crate) enum Whom {
    Room(usize),
    User(usize),
    /// An audience: rooms, in this order, and perhaps a user; and who is in this room is left out.
    Several {
        rooms: Vec<usize>,
        user: Option<usize>,
        except: usize,
    },
    Everybody,
}

/// Some are nobody's.
pub(crate) fn user_of(id: &str) -> Option<usize> {
    let id = id.parse::<usize>().expect("ids are numbers");
    (id % 4 != 3).then_some(id % USERS)
}

/// Any of the home rooms, and two that nobody is at home in.
pub(crate) fn any_room(plan: &Plan, rng: &mut SmallRng) -> usize {
    rng.random_range(0..plan.rooms + 2)
}

impl Memberships {
    pub(crate) fn new(rooms: impl IntoIterator<Item = usize>, user: Option<usize>) -> Self {
        let rooms = Mutex::new(rooms.into_iter().collect());
        Self { rooms, told: Mutex::default(), user }
    }

    pub(crate) fn is_in(&self, room: usize) -> bool {
        self.rooms.lock().unwrap().contains(&room)
    }

    /// Those that it was admitted to, this one first.
    pub(crate) fn first_rooms(&self, home: usize) -> Vec<usize> {
        let rooms = self.rooms.lock().unwrap();
        [home].into_iter().chain(rooms.iter().copied().filter(|room| *room != home)).collect()
    }

    pub(crate) fn told_in(&self, room: &str) {
        let is_news = self.told.lock().unwrap().insert(room.parse().unwrap());
        assert!(is_news, "told twice that it is in room {room}");
    }

    pub(crate) fn told_out(&self, room: &str) {
        let was_in = self.told.lock().unwrap().remove(&room.parse().unwrap());
        assert!(was_in, "told that it has left room {room}, and not that it was in");
    }

    pub(crate) fn was_told_of_all(&self) -> bool {
        self.told.lock().unwrap().is_empty()
    }
}

impl Whom {
    pub(crate) fn draw(plan: &Plan, rng: &mut SmallRng) -> Self {
        match rng.random_range(0..10) {
            0..6 => Self::Room(any_room(plan, rng)),
            6 => Self::User(rng.random_range(0..USERS)),
            7 | 8 => {
                let rooms = (0..rng.random_range(1..4)).map(|_| any_room(plan, rng)).collect();
                let user = rng.random_bool(0.5).then(|| rng.random_range(0..USERS));
                Self::Several { rooms, user, except: any_room(plan, rng) }
            }
            _ => Self::Everybody,
        }
    }

    /// Whether this one hears it, if it has not ended.
    fn includes(&self, connection: &Connection) -> bool {
        let Memberships { user: own, .. } = &life(connection).memberships;
        let is_in = |room: &usize| life(connection).memberships.is_in(*room);
        match self {
            Self::Room(room) => is_in(room),
            Self::User(user) => *own == Some(*user),
            Self::Several { rooms, user, except } => {
                (rooms.iter().any(is_in) || (user.is_some() && user == own)) && !is_in(except)
            }
            Self::Everybody => true,
        }
    }

    /// All who hear it that begins now.
    pub(crate) fn members(&self, server: &Server) -> Vec<Connection> {
        let mut all = server.all_connections();
        all.retain(|connection| self.includes(connection));
        all
    }

    pub(crate) fn broadcast(
        &self,
        server: &Server,
        excluded: Option<&Connection>,
        frame: Outgoing,
    ) -> Result<FanOut, BroadcastError> {
        match (self, excluded) {
            (Self::Room(room), None) => server.broadcast(&room.to_string(), frame),
            (Self::Room(room), Some(excluded)) => {
                server.broadcast_except(&room.to_string(), excluded, frame)
            }
            (Self::User(user), _) => server.user(user.to_string()).send(frame),
            (Self::Several { rooms, user, except }, excluded) => {
                let mut audience = server.to(rooms.iter().map(ToString::to_string));
                if let Some(user) = user {
                    audience = audience.and_user(user.to_string());
                }
                if let Some(excluded) = excluded {
                    audience = audience.except(excluded);
                }
                audience.except_room(except.to_string()).broadcast(frame)
            }
            (Self::Everybody, _) => server.broadcast_all(frame),
        }
    }

    /// The rooms that are told it, if they are there.
    pub(crate) fn rooms(&self) -> &[usize] {
        match self {
            Self::Room(room) => slice::from_ref(room),
            Self::Several { rooms, .. } => rooms,
            Self::User(_) | Self::Everybody => &[],
        }
    }

    /// The room that it names, if it does.
    pub(crate) fn named(&self) -> Option<usize> {
        match self {
            Self::Room(room) => Some(*room),
            Self::Several { rooms, user: None, .. } if rooms.len() == 1 => Some(rooms[0]),
            Self::Several { .. } | Self::User(_) | Self::Everybody => None,
        }
    }

    /// Whether one who is excluded does not hear it.
    pub(crate) const fn can_exclude(&self) -> bool {
        match self {
            Self::Room(_) | Self::Several { .. } => true,
            Self::User(_) | Self::Everybody => false,
        }
    }
}

pub(crate) fn join(app: &App, connection: &Connection, room: usize) {
    let fits = app.plan.fits_now(connection);
    app.truth.changed();
    let joined = connection.join(&room.to_string());
    if matches!(joined, Err(JoinError::Closed { .. })) {
        return assert!(connection.rooms().is_empty(), "it has ended");
    }
    let is_new = life(connection).memberships.rooms.lock().unwrap().insert(room);
    assert_eq!(joined, Ok(is_new));
    if is_new {
        app.truth.give_history(connection, room, fits);
    }
}

pub(crate) fn leave(app: &App, connection: &Connection, room: usize) {
    app.truth.changed();
    let is_here = connection.server().connection(connection.id()).as_ref() == Some(connection);
    let was_member = life(connection).memberships.rooms.lock().unwrap().remove(&room);
    assert_eq!(connection.leave(&room.to_string()), is_here && was_member);
}

/// The server's lists are those of the application.
pub(crate) fn check(server: &Server, plan: &Plan) {
    for room in 0..plan.rooms + 2 {
        let members = Whom::Room(room).members(server);
        let listed = server.connections(&room.to_string());
        assert_eq!(listed.len(), members.len(), "members of room {room}");
        assert!(members.iter().all(|member| listed.contains(member)), "members of room {room}");
    }
    for user in 0..USERS {
        let count = Whom::User(user).members(server).len();
        assert_eq!(server.user(user.to_string()).connection_count(), count, "of user {user}");
    }
}
