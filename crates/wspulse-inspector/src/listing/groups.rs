//! Rooms and people.

use std::cmp::Reverse;

use serde::Serialize;
use wspulse::{PresenceState, Room, Server, User};

use super::{Order, Page, Wanted};

#[derive(Serialize)]
pub(crate) struct RoomRow {
    id: String,
    members: usize,
    /// Who is here and who is away, where the room keeps presence.
    people: Option<People>,
}

#[derive(Serialize)]
struct People {
    here: usize,
    away: usize,
}

#[derive(Serialize)]
pub(crate) struct UserRow {
    id: String,
    connections: usize,
    is_online: bool,
}

pub(crate) fn rooms(server: &Server, wanted: &Wanted) -> Page<RoomRow> {
    let all = server.rooms();
    let total = all.len();
    let mut found: Vec<_> = all
        .into_iter()
        .filter(|room| wanted.finds([room.id()]))
        .map(|room| (room.len(), room))
        .collect();
    match wanted.order {
        Order::Most => found.sort_unstable_by(|(a, room_a), (b, room_b)| {
            b.cmp(a).then_with(|| room_a.id().cmp(room_b.id()))
        }),
        Order::Name | Order::Newest | Order::Oldest => {
            found.sort_unstable_by(|(_, a), (_, b)| a.id().cmp(b.id()));
        }
    }
    Page::of(wanted, total, found, |(members, room)| RoomRow {
        people: people(&room),
        id: room.id().to_owned(),
        members,
    })
}

fn people(room: &Room) -> Option<People> {
    let people = room.presence().ok()?.people;
    let here = people.iter().filter(|person| person.state == PresenceState::Here).count();
    Some(People { here, away: people.len() - here })
}

pub(crate) fn users(server: &Server, wanted: &Wanted) -> Page<UserRow> {
    let all = server.users();
    let total = all.len();
    let mut found: Vec<_> = all
        .into_iter()
        .filter(|user| wanted.finds([user.id()]))
        .map(|user| (connections_of(wanted, &user), user))
        .collect();
    match wanted.order {
        Order::Most => found.sort_unstable_by_key(|(connections, _)| Reverse(*connections)),
        Order::Name | Order::Newest | Order::Oldest => {
            found.sort_unstable_by(|(_, a), (_, b)| a.id().cmp(b.id()));
        }
    }
    Page::of(wanted, total, found, |(_, user)| UserRow {
        connections: user.connection_count(),
        is_online: user.is_online(),
        id: user.id().to_owned(),
    })
}

/// As far as they are sorted by it.
fn connections_of(wanted: &Wanted, user: &User) -> usize {
    if wanted.order == Order::Most { user.connection_count() } else { 0 }
}
