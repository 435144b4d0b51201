//! Connections, in a list and one by one.

use std::cmp::Reverse;

use serde::Serialize;
use wspulse::{Connection, ConnectionReadings, ConnectionState, Server};

use super::departures::{Departed, departures_of};
use super::{Order, Page, Wanted, millis_of, name_of};

#[derive(Serialize)]
pub(crate) struct Row {
    id: String,
    user: Option<String>,
    room: String,
    /// Of one without a home room, the first rooms that it is in.
    joined: Vec<String>,
    state: &'static str,
    address: Option<String>,
    connected_at: u64,
    waiting: u64,
    unacknowledged: u64,
    sent: u64,
    received: u32,
    dropped: u64,
}

/// One connection, with all that is known of it.
#[derive(Serialize)]
pub(crate) struct Detail {
    #[serde(flatten)]
    row: Row,
    rooms: Vec<String>,
    accepted: u64,
    acknowledged: u64,
    conflated: u64,
    held_bytes: u64,
    departures: Vec<Departed>,
}

/// More rooms than that are seldom read.
const ROOMS_MAX: usize = 100;

/// So many have a place in a row.
const JOINED_MAX: usize = 3;

pub(crate) fn connections(server: &Server, wanted: &Wanted) -> Page<Row> {
    let all = match (&wanted.room, &wanted.user) {
        (Some(room), _) => server.connections(room),
        (None, Some(user)) => server.user(user).connections(),
        (None, None) => server.all_connections(),
    };
    let total = all.len();
    let mut found: Vec<_> = all
        .into_iter()
        .map(|connection| (connection.readings(), connection))
        .filter(|(readings, connection)| is_found(wanted, readings, connection))
        .collect();
    match wanted.order {
        Order::Name => found.sort_unstable_by(|(_, a), (_, b)| a.id().cmp(b.id())),
        Order::Newest => found.sort_unstable_by_key(|(_, it)| Reverse(it.connected_at())),
        Order::Oldest => found.sort_unstable_by_key(|(_, it)| it.connected_at()),
        Order::Most => found.sort_unstable_by_key(|(readings, _)| {
            Reverse((readings.outbound.pending, readings.outbound.unacknowledged))
        }),
    }
    Page::of(wanted, total, found, |(readings, connection)| row(&readings, &connection))
}

fn is_found(wanted: &Wanted, readings: &ConnectionReadings, connection: &Connection) -> bool {
    let names = [connection.id(), connection.room_id(), connection.user_id().unwrap_or_default()];
    let is_of_user = wanted.user.as_deref().is_none_or(|user| connection.user_id() == Some(user));
    readings.state != ConnectionState::Closed
        && wanted.state.is_none_or(|state| state == readings.state)
        && is_of_user
        && (wanted.finds(names) || wanted.finds_address(readings.peer_addr))
}

pub(crate) fn connection(server: &Server, id: &str) -> Option<Detail> {
    let connection = server.connection(id)?;
    let readings = connection.readings();
    Some(Detail {
        row: row(&readings, &connection),
        rooms: rooms_of(&connection, ROOMS_MAX),
        accepted: readings.outbound.accepted,
        acknowledged: readings.outbound.acknowledged,
        conflated: readings.outbound.conflated,
        held_bytes: readings.outbound.held_bytes,
        departures: departures_of(server, id),
    })
}

fn rooms_of(connection: &Connection, count_max: usize) -> Vec<String> {
    connection.rooms().iter().take(count_max).map(|room| room.id().to_owned()).collect()
}

fn row(readings: &ConnectionReadings, connection: &Connection) -> Row {
    let outbound = &readings.outbound;
    let joined = match connection.room_id() {
        "" => rooms_of(connection, JOINED_MAX),
        _ => Vec::new(),
    };
    Row {
        id: connection.id().to_owned(),
        user: connection.user_id().map(str::to_owned),
        room: connection.room_id().to_owned(),
        joined,
        state: name_of(readings.state),
        address: readings.peer_addr.map(|address| address.to_string()),
        connected_at: millis_of(connection.connected_at()),
        waiting: outbound.pending,
        unacknowledged: outbound.unacknowledged,
        sent: outbound.sent,
        received: readings.received,
        dropped: outbound.dropped,
    }
}
