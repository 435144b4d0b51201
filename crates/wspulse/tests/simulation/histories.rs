//! What each room was told of late, as whoever joins it must hear it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use wspulse::RoomOptions;

use super::heard::Numbered;

/// What a room keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) frames: usize,
    pub(crate) age: Duration,
}

/// What becomes of a frame that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    /// A newer one takes its place. There is one key for all.
    Keyed,
    Volatile,
}

/// The history of one room.
#[derive(Debug)]
pub(crate) struct History {
    bounds: Option<Bounds>,
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    frame: Numbered,
    mark: Mark,
    at: Instant,
}

impl Bounds {
    pub(crate) const fn apply(self, options: RoomOptions) -> RoomOptions {
        options.history(self.frames, self.age)
    }
}

impl History {
    pub(crate) const fn new(bounds: Option<Bounds>) -> Self {
        Self { bounds, kept: Mutex::new(VecDeque::new()) }
    }

    /// The room, which has members, is told something.
    pub(crate) fn record(&self, frame: Numbered, mark: Mark) {
        let Some(bounds) = self.bounds else { return };
        let mut kept = self.kept.lock().unwrap();
        match mark {
            Mark::Volatile => return,
            Mark::Keyed => kept.retain(|older| older.mark != Mark::Keyed),
            Mark::None => {}
        }
        kept.push_back(Kept { frame, mark, at: Instant::now() });
        let surplus = kept.len().saturating_sub(bounds.frames);
        kept.drain(..surplus);
    }

    /// The room is over.
    pub(crate) fn clear(&self) {
        self.kept.lock().unwrap().clear();
    }

    /// What somebody who joins now must hear, if there is room for all of it.
    pub(crate) fn current(&self) -> Vec<Numbered> {
        let Some(bounds) = self.bounds else { return Vec::new() };
        let kept = self.kept.lock().unwrap();
        // One clock for all: what is older than another one that is too old is so as well.
        let fresh = kept.iter().skip_while(|kept| kept.at.elapsed() >= bounds.age);
        fresh.map(|kept| kept.frame).collect()
    }
}
