//! How a session ends: the first end wins, what was accepted is flushed, the peer is told why.

use std::time::Duration;

use wspulse_core::session::SessionConfig;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, SessionEvent, TransportLost};

use crate::rig;
use crate::rig::{FLUSH, Rig, config, kicked};

/// The Close frame that the peer of a healthy transport is told for this end.
fn told_for(end: Disconnect) -> (u16, String) {
    let mut rig = Rig::connected();
    rig.end(end);
    rig.flush();
    rig.close_told().expect("a healthy transport is told")
}

fn told(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

#[test]
fn a_close_is_told_with_1000_and_no_reason() {
    assert_eq!(told_for(Disconnect::Closed), told(1000, ""));
}

#[test]
fn a_kick_is_told_with_1000_and_its_text() {
    assert_eq!(told_for(kicked()), told(1000, "kicked"));
}

#[test]
fn a_duplicate_is_told_with_1000_and_its_reason() {
    assert_eq!(told_for(Disconnect::Duplicate), told(1000, "duplicate connection id"));
}

#[test]
fn a_duplicate_is_told_with_the_code_that_the_server_has_chosen() {
    let duplicate_close = CloseCode::new(4408).unwrap();
    let mut rig = Rig::connected_with(SessionConfig { duplicate_close, ..config() });
    rig.end(Disconnect::Duplicate);
    rig.flush();
    assert_eq!(rig.close_told(), Some(told(4408, "duplicate connection id")));
}

#[test]
fn a_connection_that_makes_way_for_one_of_its_user_is_told_what_the_server_says() {
    let frame = CloseFrame::new(CloseCode::USER_LIMIT, "too many connections");
    assert_eq!(told_for(Disconnect::UserLimit(frame)), told(4409, "too many connections"));
}

#[test]
fn a_shutdown_is_told_with_1001() {
    assert_eq!(told_for(Disconnect::ServerClosed), told(1001, "server shutting down"));
}

#[test]
fn an_end_flushes_before_it_tells() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    assert!(rig.actions().is_empty());
    assert!(rig.session.is_writable() && !rig.session.is_connected());
    rig.flush();
    assert_eq!(rig.actions(), ["Close", "DiscardBacklog"]);
    assert!(rig.session.is_closed());
}

#[test]
fn the_callback_does_not_wait_for_the_flush() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    assert_eq!(rig.calls(), ["Opened", "Closed"]);
}

#[test]
fn a_flush_that_outlasts_its_deadline_is_cut() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    assert_eq!(rig.timeout(), Some(FLUSH));
    rig.pass(FLUSH);
    assert_eq!(rig.actions(), ["Abort", "DiscardBacklog"]);
    assert!(rig.session.is_closed());
}

#[test]
fn a_transport_that_is_lost_during_the_flush_ends_it() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    rig.lose(TransportLost::EndOfStream);
    assert_eq!(rig.actions(), ["Abort", "DiscardBacklog"]);
    assert!(rig.session.is_closed());
}

#[test]
fn the_first_end_wins() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    rig.end(Disconnect::ServerClosed);
    let SessionEvent::Closed(end) = rig.last_call() else {
        panic!("{:?}", rig.last_call());
    };
    assert!(matches!(end, Disconnect::Kicked(_)));
    rig.flush();
    assert_eq!(rig.close_told(), Some(told(1000, "kicked")));
}

#[test]
fn an_end_that_came_before_an_expiry_wins_over_it() {
    let mut rig = Rig::suspended();
    rig.pass(rig::WINDOW);
    assert!(rig.asked_end().is_some());
    rig.end(kicked());
    rig.finish_all();
    let SessionEvent::Closed(end) = rig.last_call() else {
        panic!("{:?}", rig.last_call());
    };
    assert!(matches!(end, Disconnect::Kicked(_)));
}

#[test]
fn a_kicked_suspended_session_ends_at_once() {
    let mut rig = Rig::suspended();
    rig.end(kicked());
    assert!(rig.session.is_closed());
    assert_eq!(rig.actions(), ["DiscardBacklog"]);
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended", "Closed"]);
    assert_eq!(rig.timeout(), None);
}

#[test]
fn a_session_that_ends_before_its_first_transport_tells_that_one() {
    let mut rig = Rig::opening(config());
    rig.end(Disconnect::ServerClosed);
    assert!(!rig.session.is_closed(), "it is still to be told");
    rig.attach();
    rig.flush();
    assert_eq!(rig.close_told(), Some(told(1001, "server shutting down")));
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Closed"]);
}

#[test]
fn a_suspended_session_that_ends_tells_a_transport_on_its_way() {
    let mut rig = Rig::suspended();
    rig.start_upgrade();
    rig.end(kicked());
    rig.attach();
    rig.flush();
    assert_eq!(rig.close_told(), Some(told(1000, "kicked")));
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended", "Closed"], "no return is told");
}

#[test]
fn an_end_is_told_to_the_transport_that_is_there_and_to_the_one_on_its_way() {
    let mut rig = Rig::connected();
    rig.start_upgrade();
    rig.end(kicked());
    rig.flush();
    assert_eq!(rig.close_told(), Some(told(1000, "kicked")));
    assert!(rig.actions().is_empty(), "the backlog may still go to the next");
    rig.attach();
    rig.flush();
    assert_eq!(rig.close_told(), Some(told(1000, "kicked")));
    assert!(rig.session.is_closed());
}

#[test]
fn an_upgrade_that_fails_after_the_end_leaves_nobody_to_tell() {
    let mut rig = Rig::opening(config());
    rig.end(kicked());
    rig.fail_upgrade();
    assert!(rig.session.is_closed());
    assert_eq!(rig.actions(), ["DiscardBacklog"]);
}

#[test]
fn a_transport_on_its_way_is_awaited_until_the_deadline_of_the_end() {
    let mut rig = Rig::opening(config());
    rig.end(kicked());
    rig.pass(FLUSH);
    assert_eq!(rig.actions(), ["AbandonUpgrade", "DiscardBacklog"]);
    assert!(rig.session.is_closed());
}

#[test]
fn a_message_that_an_end_on_its_way_forbids_is_discarded_in_its_turn() {
    let mut rig = Rig::connected();
    assert!(rig.session.start_message());
    rig.session.handle_message_skipped(rig.now);
    rig.act();
    assert_eq!(rig.discarded, 1);
    assert!(rig.session.start_message(), "the turn is over");
    assert_eq!(rig.calls(), ["Opened"]);
}

#[test]
fn a_session_is_finished_when_its_last_callback_has_returned() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    rig.flush();
    assert!(rig.session.is_closed() && !rig.session.is_finished());
    rig.pass(Duration::from_mins(1));
    rig.finish();
    assert!(rig.session.callbacks_are_over() && rig.session.is_finished());
}

#[test]
fn a_callback_that_outlasts_the_end_holds_back_closed() {
    let mut rig = Rig::connected();
    rig.frame();
    rig.end(kicked());
    rig.flush();
    assert_eq!(rig.calls(), ["Opened", "Message"]);
    rig.finish();
    assert_eq!(rig.calls(), ["Opened", "Message", "Closed"]);
}
