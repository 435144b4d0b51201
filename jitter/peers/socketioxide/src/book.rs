//! What was sent, and what was heard of each client.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The book of the server.
#[derive(Debug, Default)]
pub(crate) struct Book {
    sent: Mutex<Sent>,
    heard: Mutex<BTreeMap<u64, Numbers>>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Sent {
    pub(crate) ticks: u64,
    /// Client and tick of each direct frame that was refused to its sender.
    pub(crate) refused: Vec<(u64, u64)>,
    pub(crate) sessions: u64,
    /// Never: there is no recovery.
    resumed: u64,
    ended: Vec<String>,
}

#[derive(Debug, Default)]
struct Numbers {
    came: Vec<bool>,
    twice: u64,
    disorder: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Heard {
    ranges: Vec<(usize, usize)>,
    twice: u64,
    disorder: u64,
}

impl Book {
    pub(crate) fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of a client's has come.
    pub(crate) fn hear(&self, client: u64, number: usize) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.entry(client).or_default().hear(number);
    }

    /// What has come from each client.
    pub(crate) fn heard(&self) -> BTreeMap<u64, Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().map(|(client, numbers)| (*client, numbers.told())).collect()
    }
}

impl Numbers {
    fn hear(&mut self, number: usize) {
        if number >= self.came.len() {
            self.came.resize(number + 1, false);
        } else if self.came[number] {
            self.twice += 1;
        } else {
            self.disorder += 1;
        }
        self.came[number] = true;
    }

    fn told(&self) -> Heard {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for (number, _) in self.came.iter().enumerate().filter(|(_, came)| **came) {
            match ranges.last_mut() {
                Some((_, end)) if *end == number => *end += 1,
                Some(_) | None => ranges.push((number, number + 1)),
            }
        }
        Heard { ranges, twice: self.twice, disorder: self.disorder }
    }
}
