//! The logs of rooms, in one stream of `JetStream` for the cluster: a subject for each room.
//!
//! Each entry has the number behind the one before it, and is taken only where that is still the last
//! of its subject. So the numbers of a room have no holes, whoever appends, and whoever reads knows
//! exactly what is no longer there.

mod entry;
mod options;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::time::{Instant, sleep, timeout_at};
use wspulse::cluster::{
    AppendFailed, AppendId, EngineFuture, GroupKey, Log, LogEntry, LogPosition, LogRead, LogStart,
    ReadFailed,
};

use crate::asked::Asked;
use crate::client::{Client, Headers};
use crate::outgoing::Outgoing;
use crate::subjects::Subjects;
pub(crate) use entry::{Stored, read_stored};
pub use options::{LogOptions, LogStorage};
use stream::{Ask, Failed, Put};

/// How many rooms' ends are remembered; those beyond are looked up.
const LASTS_MAX: usize = 8192;

/// How many appends may be under way: one for each part of all rooms, as two to one room would only be
/// in each other's way.
const PARTS: usize = 256;

/// How long a try may take. The next one has the same id, so that nothing is there twice.
const TRY_WITHIN: Duration = Duration::from_secs(2);

/// How long to wait before the next try, where nobody keeps the stream just now.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// How long to wait, at the most, where another node was faster.
const OVERTAKEN_MS: u64 = 4;

/// Times are cut to this: an entry may be so much younger than its time says.
const STAMPED_WITHIN: Duration = Duration::from_millis(1);

/// Before 2020 there was no log.
const BEGINNING_S: u64 = 1_577_836_800;

/// The stream and what is known of it.
#[derive(Debug)]
pub(crate) struct NatsLog {
    pub(crate) options: LogOptions,
    pub(crate) subjects: Arc<Subjects>,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) asked: Arc<Asked>,
    lasts: Arc<Lasts>,
    turns: Vec<tokio::sync::Mutex<()>>,
    is_made: Mutex<bool>,
    /// Once the engine has begun.
    connection: std::sync::OnceLock<Connected>,
}

/// What a started engine has.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) node: wspulse::cluster::NodeId,
    pub(crate) client: Client,
}

/// Where the logs of rooms end, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Lasts(Mutex<HashMap<GroupKey, Last>>);

/// The last entry of a room: its number in the stream, and its place in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) sequence: u64,
    pub(crate) position: LogPosition,
}

impl Lasts {
    /// Something is there.
    pub(crate) fn note(&self, key: GroupKey, last: Last) {
        let mut lasts = self.0.lock();
        if lasts.len() >= LASTS_MAX && !lasts.contains_key(&key) {
            lasts.clear();
        }
        let known = lasts.entry(key).or_insert(last);
        if known.sequence < last.sequence {
            *known = last;
        }
    }

    fn get(&self, key: GroupKey) -> Option<Last> {
        self.0.lock().get(&key).copied()
    }

    fn forget(&self, key: GroupKey) {
        self.0.lock().remove(&key);
    }
}

impl NatsLog {
    pub(crate) fn new(
        options: LogOptions,
        subjects: Arc<Subjects>,
        outgoing: Arc<Outgoing>,
        asked: Arc<Asked>,
    ) -> Self {
        let turns = (0..PARTS).map(|_| tokio::sync::Mutex::default()).collect();
        let (lasts, is_made) = (Arc::default(), Mutex::new(false));
        let connection = std::sync::OnceLock::new();
        Self { options, subjects, outgoing, asked, lasts, turns, is_made, connection }
    }

    pub(crate) const fn lasts(&self) -> &Arc<Lasts> {
        &self.lasts
    }

    pub(crate) fn begin(&self, connected: Connected) {
        let _ = self.connection.set(connected);
    }

