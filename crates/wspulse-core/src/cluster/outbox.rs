//! What a server says to the others: numbered, kept for a while, and said again to whoever lacks it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytestring::ByteString;

use super::ids::{NodeId, Position, Target};
use super::incoming::FORGOTTEN_AFTER;
use super::message::{
    Answer, Ask, Batch, Beat, FRAMES_MAX, Moved, NUMBER_MAX, NodeState, STREAMS_MAX,
};
use super::said::Said;
use crate::clock::after;

/// What a kept frame takes beside its bytes, about: its places in two lists, and its header.
const KEPT_BYTES: usize = 128;

/// The most frames that a batch packs: beyond, one message more costs next to nothing.
const BATCH_FRAMES_MAX: usize = 64;

/// How an [`Outbox`] is bounded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutboxConfig {
    /// The name of the codec that frames are encoded with; empty for the nameless.
    pub codec: ByteString,
    /// How many bytes of what was said are kept, for those who lack it.
    pub ring_bytes_max: usize,
    /// For how long.
    pub ring_age_max: Duration,
    /// For how long it is known where a stream was that nothing was said in: 5 s at least, so that
    /// beats have told of it.
    pub stream_idle_max: Duration,
    /// The most bytes of frames that a batch packs, unless a single one has more.
    pub batch_bytes_max: usize,
    /// The most bytes of frames in an answer, unless a single one has more.
    pub answer_bytes_max: usize,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            codec: ByteString::new(),
            ring_bytes_max: 64 * 1024 * 1024,
            ring_age_max: Duration::from_mins(1),
            stream_idle_max: Duration::from_mins(10),
            batch_bytes_max: 64 * 1024,
            answer_bytes_max: 512 * 1024,
        }
    }
}

/// What this server has said to each group, lately.
#[derive(Debug)]
pub struct Outbox {
    node: NodeId,
    config: OutboxConfig,
    streams: HashMap<Target, Stream>,
    /// Where the frames that are kept lie, from the oldest on.
    kept: VecDeque<Target>,
    kept_bytes: usize,
    /// Streams with frames that were not sent.
    waiting: VecDeque<Target>,
    /// The number of the newest beat.
    beat: u64,
    /// Streams that have moved since that.
    moved: Vec<Target>,
    /// Streams that have lost their last frame, with when, from the oldest on.
    emptied: VecDeque<(Instant, Target)>,
    /// The beat that told last of a stream that is forgotten.
    forgotten_in: u64,
}

#[derive(Debug)]
struct Stream {
    /// That of the beat that was next when it began.
    number: u32,
    /// The number of its newest frame.
    newest: u64,
    /// Its last frames, up to the newest.
    frames: VecDeque<Kept>,
    /// The number of the newest frame that was sent.
    sent: u64,
    is_waiting: bool,
    /// The beat that tells, or will tell, where it is.
    moved_in: u64,
    said_at: Instant,
    /// When the newest frame was said of those that are not kept any more.
    lost_at: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    said: Said,
    at: Instant,
    quiet_ms: u32,
}

impl Stream {
    /// The number of the oldest frame that is kept; one more than the newest, if none is.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.frames.len() as u64
    }

    /// The frames from this number on, as many as fit.
    fn frames_from(&self, first: u64, frames_max: usize, bytes_max: usize) -> Vec<Said> {
        let known = usize::try_from(first - self.oldest()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = self.frames.range(known.min(self.frames.len())..).take(frames_max);
        let fits = fits.take_while(|kept| {
            let is_first = bytes == 0;
            bytes += kept.said.bytes();
            is_first || bytes <= bytes_max
        });
        fits.map(|kept| kept.said.clone()).collect()
    }
}

impl Outbox {
    /// For a server that has said nothing yet.
    pub fn new(node: NodeId, config: OutboxConfig) -> Self {
        Self {
            node,
            config,
            streams: HashMap::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            waiting: VecDeque::new(),
            beat: 0,
            moved: Vec::new(),
            emptied: VecDeque::new(),
            forgotten_in: 0,
        }
    }

