//! How the logs of rooms are followed: as if the log were one more server that speaks to them. Its
//! numbers, holes and repairs are those of servers; only whom is asked is another.

mod heard;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wspulse_core::cluster::{
    Answer, Ask, Batch, Beat, FRAMES_MAX, GroupKey, LogPosition, Moved, NodeId, NodeState,
    Question, Said, Target,
};

use super::{Node, Telling, now, now_ms};
use crate::cluster::engine::Topic;
use crate::cluster::log::{AppendFailed, AppendId, Log, LogEntry, LogRead, LogStart, ReadFailed};
use crate::cluster::speaker::NameSpace;
pub(super) use heard::Logs;

/// How long the log may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// How many logs are looked at together, to find where they end.
const TAILS_AT_ONCE_MAX: usize = 16;

/// The most streams that are told of in one beat.
const TOLD_MAX: usize = 10_000;

/// How long what others say of a log may have overtaken what the log itself says.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// Numbers that can be: nothing gets to the last of them in a lifetime, and sums of these are numbers.
const NUMBERS: RangeInclusive<u64> = 1..=1 << 62;

/// Before 2020 there was no log.
const BEGINNING_S: u64 = 1_577_836_800;

/// Which rooms have a log, and what becomes of them here.
pub(crate) trait LoggedRooms: Send + Sync {
    /// How much of its log those hear who come to a room; `None` for one that has no log. It is the
    /// application's: no lock may be held.
    fn kept(&self, room: &str) -> Option<Kept>;

    /// Whether a room has members here; `None` where there is none of this name.
    fn is_occupied(&self, room: &str) -> Option<bool>;

    /// From now on a room's members hear its log.
    fn open(&self, room: &str);
}

/// How much of a log those hear who come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) frames: usize,
    pub(crate) age: Duration,
}

/// What this server has of logs.
pub(super) struct Following {
    pub(super) rooms: Box<dyn LoggedRooms>,
}

impl Node {
    /// The log, where rooms may have one.
    fn log(&self) -> Option<(&Following, &dyn Log)> {
        self.following.as_ref().zip(self.engine.log())
    }

    fn hear_log(self: &Arc<Self>, heard: impl FnOnce(&mut Logs)) {
        self.hear_all(|listening| {
            if let Some(logs) = &mut listening.logs {
                heard(logs);
            }
        });
    }

    /// Begins to follow the logs of rooms that have begun here; tells whether some are left for later.
    pub(super) fn follow(self: &Arc<Self>) -> bool {
        let Some((following, _)) = self.log() else { return false };
        let mut is_left = false;
        for target in self.speaker.take_begun() {
            let Some((NameSpace::Rooms, room)) = self.speaker.name_of(target) else { continue };
            let is_heard = self.speaker.wanted(|wanted| wanted.is_heard(target));
            match following.rooms.is_occupied(&room) {
                // One that begins once more is told of again.
                None => continue,
                // What it hears is for its first member as well.
                Some(is_occupied) if !is_occupied || !is_heard => {
                    self.speaker.put_back_begun(target);
                    is_left |= is_heard;
                    continue;
                }
                Some(_) => {}
            }
            if following.rooms.kept(&room).is_none() {
                continue;
            }
            let node = Arc::clone(self);
            self.hear_log(|logs| {
                // It has heard nothing yet, whatever one before it of its name has heard.
                logs.inbox.end(target);
                // What comes in this moment is no beginning.
                let since = now().checked_sub(Duration::from_millis(1)).unwrap_or_else(now);
                logs.inbox.begin(target, since);
                logs.inbox.look(NodeId::LOG, target, now());
                let open = move || {
                    if let Some(following) = &node.following {
                        following.rooms.open(&room);
                    }
                };
                node_told(self, Telling::Between(Box::new(open)));
            });
        }
        is_left
    }