    fn ask(&self) -> Option<Ask<'_>> {
        let connected = self.connection.get().filter(|it| it.client.is_connected())?;
        Some(Ask { log: self, node: connected.node })
    }

    /// Where a room's log ends; `None` if there is nothing in it.
    async fn last(&self, key: GroupKey, until: Instant) -> Result<Option<Last>, Failed> {
        let ask = self.ask().ok_or(Failed::Unavailable)?;
        ask.stream(until).await?;
        let last = ask.last(&self.subjects.log(key), until).await?;
        if let Some(stored) = &last {
            self.lasts.note(key, stored.last());
        }
        Ok(last.map(|stored| stored.last()))
    }

    async fn append_until(
        &self,
        key: GroupKey,
        id: AppendId,
        (entry, within): (Bytes, Duration),
    ) -> Result<LogPosition, AppendFailed> {
        let until = Instant::now() + within;
        let turn = self.turns[usize::from(key.as_bytes()[15])].lock();
        let _turn = timeout_at(until, turn).await.map_err(|_| AppendFailed::Unavailable)?;
        // Whether it may be there, of a try that had no answer.
        let mut is_doubtful = false;
        while Instant::now() < until {
            let try_until = until.min(Instant::now() + TRY_WITHIN);
            let tried = self.try_append(key, id, &entry, try_until).await;
            match tried {
                Ok(position) => return Ok(position),
                Err(Failed::Overtaken) => {
                    self.lasts.forget(key);
                    let wait = rand::rng().random_range(0..=OVERTAKEN_MS);
                    sleep(Duration::from_millis(wait)).await;
                }
                Err(Failed::Full) => return Err(AppendFailed::Full),
                Err(Failed::Unavailable) if !is_doubtful && self.ask().is_none() => {
                    return Err(AppendFailed::Unavailable);
                }
                Err(Failed::Unavailable) => {
                    // It may be another stream by now, which is looked at then, or made.
                    self.lasts.forget(key);
                    sleep(TRY_AGAIN).await;
                }
                Err(Failed::Unanswered) => is_doubtful = true,
            }
        }
        Err(if is_doubtful { AppendFailed::Unknown { within } } else { AppendFailed::Unavailable })
    }

    async fn try_append(
        &self,
        key: GroupKey,
        id: AppendId,
        entry: &Bytes,
        until: Instant,
    ) -> Result<LogPosition, Failed> {
        let before = match self.lasts.get(key) {
            Some(last) => Some(last),
            // Nothing is asked for that may be in the log then.
            None => self.last(key, until).await.map_err(|failed| match failed {
                Failed::Unanswered => Failed::Unavailable,
                failed @ (Failed::Overtaken | Failed::Full | Failed::Unavailable) => failed,
            })?,
        };
        let position = match before {
            Some(Last { position: LogPosition { epoch, number }, .. }) => {
                LogPosition { epoch, number: number + 1 }
            }
            None => LogPosition { epoch: epoch_now(), number: 1 },
        };
        let ask = self.ask().ok_or(Failed::Unavailable)?;
        let mut headers = Headers::default();
        let subject = self.subjects.log(key);
        headers.push(("Nats-Msg-Id", format!("{key}.{id}")));
        let sequence = before.map_or(0, |last| last.sequence);
        headers.push(("Nats-Expected-Last-Subject-Sequence", sequence.to_string()));
        let payload = entry::write(position, entry);
        match ask.put(subject, headers, payload, until).await? {
            Put::New { sequence } => {
                self.lasts.note(key, Last { sequence, position });
                Ok(position)
            }
            // It was there before. Where, only the stream knows.
            Put::Known { sequence } => {
                let stored = ask.at(sequence, until).await.map_err(|_| Failed::Unanswered)?;
                stored.map(|it| it.position).ok_or(Failed::Unanswered)
            }
        }
    }

    async fn read_until(
        &self,
        key: GroupKey,
        from: LogStart,
        max: usize,
        until: Instant,
    ) -> Result<LogRead, Failed> {
        let Some(last) = self.last(key, until).await? else { return Ok(LogRead::default()) };
        let newest = last.position;
        let first = match from {
            LogStart::After(after) if after.epoch == newest.epoch => after.number + 1,
            LogStart::Last(entries) => (newest.number + 1).saturating_sub(entries as u64).max(1),
            // It was begun anew; or it is a start of a later wspulse.
            LogStart::After(_) | _ => 1,
        };
        if first > newest.number || max == 0 {
            return Ok(LogRead { entries: Vec::new(), newest: Some(newest) });
        }
        let ask = self.ask().ok_or(Failed::Unavailable)?;
        let subject = self.subjects.log(key);
        let sequence = find(&ask, &subject, first, last, until).await?;
        let all = ask.many(&subject, sequence, max, until).await?;
        let entries = all.into_iter().map(|Stored { position, at, entry, .. }| {
            let age = since_1970().saturating_sub(at + STAMPED_WITHIN);
            LogEntry { position, age, entry }
        });
        let mut entries: Vec<_> = entries.collect();
        // What was appended meanwhile may be there already.
        let newest = entries.last().map_or(newest, |it| it.position.max(newest));
        entries.retain(|it| it.position.epoch == newest.epoch);
        // Replies that came while there was no connection are lost.
        let in_a_row = (entries.first().map_or(0, |it| it.position.number)..)
            .zip(&entries)
            .take_while(|(number, it)| it.position.number == *number)
            .count();
        entries.truncate(in_a_row);
        if entries.first().is_none_or(|it| it.position.number > first) {
            check_that_none_is_before(&ask, &subject, entries.first(), until).await?;
        }
        Ok(LogRead { entries, newest: Some(newest) })
    }
}

