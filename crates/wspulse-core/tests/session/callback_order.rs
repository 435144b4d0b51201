//! The order of callbacks: one at a time, in one grammar, bounded whatever a peer does.

use wspulse_core::session::Predecessor;
use wspulse_core::websocket::Flow;
use wspulse_core::{CloseFrame, Disconnect, SessionEvent, TransportLost};

use crate::rig::{Rig, config, kicked};

fn drop_and_return(rig: &mut Rig) {
    rig.lose(TransportLost::EndOfStream);
    rig.attach();
}

#[test]
fn nothing_is_told_before_the_first_transport_is_there() {
    let mut rig = Rig::opening(config());
    rig.act();
    assert!(rig.calls().is_empty());
    rig.attach();
    assert_eq!(rig.calls(), ["Opened"]);
}

#[test]
fn the_next_callback_waits_for_the_one_that_runs() {
    let mut rig = Rig::opening(config());
    rig.attach();
    rig.frame();
    assert_eq!(rig.calls(), ["Opened"]);
    rig.finish();
    assert_eq!(rig.calls(), ["Opened", "Message"]);
}

#[test]
fn a_drop_and_a_return_are_told_between_the_messages_around_them() {
    let mut rig = Rig::connected();
    rig.frame();
    drop_and_return(&mut rig);
    rig.frame();
    rig.finish_all();
    assert_eq!(rig.calls()[1..], ["Message", "Suspended", "Resumed", "Message"]);
}

fn joined(room: &str) -> SessionEvent {
    SessionEvent::Joined(room.into())
}

fn left(room: &str) -> SessionEvent {
    SessionEvent::Left(room.into())
}

#[test]
fn rooms_are_told_after_the_opening_and_before_the_end() {
    let mut rig = Rig::opening(config());
    rig.session.handle_room(joined("hall"));
    rig.act();
    assert!(rig.calls().is_empty());
    rig.attach();
    rig.frame();
    rig.session.handle_room(joined("attic"));
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Joined", "Message", "Joined"]);
    rig.session.handle_room(left("hall"));
    rig.end(kicked());
    rig.session.handle_room(left("attic"));
    rig.finish_all();
    assert_eq!(rig.calls()[4..], ["Left", "Closed"]);
}

#[test]
fn a_room_that_is_joined_and_left_before_anybody_is_told_is_not_told() {
    let mut rig = Rig::opening(config());
    rig.attach();
    for _ in 0..100 {
        rig.session.handle_room(joined("attic"));
        rig.session.handle_room(joined("cellar"));
        rig.session.handle_room(left("attic"));
        // Rooms between them do not keep these from being told as one.
        drop_and_return(&mut rig);
        rig.session.handle_room(left("cellar"));
    }
    rig.session.handle_room(joined("hall"));
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended", "Resumed", "Joined"]);
    rig.session.handle_room(left("hall"));
    rig.act();
    rig.session.handle_room(joined("hall"));
    rig.finish_all();
    assert_eq!(rig.calls()[4..], ["Left", "Joined"]);
}

#[test]
fn a_return_that_nobody_was_told_of_folds_into_the_next_drop() {
    let mut rig = Rig::opening(config());
    rig.attach();
    for _ in 0..100 {
        drop_and_return(&mut rig);
    }
    rig.lose(TransportLost::PeerClosed(None));
    rig.finish();
    let SessionEvent::Suspended(cause) = rig.last_call() else {
        panic!("{:?}", rig.last_call());
    };
    assert!(matches!(cause, TransportLost::PeerClosed(None)), "the last cause");
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended"]);
}

#[test]
fn a_drop_whose_callback_runs_is_not_folded() {
    let mut rig = Rig::connected();
    drop_and_return(&mut rig);
    drop_and_return(&mut rig);
    rig.finish_all();
    assert_eq!(rig.calls()[1..], ["Suspended", "Resumed", "Suspended", "Resumed"]);
}

#[test]
fn messages_between_two_drops_keep_them_apart() {
    let mut rig = Rig::opening(config());
    rig.attach();
    drop_and_return(&mut rig);
    rig.frame();
    drop_and_return(&mut rig);
    rig.finish_all();
    assert_eq!(rig.calls()[1..], ["Suspended", "Resumed", "Message", "Suspended", "Resumed"]);
}

#[test]
fn a_takeover_is_told_as_a_drop_and_a_return() {
    let mut rig = Rig::connected();
    rig.start_upgrade();
    rig.attach();
    let SessionEvent::Suspended(cause) = rig.last_call() else {
        panic!("{:?}", rig.last_call());
    };
    assert!(matches!(cause, TransportLost::Superseded));
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended", "Resumed"]);
}

#[test]
fn reading_pauses_at_the_bound_and_goes_on_below_it() {
    let mut rig = Rig::opening(config());
    rig.attach();
    let flows = [rig.frame(), rig.frame(), rig.frame()];
    assert_eq!(flows, [Flow::Continue, Flow::Continue, Flow::Pause]);
    rig.finish();
    assert!(rig.session.wants_inbound());
}

#[test]
fn callbacks_wait_for_those_of_the_predecessor() {
    let mut rig = Rig::with_predecessor(config(), Predecessor::Running);
    rig.attach();
    rig.frame();
    rig.lose(TransportLost::EndOfStream);
    assert!(rig.calls().is_empty());
    rig.session.handle_predecessor_finished();
    rig.act();
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Message", "Suspended"]);
}

#[test]
fn a_session_that_ends_behind_its_predecessor_still_waits_for_it() {
    let mut rig = Rig::with_predecessor(config(), Predecessor::Running);
    rig.attach();
    rig.end(Disconnect::Duplicate);
    rig.flush();
    assert!(rig.session.is_closed() && !rig.session.is_finished());
    rig.session.handle_predecessor_finished();
    rig.act();
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Closed"]);
    assert!(rig.session.is_finished());
}

#[test]
fn messages_that_wait_for_a_connection_that_this_side_ends_are_discarded() {
    let mut rig = Rig::connected();
    for _ in 0..3 {
        rig.frame();
    }
    rig.end(kicked());
    assert_eq!(rig.discarded, 2, "the one that runs is not");
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Message", "Closed"]);
}

#[test]
fn messages_of_a_peer_that_went_by_itself_reach_their_callback() {
    let mut rig = Rig::connected_without_window();
    rig.frame();
    rig.frame();
    let cause = TransportLost::PeerClosed(None::<CloseFrame>);
    rig.lose(cause.clone());
    rig.end(Disconnect::TransportLost(cause));
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Message", "Message", "Closed"]);
    assert_eq!(rig.discarded, 0);
}

#[test]
fn a_frame_after_the_end_is_discarded_and_declared() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    assert_eq!(rig.frame(), Flow::Continue, "the peer must be heard closing");
    assert_eq!(rig.discarded, 1);
}

#[test]
fn closed_is_told_once_and_nothing_after_it() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    rig.end(Disconnect::ServerClosed);
    rig.frame();
    rig.lose(TransportLost::EndOfStream);
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Closed"]);
    assert!(rig.session.is_finished());
}
