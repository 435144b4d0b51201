//! The life of a server among others that say anything, in any order. The fuzzer plays it too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{Rng, RngExt};
use wspulse_core::cluster::{
    Answer, Ask, Batch, Beat, FRAMES_MAX, GroupKey, Inbox, InboxConfig, Moved, NodeId, NodeState,
    Outbox, OutboxConfig, Question, Said, Target,
};
use wspulse_core::{EncodedFrame, MessageKind};

/// The highest that can be read.
const NUMBER_MAX: u64 = 1 << 62;

/// How often something happens in a life.
const ACTS: usize = 200;

/// Fewer than there are peers.
const NODES_MAX: usize = 3;
const PEERS: u8 = 5;
const ASKS_MAX: usize = 4;
const HELD_BYTES_MAX: usize = 500;
/// One message may go beyond.
const MESSAGE_BYTES_MAX: usize = 100;
const RING_BYTES_MAX: usize = 2_000;

/// Plays one.
///
/// # Panics
///
/// If a bound is exceeded.
pub(crate) fn live(rng: &mut impl Rng) {
    let mut world = World::new();
    for _ in 0..ACTS {
        world.befall(rng);
        world.check();
    }
    world.end();
}

struct World {
    inbox: Inbox,
    outbox: Outbox,
    now: Instant,
    /// What was asked and is not answered.
    open: VecDeque<Question>,
}

impl World {
    fn new() -> Self {
        let mut config = InboxConfig::default();
        config.held_bytes_max = HELD_BYTES_MAX;
        config.nodes_max = NODES_MAX;
        config.asks_max = ASKS_MAX;
        let mut ring = OutboxConfig::default();
        ring.ring_bytes_max = RING_BYTES_MAX;
        ring.answer_bytes_max = 200;
        Self {
            inbox: Inbox::new(config),
            outbox: Outbox::new(NodeId::new([9; 16]), ring),
            now: Instant::now(),
            open: VecDeque::new(),
        }
    }

    fn befall(&mut self, rng: &mut impl Rng) {
        let now = self.now;
        match rng.random_range(0..14) {
            0 => self.inbox.begin(target(rng), now),
            1 => self.inbox.end(target(rng)),
            2 | 3 => self.hear_beat(beat(rng).encode()),
            4..8 => self.hear_batch(target(rng), batch(rng).encode()),
            8 | 9 => self.answer(rng),
            10 => self.answered_question(ask(rng).encode()),
            11 => {
                for said in said(rng) {
                    self.outbox.say(target(rng), said, now);
                }
                let connections = rng.random();
                let _ = self.outbox.beat(NodeState::Serving, connections, now);
            }
            12 => self.hear_anything(rng),
            _ => self.now += Duration::from_millis(rng.random_range(0..3_000)),
        }
    }

    fn hear_beat(&mut self, bytes: Bytes) {
        // As it is read, if it can be.
        if let Ok(beat) = Beat::decode(bytes) {
            self.inbox.handle_beat(beat, self.now);
        }
    }

    fn hear_batch(&mut self, target: Target, bytes: Bytes) {
        if let Ok(batch) = Batch::decode(bytes) {
            self.inbox.handle_batch(target, batch, self.now);
        }
    }

    /// Bytes that need be nothing: behind the version and a kind that is known, mostly.
    fn hear_anything(&mut self, rng: &mut impl Rng) {
        const KINDS: [u8; 9] = [1, 2, 16, 17, 18, 32, 33, 34, 99];
        let mut bytes = vec![0; rng.random_range(0..64)];
        rng.fill_bytes(&mut bytes);
        bytes.splice(0..0, [1, KINDS[rng.random_range(0..KINDS.len())]]);
        let bytes = Bytes::from(bytes);
        self.hear_beat(bytes.clone());
        self.hear_batch(target(rng), bytes.clone());
        self.answered_question(bytes.clone());
        if let Some(question) = self.open.pop_front() {
            self.inbox.handle_answer(question.id, Answer::decode(bytes).ok(), self.now);
        }
    }

    /// Others ask this server.
    fn answered_question(&mut self, bytes: Bytes) {
        let Ok(ask) = Ask::decode(bytes) else { return };
        let answer = self.outbox.answer(&ask, self.now);
        if let Answer::Frames { said, .. } = &answer {
            assert!(said.len() <= FRAMES_MAX, "{} frames are too many to read", said.len());
        }
        let read = Answer::decode(answer.encode());
        assert_eq!(read, Ok(answer), "what was written is read");
    }

