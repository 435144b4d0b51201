//! Who is there, by the order in which they came: the application's own list, and how many of a user
//! there may be.

use std::sync::Mutex;

use wspulse::{Connection, ConnectionState, DisconnectReason, UserLimit};

use super::crowd::user_of;
use super::journal::life;

#[derive(Debug)]
pub(crate) struct Here {
    connections: Mutex<Vec<Connection>>,
    per_user: Option<(usize, UserLimit)>,
}

impl Here {
    pub(crate) const fn new(per_user: Option<(usize, UserLimit)>) -> Self {
        Self { connections: Mutex::new(Vec::new()), per_user }
    }

    /// A new connection is registered.
    pub(crate) fn enter(&self, connection: &Connection) {
        self.connections.lock().unwrap().push(connection.clone());
        let user = user_of(connection.id());
        if let (Some((connections_max, _)), Some(_)) = (self.per_user, user) {
            let count = self.count_of(user);
            assert!(count <= connections_max, "{count} connections of user {user:?}");
        }
    }

    /// The connection of this id has ended.
    pub(crate) fn leave(&self, id: &str, reason: DisconnectReason) {
        let mut connections = self.connections.lock().unwrap();
        let has_ended = |it: &Connection| it.id() == id && it.state() == ConnectionState::Closed;
        let Some(place) = connections.iter().position(has_ended) else {
            // Nobody has seen it yet: it was ended by the registration of another one right after.
            return;
        };
        if reason == DisconnectReason::UserLimit {
            let (connections_max, limit) = self.per_user.expect("there is a limit");
            assert!(matches!(limit, UserLimit::EndOldest(_)), "the new one is to be refused");
            let user = user_of(id);
            let mut of_user = connections.iter().filter(|it| user_of(it.id()) == user);
            assert_eq!(of_user.clone().count(), connections_max, "{id} had to go too early");
            assert_eq!(of_user.next().map(Connection::id), Some(id), "it is not the oldest");
        }
        connections.remove(place);
    }

    /// Whether a new client of this id may be refused since its user has too many connections.
    pub(crate) fn is_full_for(&self, id: &str) -> bool {
        let Some((connections_max, UserLimit::RefuseNew)) = self.per_user else { return false };
        let is_there = self.connections.lock().unwrap().iter().any(|it| it.id() == id);
        let user = user_of(id);
        user.is_some() && !is_there && self.count_of(user) >= connections_max
    }

    pub(crate) fn all(&self) -> Vec<Connection> {
        self.connections.lock().unwrap().clone()
    }

    /// The members of a room, as the application knows it.
    pub(crate) fn members(&self, room: usize) -> Vec<Connection> {
        let mut members = self.connections.lock().unwrap().clone();
        members.retain(|member| life(member).memberships.is_in(room));
        members
    }

    fn count_of(&self, user: Option<usize>) -> usize {
        let connections = self.connections.lock().unwrap();
        connections.iter().filter(|it| user_of(it.id()) == user).count()
    }
}
