//! How the logs of rooms are followed: as if the log were one more server that speaks to them. Its
//! numbers, holes and repairs are those of servers; only whom is asked is another.

mod heard;
mod reading;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::{Instant, sleep};
use wspulse_core::cluster::{
    Answer, Ask, Batch, Beat, GroupKey, LogPosition, Moved, NodeId, NodeState, Question, Said,
    Target,
};

use super::{Node, Telling, now, now_ms};
use crate::cluster::engine::Topic;
use crate::cluster::log::{AppendFailed, AppendId, Log, LogStart};
use crate::cluster::speaker::NameSpace;
pub(super) use heard::Logs;

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
        for (target, begun_at) in self.speaker.take_begun() {
            let Some((NameSpace::Rooms, room)) = self.speaker.name_of(target) else { continue };
            let looked_at = now();
            let is_heard = self.speaker.wanted(|wanted| wanted.is_heard(target));
            match following.rooms.is_occupied(&room) {
                // One that begins once more is told of again.
                None => continue,
                // What it hears is for its first member as well, from when that comes.
                Some(false) => {
                    self.speaker.put_back_begun(target, looked_at);
                    is_left |= is_heard;
                    continue;
                }
                Some(true) if !is_heard => {
                    self.speaker.put_back_begun(target, begun_at);
                    continue;
                }
                Some(true) => {}
            }
            if following.rooms.kept(&room).is_none() {
                continue;
            }
            let node = Arc::clone(self);
            self.hear_log(|logs| {
                // It has heard nothing yet, whatever one before it of its name has heard.
                logs.inbox.end(target);
                logs.inbox.begin(target, begun_at);
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

    /// Whether it is known how far this server has heard a log.
    pub(crate) fn follows_log(&self, target: Target) -> bool {
        let listening = self.inbox.lock();
        listening.logs.as_ref().is_some_and(|it| it.inbox.positions(target).next().is_some())
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
