//! How long a hole is waited for: as long as there is a chance to fill it.

use std::time::{Duration, Instant};

use wspulse_core::cluster::{
    Answer, Ask, Batch, Beat, GroupKey, Inbox, InboxConfig, Missed, NodeId, NodeState, Output,
    Question, Said, Target,
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
fn what_was_said_just_before_the_first_frame_that_comes_is_asked_for() {
    for (quiet_ms, listened_us, begins) in [(0, 0, false), (5, 5_900, false), (6, 5_900, true)] {
        let now = Instant::now();
        let mut inbox = Inbox::new(InboxConfig::default());
        inbox.begin(target(1), now);
        let later = now + Duration::from_micros(listened_us);
        inbox.handle_batch(target(1), Batch { quiet_ms, ..batch(4) }, later);
        assert_eq!(told(&mut inbox).0 == 1, begins, "{quiet_ms} ms, {listened_us} µs");
        assert_eq!(inbox.poll_ask().is_none(), begins);
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

#[test]
fn a_turn_that_is_free_goes_to_the_next_at_once() {
    let now = Instant::now();
    let mut config = InboxConfig::default();
    config.asks_max = 2;
    let mut inbox = holes(STREAMS, config, now);
    let mut answered = 0;
    while let Some(question) = inbox.poll_ask() {
        inbox.handle_answer(question.id, Some(lacking()), now);
        answered += 1;
    }
    assert_eq!(answered, STREAMS, "none of them waits for a clock");
    assert_eq!(told(&mut inbox), (usize::from(STREAMS) * 3, vec![]));
}

#[test]
fn who_waits_for_its_turn_and_is_left_takes_nobodys_turn() {
    let now = Instant::now();
    let mut config = InboxConfig::default();
    config.asks_max = 1;
    let mut inbox = holes(3, config, now);
    let first = inbox.poll_ask().expect("one may ask");
    assert_eq!(inbox.poll_ask(), None);
    inbox.end(target(1));
    inbox.handle_answer(first.id, Some(lacking()), now);
    let Question { ask, .. } = inbox.poll_ask().expect("the next one's turn");
    assert_eq!(ask, Ask::From { target: target(2), stream: 1, first: 2 });
}

/// Passes time. The first stream's questions have no answer; another stream has a hole each half a second,
/// and is told what it lacks.
fn pass_beside_one_that_is_answered(inbox: &mut Inbox, now: &mut Instant, time: Duration) {
    let steps = u64::try_from(time.as_millis() / 500).expect("a short time");
    for step in 0..steps {
        let lacks = 4 + 2 * step;
        inbox.handle_batch(target(1), batch(lacks + 1), *now);
        pass(inbox, now, Duration::from_millis(500), |inbox, question, now| {
            let Ask::From { target: asked, first, .. } = question.ask else {
                panic!("{question:?}")
            };
            let (codec, said) = ("json".into(), said());
            let newest = first + 1;
            let answer =
                Answer::Frames { stream: 1, first, newest, is_truncated: false, codec, said };
            inbox.handle_answer(question.id, (asked == target(1)).then_some(answer), now);
        });
    }
}

#[test]
fn a_server_that_answers_others_is_asked_for_longer() {
    let mut now = Instant::now();
    let mut inbox = holes(2, InboxConfig::default(), now);
    pass_beside_one_that_is_answered(&mut inbox, &mut now, Duration::from_secs(10));
    let (_, gaps) = told(&mut inbox);
    assert_eq!(gaps, [], "it will answer this one too");
}

#[test]
fn a_server_that_answers_others_alone_is_given_up_in_the_end() {
    let mut now = Instant::now();
    let mut inbox = holes(2, InboxConfig::default(), now);
    pass_beside_one_that_is_answered(&mut inbox, &mut now, Duration::from_secs(25));
    let (_, gaps) = told(&mut inbox);
    assert_eq!(gaps, [Missed::Frames(1)]);
}

#[test]
fn a_server_that_has_left_counts_as_gone_as_soon_as_it_is_silent() {
    let begun_at = Instant::now();
    let mut inbox = Inbox::new(InboxConfig::default());
    let leaving = Beat {
        origin: ORIGIN,
        number: 1,
        state: NodeState::Leaving,
        connections: 0,
        moved: vec![],
    };
    inbox.handle_beat(leaving, begun_at);
    let silent_after = InboxConfig::default().silent_after;
    let mut events = Vec::new();
    while let Some(at) = inbox.poll_timeout().filter(|at| *at <= begun_at + silent_after) {
        inbox.handle_timeout(at);
        while let Some(output) = inbox.poll_output() {
            events.push(format!("{output:?}"));
        }
    }
    assert!(events.iter().any(|event| event.starts_with("Gone")), "{events:?}");
}
