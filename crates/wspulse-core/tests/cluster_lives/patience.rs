//! How long a hole is waited for: as long as there is a chance to fill it.

use std::time::{Duration, Instant};

use wspulse_core::cluster::{
    Answer, Batch, GroupKey, Inbox, InboxConfig, Missed, NodeId, Output, Question, Said, Target,
};
use wspulse_core::{EncodedFrame, MessageKind};

const ORIGIN: NodeId = NodeId::new([1; 16]);
const STREAMS: u8 = 20;

fn target(number: u8) -> Target {
    Target::Group(GroupKey::new([number; 16]))
}

fn said() -> Vec<Said> {
    vec![Said::new(EncodedFrame::from_payload(MessageKind::Text, b"{}"))]
}

fn batch(first: u64) -> Batch {
    Batch {
        origin: ORIGIN,
        stream: 1,
        first,
        quiet_ms: u32::MAX,
        sent_ms: 0,
        codec: "json".into(),
        said: said(),
    }
}

/// The second frame of three.
fn lacking() -> Answer {
    let (codec, said) = ("json".into(), said());
    Answer::Frames { stream: 1, first: 2, newest: 3, is_truncated: false, codec, said }
}

/// Streams of which the second of three frames is lacking.
fn holes(streams: u8, config: InboxConfig, now: Instant) -> Inbox {
    let mut inbox = Inbox::new(config);
    for number in 0..streams {
        inbox.begin(target(number), now);
        inbox.handle_batch(target(number), batch(1), now);
        inbox.handle_batch(target(number), batch(3), now);
    }
    inbox
}

/// How many frames were told, and which gaps.
fn told(inbox: &mut Inbox) -> (usize, Vec<Missed>) {
    let (mut frames, mut gaps) = (0, Vec::new());
    while let Some(output) = inbox.poll_output() {
        match output {
            Output::Said { said, .. } => frames += said.len(),
            Output::Gap { missed, .. } => gaps.push(missed),
            Output::Present(_) | Output::Silent(_) | Output::Gone(_) => {}
        }
    }
    (frames, gaps)
}

/// Passes time in small steps, and has each question met as is said.
fn pass(
    inbox: &mut Inbox,
    now: &mut Instant,
    time: Duration,
    mut meet: impl FnMut(&mut Inbox, Question, Instant),
) {
    let end = *now + time;
    while *now < end {
        *now += Duration::from_millis(10);
        inbox.handle_timeout(*now);
        while let Some(question) = inbox.poll_ask() {
            meet(inbox, question, *now);
        }
    }
}

#[test]
fn who_waits_for_a_turn_to_ask_gives_nothing_up() {
    let mut now = Instant::now();
    let mut config = InboxConfig::default();
    config.asks_max = 1;
    let mut inbox = holes(STREAMS, config, now);
    // One after the other, so that the last one waits for ten seconds.
    for _ in 0..STREAMS {
        let question = loop {
            if let Some(question) = inbox.poll_ask() {
                break question;
            }
            now += Duration::from_millis(10);
            inbox.handle_timeout(now);
        };
        now += Duration::from_millis(500);
        inbox.handle_timeout(now);
        inbox.handle_answer(question.id, Some(lacking()), now);
    }
    let (frames, gaps) = told(&mut inbox);
    assert_eq!(gaps, [], "what was not asked for yet may be there");
    assert_eq!(frames, usize::from(STREAMS) * 3);
}

#[test]
fn while_nobody_can_be_asked_nothing_is_given_up() {
    let mut now = Instant::now();
    let mut inbox = holes(1, InboxConfig::default(), now);
    let cut_off =
        |inbox: &mut Inbox, question: Question, now| inbox.handle_unasked(question.id, now);
    pass(&mut inbox, &mut now, Duration::from_secs(30), cut_off);
    assert_eq!(told(&mut inbox), (1, vec![]));
    let answers = |inbox: &mut Inbox, question: Question, now| {
        inbox.handle_answer(question.id, Some(lacking()), now);
    };
    pass(&mut inbox, &mut now, Duration::from_secs(1), answers);
    assert_eq!(told(&mut inbox), (2, vec![]));
}

#[test]
fn what_nobody_answers_for_is_given_up_within_seconds() {
    let mut now = Instant::now();
    let mut inbox = holes(1, InboxConfig::default(), now);
    let silent =
        |inbox: &mut Inbox, question: Question, now| inbox.handle_answer(question.id, None, now);
    pass(&mut inbox, &mut now, Duration::from_secs(4), silent);
    assert_eq!(told(&mut inbox), (1, vec![]));
    pass(&mut inbox, &mut now, Duration::from_secs(2), silent);
    assert_eq!(told(&mut inbox), (1, vec![Missed::Frames(1)]));
}