    /// Takes a frame that is said to these, to be sent. Call it where the order of the group's frames is
    /// decided.
    pub fn say(&mut self, target: Target, said: Said, now: Instant) {
        self.take(target, said, now, true);
    }

    /// As [`say`](Self::say), while no other server is known: it is kept for those who will ask, and not
    /// sent.
    pub fn say_alone(&mut self, target: Target, said: Said, now: Instant) {
        self.take(target, said, now, false);
    }

    fn take(&mut self, target: Target, said: Said, now: Instant, is_to_be_sent: bool) {
        let next_beat = self.beat + 1;
        let stream = self.streams.entry(target).or_insert_with(|| Stream {
            // In 136 years there will be as many beats.
            number: u32::try_from(next_beat).unwrap_or(u32::MAX),
            newest: 0,
            frames: VecDeque::new(),
            sent: 0,
            is_waiting: false,
            moved_in: 0,
            said_at: now,
            lost_at: None,
        });
        let quiet = now.saturating_duration_since(stream.said_at).as_millis();
        let quiet_ms = if stream.newest == 0 { u32::MAX } else { capped(quiet) };
        stream.newest += 1;
        stream.said_at = now;
        if stream.moved_in != next_beat {
            stream.moved_in = next_beat;
            self.moved.push(target);
        }
        // What nobody is to be sent counts as sent, unless something waits before it.
        match (is_to_be_sent, stream.is_waiting) {
            (_, true) => {}
            (true, false) => {
                stream.is_waiting = true;
                self.waiting.push_back(target);
            }
            (false, false) => stream.sent = stream.newest,
        }
        self.kept_bytes += said.bytes() + KEPT_BYTES;
        stream.frames.push_back(Kept { said, at: now, quiet_ms });
        self.kept.push_back(target);
        while self.kept_bytes > self.config.ring_bytes_max {
            self.lose_oldest(now);
        }
    }

    /// Whether there is something to send.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next frames to send, and to whom. `sent_ms` is the time of day, in milliseconds since 1970.
    pub fn take_batch(&mut self, sent_ms: u64) -> Option<(Target, Batch)> {
        let bytes_max = self.config.batch_bytes_max;
        while let Some(target) = self.waiting.pop_front() {
            let Some(stream) = self.streams.get_mut(&target) else { continue };
            // What is not kept any more will be missed, and told as a gap.
            let first = stream.oldest().max(stream.sent + 1);
            let said = stream.frames_from(first, BATCH_FRAMES_MAX, bytes_max);
            stream.sent = first + said.len() as u64 - 1;
            stream.is_waiting = stream.sent < stream.newest;
            if stream.is_waiting {
                self.waiting.push_back(target);
            }
            if said.is_empty() {
                continue;
            }
            let place = usize::try_from(first - stream.oldest()).unwrap_or_default();
            let batch = Batch {
                origin: self.node,
                stream: stream.number,
                first,
                quiet_ms: stream.frames[place].quiet_ms,
                sent_ms,
                codec: self.config.codec.clone(),
                said,
            };
            return Some((target, batch));
        }
        None
    }

    /// A beat, in as many parts as it takes: call it once a second, and send what it returns.
    pub fn beat(&mut self, state: NodeState, connections: u32, now: Instant) -> Vec<Beat> {
        self.forget(now);
        self.beat += 1;
        let moved: Vec<_> = std::mem::take(&mut self.moved)
            .into_iter()
            .filter_map(|target| Some(moved(target, self.streams.get(&target)?)))
            .collect();
        let beat = |moved| Beat { origin: self.node, number: self.beat, state, connections, moved };
        if moved.is_empty() {
            return vec![beat(moved)];
        }
        moved.chunks(STREAMS_MAX).map(|part| beat(part.to_vec())).collect()
    }

