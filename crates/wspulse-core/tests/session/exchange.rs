//! What a client of `wspulse.1` hears of its messages is true, also around the end of its session.

use wspulse_core::TransportLost;
use wspulse_core::session::{Action, Counted, SessionConfig};
use wspulse_core::websocket::Flow;

use crate::rig::{Rig, config, kicked};

use Counted::{New, TakenBefore};

/// Whose client speaks `wspulse.1`, its `Opened` callback over.
fn exchanging() -> Rig {
    let mut rig = Rig::opening(SessionConfig { inbound_frames_max: 8, ..config() });
    rig.session.begin_exchange();
    rig.attach();
    rig.finish();
    rig
}

fn message(rig: &mut Rig) {
    rig.session.count_received();
    rig.frame();
}

/// An answer that somebody awaited.
fn taken(rig: &mut Rig) {
    assert_eq!(rig.session.count_received(), New);
    assert_eq!(rig.session.handle_taken(), Flow::Continue);
}

/// Which of so many messages that come again are to be handed in; the turn of none of them has come.
fn again(rig: &mut Rig, messages: usize) -> Vec<Counted> {
    let all = (0..messages).map(|_| {
        let counted = rig.session.count_received();
        match counted {
            New => rig.frame(),
            TakenBefore => rig.session.handle_taken_before(),
        };
        counted
    });
    all.collect()
}

fn ask(rig: &mut Rig) {
    rig.session.handle_client_asked();
    rig.act();
}

/// What the client was answered since this was asked last.
fn answers(rig: &mut Rig) -> Vec<u64> {
    let actions = std::mem::take(&mut rig.actions).into_iter();
    let count = |action| if let Action::Answer(count) = action { Some(count) } else { None };
    actions.filter_map(count).collect()
}

#[test]
fn messages_that_an_end_discards_are_not_told_as_handled() {
    let mut rig = exchanging();
    (0..3).for_each(|_| message(&mut rig));
    rig.end(kicked());

    assert_eq!(rig.discarded, 2);
    assert_eq!(answers(&mut rig), [0], "the first still runs");
    ask(&mut rig);
    rig.finish();
    assert_eq!(answers(&mut rig), [0, 1]);
}

#[test]
fn who_has_asked_about_messages_that_an_end_discards_hears_when_the_others_are_handled() {
    let mut rig = exchanging();
    (0..3).for_each(|_| message(&mut rig));
    ask(&mut rig);
    rig.end(kicked());
    assert_eq!(answers(&mut rig), [0, 0]);
    rig.finish();

    assert_eq!(answers(&mut rig), [1]);
}

#[test]
fn messages_that_come_after_the_end_are_not_told_as_handled() {
    let mut rig = exchanging();
    message(&mut rig);
    rig.finish();
    rig.end(kicked());
    assert_eq!(answers(&mut rig), [1]);
    (0..2).for_each(|_| message(&mut rig));
    ask(&mut rig);

    assert_eq!(rig.discarded, 2);
    assert_eq!(answers(&mut rig), [1]);
}

#[test]
fn a_message_that_is_skipped_for_an_end_on_its_way_is_not_told_as_handled() {
    let mut rig = exchanging();
    message(&mut rig);
    message(&mut rig);
    rig.finish();
    rig.session.handle_message_skipped(rig.now);
    ask(&mut rig);

    assert_eq!(answers(&mut rig), [1]);
}

#[test]
fn an_answer_behind_a_message_that_is_skipped_is_not_told_as_handled() {
    let mut rig = exchanging();
    message(&mut rig);
    message(&mut rig);
    rig.session.count_received();
    assert_eq!(rig.session.handle_taken(), Flow::Continue);
    rig.finish();
    rig.session.handle_message_skipped(rig.now);
    ask(&mut rig);

    assert_eq!(answers(&mut rig), [1]);
}

#[test]
fn an_answer_that_comes_after_a_message_was_skipped_is_not_told_as_handled() {
    let mut rig = exchanging();
    message(&mut rig);
    message(&mut rig);
    rig.finish();
    rig.session.handle_message_skipped(rig.now);
    rig.session.count_received();
    assert_eq!(rig.session.handle_taken(), Flow::Continue);
    ask(&mut rig);

    assert_eq!(answers(&mut rig), [1]);
}

#[test]
fn an_undecodable_message_that_is_skipped_is_not_told_as_handled() {
    let mut rig = exchanging();
    rig.session.count_received();
    assert!(rig.session.start_message());
    rig.session.handle_undecodable_skipped(rig.now);
    ask(&mut rig);

    assert_eq!(answers(&mut rig), [0]);
}

#[test]
fn a_callback_that_is_given_up_is_not_told_as_handled() {
    let mut rig = exchanging();
    (0..2).for_each(|_| message(&mut rig));
    rig.session.handle_callback_given_up(rig.now);
    ask(&mut rig);

    assert_eq!(answers(&mut rig), [0]);
}

#[test]
fn messages_of_a_lost_transport_are_told_as_handled_once_they_are() {
    let mut rig = exchanging();
    (0..2).for_each(|_| message(&mut rig));
    rig.lose(TransportLost::EndOfStream);
    rig.finish();

    assert_eq!((rig.session.received(), rig.session.handled()), (2, 1));
}

#[test]
fn answers_behind_a_message_that_panics_are_not_handed_in_again() {
    let mut rig = exchanging();
    message(&mut rig);
    taken(&mut rig);
    message(&mut rig);
    taken(&mut rig);
    rig.panic();
    assert_eq!(rig.session.received(), 1);
    rig.finish_all();
    rig.attach();
    rig.finish_all();

    assert_eq!(again(&mut rig, 4), [TakenBefore, New, TakenBefore, New]);
    rig.finish_all();
    assert_eq!((rig.session.received(), rig.session.handled()), (5, 5));
}

#[test]
fn answers_are_not_handed_in_again_after_a_second_panic_either() {
    let mut rig = exchanging();
    (0..2).for_each(|_| message(&mut rig));
    (0..2).for_each(|_| taken(&mut rig));
    rig.panic();
    rig.finish_all();
    rig.attach();
    rig.finish_all();

    assert_eq!(again(&mut rig, 2), [New, TakenBefore], "another transport is lost before the last");
    rig.panic();
    rig.finish_all();
    rig.attach();
    rig.finish_all();
    assert_eq!(again(&mut rig, 3), [TakenBefore, TakenBefore, New]);
}
