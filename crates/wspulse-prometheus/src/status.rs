//! Counters by HTTP status.

use crate::series::{Counter, OTHER};

const FIRST: usize = 100;
const STATUSES: usize = 500;

/// One counter for each status from 100 to 599, and one for all others: no lock, and a bound.
#[derive(Debug)]
pub(crate) struct Statuses(Box<[Counter]>);

impl Statuses {
    pub(crate) fn new() -> Self {
        Self((0..=STATUSES).map(|_| Counter::default()).collect())
    }

    pub(crate) fn add(&self, status: u16) {
        let place = usize::from(status).checked_sub(FIRST);
        self.0[place.map_or(STATUSES, |place| place.min(STATUSES))].add(1);
    }

    /// Those that were counted.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = self.0.iter().map(Counter::get).enumerate();
        counts.filter(|(_, count)| *count > 0).map(|(place, count)| match place {
            STATUSES => (OTHER.to_owned(), count),
            place => ((place + FIRST).to_string(), count),
        })
    }
}
