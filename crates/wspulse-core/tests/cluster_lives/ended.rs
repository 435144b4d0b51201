//! Of which servers it is known that nothing more comes.

use std::time::Instant;

use wspulse_core::cluster::{
    Answer, Ask, Beat, GroupKey, Inbox, InboxConfig, Moved, NodeId, NodeState, Question, Target,
};

const ORIGIN: NodeId = NodeId::new([1; 16]);
const LOBBY: Target = Target::Group(GroupKey::new([1; 16]));
const HALL: Target = Target::Group(GroupKey::new([2; 16]));

fn beat(number: u64, state: NodeState, moved: &[Target]) -> Beat {
    let moved = moved.iter().map(|target| Moved { target: *target, stream: 1, newest: 1 });
    Beat { origin: ORIGIN, number, state, connections: 0, moved: moved.collect() }
}

/// Listens to two groups, and has heard the first beat.
fn listening() -> (Inbox, Instant) {
    let (mut inbox, now) = (Inbox::new(InboxConfig::default()), Instant::now());
    for target in [LOBBY, HALL] {
        inbox.begin(target, now);
    }
    inbox.handle_beat(beat(1, NodeState::Serving, &[]), now);
    (inbox, now)
}

fn has_ended(inbox: &Inbox, target: Target) -> bool {
    inbox.ended(target).any(|it| it == ORIGIN)
}

#[test]
fn a_server_that_has_left_and_said_nothing_to_a_group_has_ended_for_that() {
    let (mut inbox, now) = listening();
    assert!(!has_ended(&inbox, LOBBY));
    inbox.handle_beat(beat(2, NodeState::Leaving, &[HALL]), now);
    assert!(has_ended(&inbox, LOBBY));
    // What it has said there did not come yet.
    assert!(!has_ended(&inbox, HALL));
}

#[test]
fn one_whose_beats_were_lost_has_not_until_it_has_told_what_they_said() {
    let (mut inbox, now) = listening();
    inbox.handle_beat(beat(3, NodeState::Leaving, &[]), now);
    assert!(!has_ended(&inbox, LOBBY));
    let Some(Question { id, ask: Ask::Moved { beat: 1 }, .. }) = inbox.poll_ask() else {
        panic!("it is asked for what the second beat said");
    };
    inbox.handle_answer(id, None, now);
    assert!(!has_ended(&inbox, LOBBY));
    inbox.handle_beat(beat(4, NodeState::Leaving, &[]), now);
    let Some(Question { id, .. }) = inbox.poll_ask() else { panic!("it is asked again") };
    let moved = vec![Moved { target: HALL, stream: 1, newest: 1 }];
    inbox.handle_answer(id, Some(Answer::Moved { beat: 4, is_truncated: false, moved }), now);
    assert!(has_ended(&inbox, LOBBY));
    assert!(!has_ended(&inbox, HALL));
}