    /// Something is in the log of a group.
    pub(super) fn hear_logged(
        self: &Arc<Self>,
        key: GroupKey,
        position: LogPosition,
        entry: Bytes,
    ) {
        if self.following.is_none() || !NUMBERS.contains(&position.number) {
            return;
        }
        let Some((codec, said)) = self.read_entry(entry) else { return };
        let LogPosition { epoch: stream, number: first } = position;
        let (origin, quiet_ms, sent_ms) = (NodeId::LOG, 0, 0);
        let said = vec![said];
        let batch = Batch { origin, stream, first, quiet_ms, sent_ms, codec, said };
        self.hear_log(|logs| logs.inbox.handle_batch(Target::Group(key), batch, now()));
    }

    /// Logs are as far as this, as others say: for those of which less was heard by and by, the log is
    /// asked, which alone is believed.
    pub(super) fn hear_tails(self: &Arc<Self>, moved: Vec<Moved>) {
        if self.behind(&moved).is_empty() {
            return;
        }
        self.spawn(move |node| {
            let moved = moved.clone();
            async move {
                sleep(OVERTAKEN).await;
                for target in node.behind(&moved) {
                    let read = node.read_log(target, LogStart::Last(0)).await;
                    let newest = read.ok().and_then(|read| read.newest);
                    if let Some(LogPosition { epoch: stream, number: newest }) = newest {
                        let moved = vec![Moved { target, stream, newest }];
                        node.hear_log(|logs| logs.hear_moved(moved));
                    }
                }
            }
        });
    }

    /// The logs of which less was heard than this.
    fn behind(&self, moved: &[Moved]) -> Vec<Target> {
        let listening = self.inbox.lock();
        let Some(logs) = &listening.logs else { return Vec::new() };
        let is_behind = |it: &&Moved| {
            let told = logs.inbox.positions(it.target).next();
            told.is_some_and(|told| (told.stream, told.number) < (it.stream, it.newest))
        };
        moved.iter().filter(is_behind).map(|it| it.target).collect()
    }

    /// Something may not have come: where the logs end is looked at.
    pub(super) fn doubt_logs(&self) {
        if let Some(logs) = &mut self.inbox.lock().logs {
            logs.is_doubtful = true;
        }
        self.must_beat.notify_one();
    }

    /// As each second, and when it is connected again: tells others how far the logs have come.
    pub(super) fn beat_logs(self: &Arc<Self>) {
        if self.following.is_none() || !self.is_connected() {
            return;
        }
        let mut told = Vec::new();
        self.hear_log(|logs| {
            let skipped = u64::from(std::mem::take(&mut logs.is_doubtful));
            logs.beat = (logs.beat + 1 + skipped).max(self.log_clock());
            logs.hear_beat(logs.beat, Vec::new());
            for target in logs.moved.drain() {
                let position = logs.inbox.positions(target).next();
                told.extend(position.map(|at| Moved {
                    target,
                    stream: at.stream,
                    newest: at.number,
                }));
            }
        });
        for moved in told.chunks(TOLD_MAX) {
            let (origin, state, moved) = (NodeId::LOG, NodeState::Serving, moved.to_vec());
            let beat = Beat { origin, number: 0, state, connections: 0, moved };
            self.publish(Topic::Beats, beat.encode());
        }
    }

    /// A second before now, as logs count them.
    fn log_clock(&self) -> u64 {
        let begun = self.begun_at.get().map_or(Duration::ZERO, Instant::elapsed);
        (self.made_at + begun).as_secs().saturating_sub(BEGINNING_S + 1)
    }

    /// Asks the log for what is lacking.
    pub(super) fn ask_log(self: &Arc<Self>, question: Question) {
        let Question { id, ask, .. } = question;
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        self.spawn(move |node| async move {
            let Some(answer) = node.answer_of_log(&ask).await else {
                // It is waited for, whatever it takes: nothing of it is lost for that.
                return node.hear_log(|logs| logs.inbox.handle_unasked(id, now()));
            };
            if let (Ask::From { .. }, Answer::Frames { said, .. }) = (&ask, &answer) {
                node.counts.frames_repaired.fetch_add(said.len() as u64, Ordering::Relaxed);
            }
            node.hear_log(|logs| {
                let mut answer = logs.unless_begun(&ask, answer);
                if let Answer::Moved { moved, .. } = &mut answer {
                    // Before the beats count as heard: of one that was begun anew meanwhile, nobody knows
                    // where it was.
                    logs.hear_moved(std::mem::take(moved));
                }
                logs.inbox.handle_answer(id, Some(answer), now());
            });
        });
    }

