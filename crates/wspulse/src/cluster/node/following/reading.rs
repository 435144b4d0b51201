//! How the logs of rooms are read.

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytestring::ByteString;
use tokio::task::JoinSet;
use wspulse_core::cluster::{Answer, Ask, FRAMES_MAX, LogPosition, Moved, Said, Target};

use super::{Kept, NUMBERS};
use crate::cluster::log::{LogEntry, LogRead, LogStart, ReadFailed};
use crate::cluster::node::{Node, now};

/// How long the log may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// So many times as many entries are read as before, where all of them are new.
const AS_MANY_MORE: usize = 8;

/// How many logs are looked at together, to find where they end.
const TAILS_AT_ONCE_MAX: usize = 16;

/// Nothing of what was appended before.
const NONE_KEPT: Kept = Kept { frames: 0, age: Duration::ZERO };

impl Node {
    pub(super) async fn answer_of_log(self: &Arc<Self>, ask: &Ask) -> Option<Answer> {
        match *ask {
            Ask::From { target, stream, first } => {
                let after = LogPosition { epoch: stream, number: first - 1 };
                let read = self.read_log(target, LogStart::After(after)).await.ok()?;
                Some(self.answer_from(read, false))
            }
            Ask::Since { target, .. } => {
                let kept = self.kept_of(target)?;
                let since = self.hear_since(target);
                self.lately(target, kept, since).await
            }
            Ask::Moved { .. } => self.tails().await,
        }
    }

    fn kept_of(&self, target: Target) -> Option<Kept> {
        let (_, room) = self.speaker.name_of(target)?;
        Some(self.following.as_ref()?.rooms.kept(&room).unwrap_or(NONE_KEPT))
    }

    pub(crate) async fn read_log(
        &self,
        target: Target,
        from: LogStart,
    ) -> Result<LogRead, ReadFailed> {
        let (Target::Group(key), Some((_, log))) = (target, self.log()) else {
            return Err(ReadFailed);
        };
        let read = log.read(key, from, FRAMES_MAX, READ_WITHIN).await?;
        let mut positions = read.entries.iter().map(|entry| entry.position).chain(read.newest);
        if positions.all(|it| NUMBERS.contains(&it.number)) { Ok(read) } else { Err(ReadFailed) }
    }

    /// What a session lacks behind this position, or, without one, of the last so many milliseconds.
    pub(crate) async fn ask_log_for(
        &self,
        target: Target,
        after: Option<LogPosition>,
        age: Duration,
    ) -> Option<Answer> {
        match after {
            Some(after) => {
                let read = self.read_log(target, LogStart::After(after)).await.ok()?;
                Some(self.answer_from(read, false))
            }
            None => self.lately(target, NONE_KEPT, now().checked_sub(age)).await,
        }
    }

    /// Since when somebody is to hear a log here.
    fn hear_since(&self, target: Target) -> Option<StdInstant> {
        self.inbox.lock().logs.as_ref()?.inbox.listens_since(target)
    }

    /// What was appended since then, by the clocks of those who have appended it: it was for those who were
    /// in. And the newest frames before that, as many as are kept and young enough. Or the first of all
    /// these.
    async fn lately(
        &self,
        target: Target,
        kept: Kept,
        since: Option<StdInstant>,
    ) -> Option<Answer> {
        let mut last = kept.frames.max(usize::from(since.is_some()));
        let mut from = LogStart::Last(last);
        let mut is_truncated = false;
        loop {
            let LogRead { mut entries, newest } = self.read_log(target, from).await.ok()?;
            let here_for = since.map(|since| now().saturating_duration_since(since));
            let is_new = |it: &LogEntry| here_for.is_some_and(|here_for| it.age < here_for);
            let old = entries.iter().take_while(|it| !is_new(it)).count();
            let first_new = entries.get(old).map(|it| it.position.number);
            if let (Some(first), Some(newest), Some(_)) = (entries.first(), newest, first_new)
                && from == LogStart::Last(last)
                && old < kept.frames.max(1)
                && first.position.number > 1
            {
                // Those before it may be new as well, or are kept for whoever comes.
                let there = newest.number.saturating_sub(first.position.number).saturating_add(1);
                is_truncated = old == 0 && there < last as u64;
                if there >= last as u64 {
                    last = last.saturating_mul(AS_MANY_MORE);
                    from = LogStart::Last(last);
                    continue;
                }
            }
            let read_up_to = entries.last().map(|entry| entry.position);
            let newest_old = first_new.map(|number| number - 1).or(newest.map(|it| it.number));
            let kept_from = newest_old.unwrap_or(0).saturating_sub(kept.frames as u64);
            let is_kept = |it: &LogEntry| it.position.number > kept_from && it.age <= kept.age;
            entries.retain(|it| is_kept(it) || is_new(it));
            let is_all = read_up_to.is_none() || read_up_to == newest;
            match read_up_to.filter(|_| entries.is_empty() && !is_all) {
                Some(read_up_to) => from = LogStart::After(read_up_to),
                None => return Some(self.answer_from(LogRead { entries, newest }, is_truncated)),
            }
        }
    }

    /// What was read, as another server would answer it.
    fn answer_from(&self, read: LogRead, is_truncated: bool) -> Answer {
        let LogRead { entries, newest } = read;
        let mut codec = ByteString::new();
        let mut said: Vec<Said> = Vec::new();
        let newest = newest.unwrap_or(LogPosition { epoch: 0, number: 0 });
        let mut first = entries.first().map_or(newest.number + 1, |entry| entry.position.number);
        for LogEntry { position, entry, .. } in entries {
            match self.read_entry(entry) {
                Some((of, it)) if said.is_empty() || of == codec => {
                    codec = of;
                    said.push(it);
                }
                // It is lacking, and told as that.
                None if said.is_empty() => first = position.number + 1,
                // The others are asked for again.
                Some(_) | None => break,
            }
        }
        let stream = newest.epoch;
        let newest = newest.number.max(first - 1 + said.len() as u64);
        Answer::Frames { stream, first, newest, is_truncated, codec, said }
    }

    /// Where all logs end that are followed.
    async fn tails(self: &Arc<Self>) -> Option<Answer> {
        let (beat, targets) = {
            let listening = self.inbox.lock();
            let logs = listening.logs.as_ref()?;
            (logs.beat, logs.inbox.interests().collect::<Vec<_>>())
        };
        let mut moved = Vec::new();
        for some in targets.chunks(TAILS_AT_ONCE_MAX) {
            let mut reads = JoinSet::new();
            for target in some.iter().copied() {
                let node = Arc::clone(self);
                reads
                    .spawn(async move { (target, node.read_log(target, LogStart::Last(0)).await) });
            }
            while let Some(read) = reads.join_next().await {
                let (target, read) = read.ok()?;
                moved.extend(read.ok()?.newest.map(|newest| Moved {
                    target,
                    stream: newest.epoch,
                    newest: newest.number,
                }));
            }
        }
        Some(Answer::Moved { beat, is_truncated: false, moved })
    }
}
