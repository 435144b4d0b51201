//! Who has gone, and why.

use serde::Serialize;
use wspulse::{Departure, DepartureKind, Server};

use super::{Page, Wanted, millis_of};

#[derive(Serialize)]
pub(crate) struct Departed {
    at: u64,
    id: String,
    user: Option<String>,
    room: String,
    address: Option<String>,
    /// How long it had been there.
    age_secs: u64,
    /// Whether it is waited for.
    is_suspended: bool,
    /// In a word, as metrics have it.
    reason: &'static str,
    cause: String,
}

/// How many are shown of one connection.
const OF_ONE_MAX: usize = 10;

pub(crate) fn departures(server: &Server, wanted: &Wanted) -> Page<Departed> {
    let all = server.departures();
    let total = all.len();
    let found: Vec<_> = all
        .into_iter()
        .filter(|it| {
            let names = [&*it.id, &*it.room, it.user.as_deref().unwrap_or_default()];
            wanted.finds(names) || wanted.finds_address(it.peer_addr)
        })
        .collect();
    Page::of(wanted, total, found, |it| departed(&it))
}

pub(super) fn departures_of(server: &Server, id: &str) -> Vec<Departed> {
    let all = server.departures();
    all.iter().filter(|it| &*it.id == id).take(OF_ONE_MAX).map(departed).collect()
}

fn departed(departure: &Departure) -> Departed {
    let (is_suspended, reason, cause) = match &departure.kind {
        DepartureKind::Suspended(cause) => (true, "suspended", cause.to_string()),
        DepartureKind::Ended(end) => (false, end.reason().as_str(), end.to_string()),
        // What a later version has.
        _ => (false, "unknown", String::new()),
    };
    Departed {
        at: millis_of(departure.at),
        id: departure.id.to_string(),
        user: departure.user.as_deref().map(str::to_owned),
        room: departure.room.to_string(),
        address: departure.peer_addr.map(|address| address.to_string()),
        age_secs: departure.age.as_secs(),
        is_suspended,
        reason,
        cause,
    }
}