    /// What another server is answered.
    pub fn answer(&self, ask: &Ask, now: Instant) -> Answer {
        match *ask {
            Ask::From { target, stream: number, first } => match self.streams.get(&target) {
                Some(stream) if stream.number == number => self.frames(stream, first, false),
                Some(_) | None => Answer::NoStream,
            },
            Ask::Since { target, age_ms } => match self.streams.get(&target) {
                Some(stream) => {
                    let is_younger = |at: Instant| {
                        now.saturating_duration_since(at).as_millis() < u128::from(age_ms)
                    };
                    let younger = stream.frames.partition_point(|kept| !is_younger(kept.at));
                    let first = stream.oldest() + younger as u64;
                    self.frames(stream, first, stream.lost_at.is_some_and(is_younger))
                }
                None => Answer::NoStream,
            },
            Ask::Moved { beat } => {
                let all = self.streams.iter().filter(|(_, stream)| stream.moved_in > beat);
                let moved: Vec<_> =
                    all.take(STREAMS_MAX + 1).map(|(target, it)| moved(*target, it)).collect();
                let is_truncated = moved.len() > STREAMS_MAX || beat < self.forgotten_in;
                let moved = moved.into_iter().take(STREAMS_MAX).collect();
                Answer::Moved { beat: self.beat, is_truncated, moved }
            }
        }
    }

    /// How far it has spoken to these: its position for those who hear it as soon as it is said.
    pub fn position(&self, target: Target) -> Option<Position> {
        let stream = self.streams.get(&target)?;
        Some(Position { origin: self.node, stream: stream.number, number: stream.newest })
    }

    /// As [`position`](Self::position); where there is no stream, behind all that there may have been
    /// and before all that there will be.
    pub fn spoken_up_to(&self, target: Target) -> Position {
        self.position(target).unwrap_or_else(|| {
            // The next one has the number of the next beat.
            let stream = u32::try_from(self.beat).unwrap_or(u32::MAX);
            Position { origin: self.node, stream, number: NUMBER_MAX }
        })
    }

    /// How many bytes are kept for those who lack them.
    pub const fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// How many streams are known.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    fn frames(&self, stream: &Stream, first: u64, is_truncated: bool) -> Answer {
        let first = first.clamp(stream.oldest(), stream.newest + 1);
        Answer::Frames {
            stream: stream.number,
            first,
            newest: stream.newest,
            is_truncated,
            codec: self.config.codec.clone(),
            said: stream.frames_from(first, FRAMES_MAX, self.config.answer_bytes_max),
        }
    }

    fn lose_oldest(&mut self, now: Instant) {
        let Some(target) = self.kept.pop_front() else { return };
        let Some(stream) = self.streams.get_mut(&target) else { return };
        let Some(lost) = stream.frames.pop_front() else { return };
        self.kept_bytes -= lost.said.bytes() + KEPT_BYTES;
        stream.lost_at = Some(lost.at);
        if stream.frames.is_empty() {
            stream.frames = VecDeque::new();
            self.emptied.push_back((now, target));
        }
    }

    /// Forgets what is too old.
    fn forget(&mut self, now: Instant) {
        while let Some(target) = self.kept.front() {
            let oldest = self.streams.get(target).and_then(|stream| stream.frames.front());
            if oldest.is_some_and(|oldest| after(oldest.at, self.config.ring_age_max) > now) {
                break;
            }
            self.lose_oldest(now);
        }
        let idle_max = self.config.stream_idle_max.max(FORGOTTEN_AFTER);
        while let Some((at, target)) = self.emptied.front().copied() {
            if after(at, idle_max) > now {
                break;
            }
            self.emptied.pop_front();
            let is_idle = |stream: &Stream| {
                stream.frames.is_empty() && after(stream.said_at, idle_max) <= now
            };
            if let Some(stream) = self.streams.get(&target).filter(|stream| is_idle(stream)) {
                self.forgotten_in = self.forgotten_in.max(stream.moved_in);
                self.streams.remove(&target);
            }
        }
    }
}

fn moved(target: Target, stream: &Stream) -> Moved {
    Moved { target, stream: stream.number, newest: stream.newest }
}

fn capped(millis: u128) -> u32 {
    u32::try_from(millis).unwrap_or(u32::MAX)
}