/// Where entries are lacking that were to be read: whether the stream keeps none of them any more. Another
/// server of three that keep it may be behind the one that has told where the log ends, and the first of
/// many replies may be lost.
async fn check_that_none_is_before(
    ask: &Ask<'_>,
    subject: &str,
    read: Option<&LogEntry>,
    until: Instant,
) -> Result<(), Failed> {
    let oldest = ask.next(subject, 1, until).await?.map(|it| it.position);
    match read.map(|it| it.position).zip(oldest) {
        Some((read, oldest)) if read <= oldest => Ok(()),
        Some(_) | None => Err(Failed::Unavailable),
    }
}

/// The number in the stream of the entry that has this number in its room, or of the first behind it.
/// Both rise together, so it is looked for in ever smaller parts.
async fn find(
    ask: &Ask<'_>,
    subject: &str,
    number: u64,
    last: Last,
    until: Instant,
) -> Result<u64, Failed> {
    if number == last.position.number {
        return Ok(last.sequence);
    }
    // The one that is looked for is between the two, or the best that was found.
    let (mut low, mut high, mut best) = (1, last.sequence, last.sequence);
    let mut guess = last.sequence.saturating_sub(last.position.number.saturating_sub(number));
    while low < high {
        guess = guess.clamp(low, high - 1);
        let Some(found) = ask.next(subject, guess, until).await? else { break };
        if found.position < (LogPosition { epoch: last.position.epoch, number }) {
            low = found.sequence + 1;
        } else {
            (best, high) = (found.sequence, guess);
        }
        guess = low + high.saturating_sub(low) / 2;
    }
    Ok(best)
}

impl Log for NatsLog {
    fn append(
        &self,
        key: GroupKey,
        id: AppendId,
        entry: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogPosition, AppendFailed>> {
        Box::pin(self.append_until(key, id, (entry, within)))
    }

    fn read(
        &self,
        key: GroupKey,
        from: LogStart,
        max: usize,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogRead, ReadFailed>> {
        let until = Instant::now() + within;
        Box::pin(
            async move { self.read_until(key, from, max, until).await.map_err(|_| ReadFailed) },
        )
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn epoch_now() -> u32 {
    let seconds = since_1970().as_secs().saturating_sub(BEGINNING_S);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
