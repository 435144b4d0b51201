//! What a network in memory keeps of rooms that have a log.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use crate::cluster::{AppendId, GroupKey, LogEntry, LogPosition, LogRead, LogStart};

/// For how long an id is known.
const KNOWN_FOR: Duration = Duration::from_mins(2);

/// How many bytes are read at a time, unless one entry has more.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Before 2020 there was no log.
const BEGINNING_S: u64 = 1_577_836_800;

/// All logs, by their group.
#[derive(Debug)]
pub(super) struct Logs {
    rooms: HashMap<GroupKey, Room>,
    ids: HashMap<(GroupKey, AppendId), (Instant, LogPosition)>,
    entries_max: usize,
    age_max: Duration,
    /// Since 1970, and when that was.
    made_at: (Duration, Option<Instant>),
}

#[derive(Debug)]
struct Room {
    epoch: u32,
    newest: u64,
    kept: VecDeque<(u64, Instant, Bytes)>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            rooms: HashMap::new(),
            ids: HashMap::new(),
            entries_max: 10_000,
            age_max: Duration::from_hours(1),
            made_at: (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), None),
        }
    }
}

impl Logs {
    /// Keeps no more of each than this from now on.
    pub(super) fn keep(&mut self, entries_max: usize, age_max: Duration) {
        (self.entries_max, self.age_max) = (entries_max, age_max);
        self.forget();
    }

    /// Where an entry is from now on, and whether it was there before.
    pub(super) fn append(
        &mut self,
        key: GroupKey,
        id: AppendId,
        entry: Bytes,
    ) -> (LogPosition, bool) {
        let now = Instant::now();
        self.ids.retain(|_, (at, _)| now.duration_since(*at) < KNOWN_FOR);
        if let Some((_, position)) = self.ids.get(&(key, id)) {
            return (*position, true);
        }
        self.forget();
        let begun = *self.made_at.1.get_or_insert(now);
        let seconds = (self.made_at.0 + (now - begun)).as_secs().saturating_sub(BEGINNING_S);
        let begins = || Room {
            epoch: u32::try_from(seconds).unwrap_or(u32::MAX),
            newest: 0,
            kept: VecDeque::new(),
        };
        let room = self.rooms.entry(key).or_insert_with(begins);
        room.newest += 1;
        room.kept.push_back((room.newest, now, entry));
        let position = LogPosition { epoch: room.epoch, number: room.newest };
        self.ids.insert((key, id), (now, position));
        self.forget();
        (position, false)
    }

    pub(super) fn read(&mut self, key: GroupKey, from: LogStart, max: usize) -> LogRead {
        self.forget();
        let Some(room) = self.rooms.get(&key) else { return LogRead::default() };
        let at = |number| LogPosition { epoch: room.epoch, number };
        let after = match from {
            LogStart::After(after) if after.epoch == room.epoch => after.number,
            LogStart::After(_) => 0,
            LogStart::Last(entries) => room.newest.saturating_sub(entries as u64),
        };
        let mut bytes = 0;
        let entries = room.kept.iter().filter(|(number, ..)| *number > after).take(max);
        let entries = entries.take_while(|(.., entry)| {
            let is_first = bytes == 0;
            bytes += entry.len();
            is_first || bytes <= READ_BYTES_MAX
        });
        let entries = entries.map(|(number, appended_at, entry)| LogEntry {
            position: at(*number),
            age: appended_at.elapsed(),
            entry: entry.clone(),
        });
        LogRead { entries: entries.collect(), newest: Some(at(room.newest)) }
    }

    fn forget(&mut self) {
        let now = Instant::now();
        let Self { rooms, entries_max, age_max, .. } = self;
        rooms.retain(|_, room| {
            let is_old = |at: Instant| now.duration_since(at) >= *age_max;
            while room.kept.len() > *entries_max
                || room.kept.front().is_some_and(|(_, at, _)| is_old(*at))
            {
                room.kept.pop_front();
            }
            // One of which nothing is left is begun anew.
            !room.kept.is_empty()
        });
    }
}