    /// Some of what was asked is answered, with anything, or is not.
    fn answer(&mut self, rng: &mut impl Rng) {
        while let Some(question) = self.open.pop_front() {
            let answer = rng.random_bool(0.8).then(|| answer(rng));
            let answer = answer.and_then(|it| Answer::decode(it.encode()).ok());
            self.inbox.handle_answer(question.id, answer, self.now);
            if rng.random_bool(0.3) {
                break;
            }
        }
    }

    fn check(&mut self) {
        self.inbox.handle_timeout(self.now);
        let next = self.inbox.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "it would be called again at once");
        while self.inbox.poll_output().is_some() {}
        self.open.extend(std::iter::from_fn(|| self.inbox.poll_ask()));
        let held = self.inbox.held_bytes();
        assert!(held < HELD_BYTES_MAX + MESSAGE_BYTES_MAX, "{held} bytes are held");
        let nodes = self.inbox.nodes().count();
        assert!(nodes <= NODES_MAX, "{nodes} servers are known");
        for (id, ..) in self.inbox.nodes() {
            // Streams, and which of them have moved.
            let asked = self.open.iter().filter(|question| question.node == id).count();
            assert!(asked <= ASKS_MAX + 1, "{id} is asked {asked} questions");
        }
        let kept = self.outbox.kept_bytes();
        assert!(kept <= RING_BYTES_MAX, "{kept} bytes are kept");
    }

    /// With nobody here, nothing is held of anybody.
    fn end(&mut self) {
        for number in 0..4 {
            self.inbox.end(Target::Group(GroupKey::new([number; 16])));
        }
        self.inbox.end(Target::Everybody);
        assert_eq!(self.inbox.held_bytes(), 0, "of nobody's");
    }
}

fn number(rng: &mut impl Rng) -> u64 {
    match rng.random_range(0..6) {
        0 => u64::MAX,
        1 => NUMBER_MAX - rng.random_range(0..3),
        2 => rng.random_range(1..=NUMBER_MAX),
        _ => rng.random_range(1..40),
    }
}

fn stream(rng: &mut impl Rng) -> u32 {
    if rng.random_bool(0.2) { rng.random() } else { rng.random_range(0..4) }
}

fn said(rng: &mut impl Rng) -> Vec<Said> {
    let frame = EncodedFrame::from_payload(MessageKind::Text, b"hello");
    vec![Said::new(frame); rng.random_range(1..5)]
}

fn target(rng: &mut impl Rng) -> Target {
    if rng.random_bool(0.1) {
        Target::Everybody
    } else {
        Target::Group(GroupKey::new([rng.random_range(0..4); 16]))
    }
}

fn moved(rng: &mut impl Rng) -> Vec<Moved> {
    let count = rng.random_range(0..4);
    let moved = |_| Moved { target: target(rng), stream: stream(rng), newest: number(rng) };
    (0..count).map(moved).collect()
}

fn beat(rng: &mut impl Rng) -> Beat {
    let states = [NodeState::Serving, NodeState::Draining, NodeState::Leaving];
    Beat {
        origin: NodeId::new([rng.random_range(0..PEERS); 16]),
        number: number(rng),
        state: states[rng.random_range(0..states.len())],
        connections: 7,
        moved: moved(rng),
    }
}

fn batch(rng: &mut impl Rng) -> Batch {
    Batch {
        origin: NodeId::new([rng.random_range(0..PEERS); 16]),
        stream: stream(rng),
        first: number(rng).max(1),
        quiet_ms: rng.random(),
        sent_ms: rng.random(),
        codec: "json".into(),
        said: said(rng),
    }
}

fn ask(rng: &mut impl Rng) -> Ask {
    match rng.random_range(0..3) {
        0 => Ask::From { target: target(rng), stream: stream(rng), first: number(rng) },
        1 => Ask::Since { target: target(rng), age_ms: rng.random() },
        _ => Ask::Moved { beat: number(rng) },
    }
}

fn answer(rng: &mut impl Rng) -> Answer {
    match rng.random_range(0..3) {
        0 => Answer::NoStream,
        1 => Answer::Moved { beat: number(rng), is_truncated: rng.random(), moved: moved(rng) },
        _ => Answer::Frames {
            stream: stream(rng),
            first: number(rng).max(1),
            newest: number(rng),
            is_truncated: rng.random(),
            codec: "json".into(),
            said: said(rng),
        },
    }
}