    async fn answer_of_log(self: &Arc<Self>, ask: &Ask) -> Option<Answer> {
        match *ask {
            Ask::From { target, stream, first } => {
                let after = LogPosition { epoch: stream, number: first - 1 };
                let read = self.read_log(target, LogStart::After(after)).await.ok()?;
                Some(self.answer_from(read))
            }
            Ask::Since { target, .. } => {
                let kept = self.kept_of(target)?;
                self.lately(target, kept).await
            }
            Ask::Moved { .. } => self.tails().await,
        }
    }

    /// Whether it is known how far this server has heard a log.
    pub(crate) fn follows_log(&self, target: Target) -> bool {
        let listening = self.inbox.lock();
        listening.logs.as_ref().is_some_and(|it| it.inbox.positions(target).next().is_some())
    }

    fn kept_of(&self, target: Target) -> Option<Kept> {
        let (_, room) = self.speaker.name_of(target)?;
        let none = Kept { frames: 0, age: Duration::ZERO };
        Some(self.following.as_ref()?.rooms.kept(&room).unwrap_or(none))
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
                Some(self.answer_from(read))
            }
            None => self.lately(target, Kept { frames: FRAMES_MAX, age }).await,
        }
    }

    /// The newest frames, as many as are kept and young enough, or the first of them.
    async fn lately(&self, target: Target, kept: Kept) -> Option<Answer> {
        let mut from = LogStart::Last(kept.frames);
        loop {
            let LogRead { mut entries, newest } = self.read_log(target, from).await.ok()?;
            let last = entries.last().map(|entry| entry.position);
            entries.retain(|entry| entry.age <= kept.age);
            let is_all = last.is_none() || last == newest;
            match last.filter(|_| entries.is_empty() && !is_all) {
                Some(last) => from = LogStart::After(last),
                None => return Some(self.answer_from(LogRead { entries, newest })),
            }
        }
    }

    /// What was read, as another server would answer it.
    fn answer_from(&self, read: LogRead) -> Answer {
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
        Answer::Frames { stream, first, newest, is_truncated: false, codec, said }
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

    /// Appends a frame to a room's log.
    pub(crate) async fn append(
        self: &Arc<Self>,
        key: GroupKey,
        id: AppendId,
        (codec, said): (ByteString, Said),
        within: Duration,
    ) -> Result<LogPosition, AppendFailed> {
        let (_, log) = self.log().ok_or(AppendFailed::Unavailable)?;
        let (origin, sent_ms, said) = (self.speaker.node(), now_ms(), vec![said]);
        let entry = Batch { origin, stream: 0, first: 1, quiet_ms: 0, sent_ms, codec, said };
        let position = log.append(key, id, entry.encode(), within).await?;
        let (target, stream) = (Target::Group(key), position.epoch);
        let moved = vec![Moved { target, stream, newest: position.number }];
        self.hear_log(|logs| logs.hear_moved(moved));
        Ok(position)
    }
}

impl Node {
    /// The one frame of an entry, and the name of its codec.
    pub(crate) fn read_entry(&self, entry: Bytes) -> Option<(ByteString, Said)> {
        self.read(Batch::decode(entry)).and_then(only)
    }
}

/// The one frame of an entry.
fn only(batch: Batch) -> Option<(ByteString, Said)> {
    let Batch { codec, said, .. } = batch;
    let mut said = said.into_iter();
    let it = said.next()?;
    said.next().is_none().then_some((codec, it))
}

fn node_told(node: &Node, telling: Telling) {
    node.told.lock().waiting.push_back(telling);
}
