//! Lists: what is looked for, in which order, a page at a time.

mod connections;
mod departures;
mod groups;

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use wspulse::ConnectionState;

use crate::query::Query;
use crate::search::Needle;

pub(crate) use connections::{connection, connections};
pub(crate) use departures::departures;
pub(crate) use groups::{rooms, users};

/// How many rows a page has: what fits on a screen twice.
const ROWS_MAX: usize = 50;

/// What a list is to hold.
pub(crate) struct Wanted {
    search: Option<Needle>,
    /// Exactly this room's, or this user's.
    room: Option<String>,
    user: Option<String>,
    state: Option<ConnectionState>,
    order: Order,
    from: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Name,
    Newest,
    Oldest,
    /// Most first: what waits for a connection, or who is in a room.
    Most,
}

impl Wanted {
    pub(crate) fn of(query: &Query<'_>) -> Self {
        let order = match query.get("sort").as_deref() {
            Some("newest") => Order::Newest,
            Some("oldest") => Order::Oldest,
            Some("most") => Order::Most,
            _ => Order::Name,
        };
        let state = match query.get("state").as_deref() {
            Some("connected") => Some(ConnectionState::Connected),
            Some("suspended") => Some(ConnectionState::Suspended),
            _ => None,
        };
        Self {
            search: query.text("search").map(Needle::new),
            room: query.text("room"),
            user: query.text("user"),
            state,
            order,
            from: query.number("from").unwrap_or(0),
        }
    }

    /// Whether one of these holds what is searched for.
    fn finds<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        match &self.search {
            None => true,
            Some(needle) => texts.into_iter().any(|text| needle.is_in(text)),
        }
    }

    fn finds_address(&self, address: Option<SocketAddr>) -> bool {
        match (&self.search, address) {
            (Some(needle), Some(address)) => needle.is_in(&address.to_string()),
            (None, _) => true,
            (Some(_), None) => false,
        }
    }
}

/// A part of a list.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    /// How many there are in all, and how many of these were found.
    total: usize,
    found: usize,
    /// The place of the first row among those found.
    from: usize,
    rows: Vec<T>,
}

impl<T> Page<T> {
    /// Makes rows of those that are shown, and of no others.
    fn of<U>(wanted: &Wanted, total: usize, found: Vec<U>, row: impl FnMut(U) -> T) -> Self {
        let count = found.len();
        // Of a list that has become shorter, its last page.
        let last = count.saturating_sub(1) / ROWS_MAX * ROWS_MAX;
        let from = wanted.from.min(last);
        let rows = found.into_iter().skip(from).take(ROWS_MAX).map(row).collect();
        Self { total, found: count, from, rows }
    }
}

const fn name_of(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connected => "connected",
        ConnectionState::Suspended => "suspended",
        ConnectionState::Closed => "closed",
        // What a later version has.
        _ => "unknown",
    }
}

pub(crate) fn millis_of(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
