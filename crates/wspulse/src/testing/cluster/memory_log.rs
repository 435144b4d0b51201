//! The log of an engine in memory, and what goes wrong with it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::memory::MemoryEngine;
use super::state::{Phase, State};
use crate::cluster::{
    AppendFailed, AppendId, EngineFuture, GroupKey, Log, LogPosition, LogRead, LogStart,
    ReadFailed, Topic,
};

/// What becomes of something that is asked of the log.
enum Fate {
    /// It comes there then.
    Comes(Instant),
    /// It comes there then, and nothing comes back.
    ComesUnheard(Instant),
    Lost,
    Unavailable,
}

impl Log for MemoryEngine {
    fn append(
        &self,
        key: GroupKey,
        id: AppendId,
        entry: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogPosition, AppendFailed>> {
        Box::pin(async move {
            let until = Instant::now() + within;
            let unknown = AppendFailed::Unknown { within };
            let fate = self.state(State::fate);
            let (comes_at, is_heard) = match fate {
                Fate::Unavailable => return Err(AppendFailed::Unavailable),
                Fate::Lost => {
                    sleep_until(until).await;
                    return Err(unknown);
                }
                Fate::Comes(at) => (at, true),
                Fate::ComesUnheard(at) => (at, false),
            };
            sleep_until(comes_at.min(until)).await;
            let (position, heard_at) = self.state(|state, _| {
                let position = state.append(key, id, &entry);
                (position, state.heard_at())
            });
            if is_heard && heard_at <= until {
                sleep_until(heard_at).await;
                return Ok(position);
            }
            sleep_until(until).await;
            Err(unknown)
        })
    }

    fn read(
        &self,
        key: GroupKey,
        from: LogStart,
        max: usize,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogRead, ReadFailed>> {
        Box::pin(async move {
            let until = Instant::now() + within;
            let comes_at = match self.state(State::fate) {
                Fate::Unavailable => return Err(ReadFailed),
                Fate::Comes(at) if at <= until => at,
                Fate::Comes(_) | Fate::ComesUnheard(_) | Fate::Lost => {
                    sleep_until(until).await;
                    return Err(ReadFailed);
                }
            };
            sleep_until(comes_at).await;
            Ok(self.state(|state, _| state.logs.read(key, from, max)))
        })
    }
}

impl State {
    fn fate(&mut self, place: usize) -> Fate {
        let is_up = matches!(self.ports[place].phase, Phase::Up(_));
        if !is_up || self.hits(self.faults.log_failed_per_mille) {
            return Fate::Unavailable;
        }
        if self.cut_off.contains(&place) {
            return Fate::Lost;
        }
        let at = self.heard_at();
        if !self.hits(self.faults.log_unanswered_per_mille) {
            Fate::Comes(at)
        } else if self.dice.once_in(2) {
            Fate::ComesUnheard(at)
        } else {
            Fate::Lost
        }
    }

    /// Keeps an entry, and tells all who listen for its group.
    fn append(&mut self, key: GroupKey, id: AppendId, entry: &Bytes) -> LogPosition {
        let (position, was_there) = self.logs.append(key, id, entry.clone());
        if !was_there {
            for to in 0..self.ports.len() {
                if self.ports[to].is_subscribed(Topic::Group(key)) && !self.cut_off.contains(&to) {
                    self.carry_logged(to, key, position, entry);
                }
            }
        }
        position
    }
}
