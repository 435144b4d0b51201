//! Whatever another server says, nothing panics, and no more is held than may be.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use wspulse_core::cluster::{
    Answer, Batch, Beat, GroupKey, Inbox, InboxConfig, Moved, NodeId, NodeState, Said, Target,
};
use wspulse_core::{EncodedFrame, MessageKind};

const LIVES: u64 = 2_000;

/// The highest that can be read.
const NUMBER_MAX: u64 = 1 << 62;

fn number(rng: &mut SmallRng) -> u64 {
    match rng.random_range(0..6) {
        0 => u64::MAX,
        1 => NUMBER_MAX - rng.random_range(0..3),
        2 => rng.random_range(1..=NUMBER_MAX),
        _ => rng.random_range(1..40),
    }
}

fn stream(rng: &mut SmallRng) -> u32 {
    if rng.random_bool(0.2) { rng.random() } else { rng.random_range(0..4) }
}

fn said(rng: &mut SmallRng) -> Vec<Said> {
    let frame = EncodedFrame::from_payload(MessageKind::Text, b"hello");
    vec![Said::new(frame); rng.random_range(1..5)]
}

fn target(rng: &mut SmallRng) -> Target {
    if rng.random_bool(0.1) {
        Target::Everybody
    } else {
        Target::Group(GroupKey::new([rng.random_range(0..4); 16]))
    }
}

fn moved(rng: &mut SmallRng) -> Vec<Moved> {
    let count = rng.random_range(0..4);
    let moved = |rng: &mut SmallRng| Moved {
        target: target(rng),
        stream: stream(rng),
        newest: number(rng),
    };
    (0..count).map(|_| moved(rng)).collect()
}

fn answer(rng: &mut SmallRng) -> Answer {
    match rng.random_range(0..3) {
        0 => Answer::NoStream,
        1 => {
            let (beat, is_truncated) = (number(rng), rng.random());
            Answer::Moved { beat, is_truncated, moved: moved(rng) }
        }
        _ => {
            let first = number(rng).max(1);
            let said = said(rng);
            let newest = number(rng);
            let (stream, is_truncated, codec) = (stream(rng), rng.random(), "json".into());
            Answer::Frames { stream, first, newest, is_truncated, codec, said }
        }
    }
}

fn live(seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut config = InboxConfig::default();
    config.held_bytes_max = 500;
    let mut inbox = Inbox::new(config);
    let mut now = Instant::now();
    for _ in 0..200 {
        let origin = NodeId::new([rng.random_range(0..3); 16]);
        match rng.random_range(0..10) {
            0 => inbox.begin(target(&mut rng), now),
            1 => inbox.end(target(&mut rng)),
            2 | 3 => {
                let (number, connections) = (number(&mut rng), 7);
                let (state, moved) = (NodeState::Serving, moved(&mut rng));
                let beat = Beat { origin, number, state, connections, moved };
                // As it is read, if it can be.
                if let Ok(beat) = Beat::decode(beat.encode()) {
                    inbox.handle_beat(beat, now);
                }
            }
            4..8 => {
                let first = number(&mut rng).max(1);
                let batch = Batch {
                    origin,
                    stream: stream(&mut rng),
                    first,
                    quiet_ms: rng.random(),
                    sent_ms: rng.random(),
                    codec: "json".into(),
                    said: said(&mut rng),
                };
                if let Ok(batch) = Batch::decode(batch.encode()) {
                    inbox.handle_batch(target(&mut rng), batch, now);
                }
            }
            8 => {
                while let Some(question) = inbox.poll_ask() {
                    let answer = rng.random_bool(0.8).then(|| answer(&mut rng));
                    let answer = answer.and_then(|it| Answer::decode(it.encode()).ok());
                    inbox.handle_answer(question.id, answer, now);
                    if rng.random_bool(0.3) {
                        break;
                    }
                }
            }
            _ => now += Duration::from_millis(rng.random_range(0..3_000)),
        }
        inbox.handle_timeout(now);
        while inbox.poll_output().is_some() {}
        // One message may go beyond.
        assert!(inbox.held_bytes() < 600, "{} bytes are held", inbox.held_bytes());
    }
    for number in 0..4 {
        inbox.end(Target::Group(GroupKey::new([number; 16])));
    }
    inbox.end(Target::Everybody);
    assert_eq!(inbox.held_bytes(), 0, "of nobody's");
}

#[test]
fn whatever_is_said_nothing_panics_and_no_more_is_held_than_may_be() {
    for seed in 0..LIVES {
        let life = std::panic::catch_unwind(|| live(seed));
        assert!(life.is_ok(), "the life of seed {seed} has failed");
    }
}
