//! From state to state: what a session does about transports that come, go and fail to come.

use std::time::Duration;

use wspulse_core::session::SessionConfig;
use wspulse_core::websocket::ProtocolError;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, TransportLost};

use crate::rig::{MOMENT, Rig, WINDOW, WRITE_WAIT, config, just_before};

#[test]
fn a_lost_transport_without_a_window_asks_for_the_end_with_its_cause() {
    let mut rig = Rig::connected_without_window();
    rig.lose(TransportLost::EndOfStream);
    let asked = rig.asked_end().expect("an end is asked for");
    assert!(matches!(asked, Disconnect::TransportLost(TransportLost::EndOfStream)));
    assert!(!rig.session.is_suspended());
    assert_eq!(rig.calls(), ["Opened"], "no suspension is told");
}

#[test]
fn a_lost_transport_with_a_window_suspends() {
    let mut rig = Rig::connected();
    rig.lose(TransportLost::EndOfStream);
    assert!(rig.session.is_suspended() && !rig.session.is_writable());
    assert_eq!(rig.timeout(), Some(WINDOW));
    assert_eq!(rig.calls(), ["Opened", "Suspended"]);
}

#[test]
fn a_peer_that_closes_normally_suspends_as_well() {
    let mut rig = Rig::connected();
    let close = CloseFrame::new(CloseCode::NORMAL, "bye");
    rig.lose(TransportLost::PeerClosed(Some(close)));
    assert!(rig.session.is_suspended());
}

#[test]
fn a_close_frame_is_echoed_with_its_code_and_no_reason() {
    let mut rig = Rig::connected();
    let close = CloseFrame::new(CloseCode::new(4000).unwrap(), "bye");
    rig.lose(TransportLost::PeerClosed(Some(close)));
    assert_eq!(rig.close_told(), Some((4000, String::new())));
}

#[test]
fn a_message_over_the_limit_is_told_with_1009() {
    let mut rig = Rig::connected();
    let error = ProtocolError::MessageTooBig { len: 600, limit: 512 };
    rig.lose(TransportLost::Protocol(error));
    assert_eq!(rig.close_told().unwrap().0, 1009);
}

#[test]
fn a_transport_that_can_carry_nothing_is_aborted() {
    let mut rig = Rig::connected();
    rig.lose(TransportLost::EndOfStream);
    assert_eq!(rig.actions(), ["Abort"]);
}

#[test]
fn a_new_transport_resumes_a_suspended_session() {
    let mut rig = Rig::suspended();
    rig.start_upgrade();
    rig.attach();
    assert!(rig.session.is_connected());
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended", "Resumed"]);
}

#[test]
fn a_suspended_session_asks_for_its_end_exactly_at_its_deadline() {
    let mut rig = Rig::suspended();
    rig.pass(just_before(WINDOW));
    assert!(rig.asked_end().is_none());
    rig.pass(MOMENT);
    let asked = rig.asked_end().expect("the window has passed");
    assert!(
        matches!(asked, Disconnect::GraceExpired(TransportLost::EndOfStream)),
        "with the cause of the drop that started it"
    );
}

#[test]
fn an_expiry_that_nobody_confirms_yields_to_a_transport() {
    let mut rig = Rig::suspended();
    rig.pass(WINDOW);
    assert!(rig.asked_end().is_some());
    rig.start_upgrade();
    rig.attach();
    assert!(rig.session.is_connected());
}

#[test]
fn a_transport_on_its_way_holds_the_expiry() {
    let mut rig = Rig::suspended();
    rig.pass(just_before(WINDOW));
    rig.start_upgrade();
    assert_eq!(rig.timeout(), Some(WRITE_WAIT));
    rig.pass(MOMENT);
    assert!(rig.asked_end().is_none());
}

#[test]
fn a_failed_upgrade_leaves_the_old_deadline_standing() {
    let mut rig = Rig::suspended();
    rig.pass(WINDOW / 2);
    rig.start_upgrade();
    rig.fail_upgrade();
    assert_eq!(rig.timeout(), Some(WINDOW / 2));
    assert_eq!(rig.calls(), ["Opened", "Suspended"], "nothing new to tell");
}

#[test]
fn an_upgrade_that_outlasts_the_window_and_fails_lets_the_session_expire_at_once() {
    let mut rig = Rig::suspended();
    rig.pass(just_before(WINDOW));
    rig.start_upgrade();
    rig.pass(2 * MOMENT);
    rig.fail_upgrade();
    assert_eq!(rig.timeout(), Some(Duration::ZERO));
    rig.pass(Duration::ZERO);
    assert!(rig.asked_end().is_some());
}

#[test]
fn an_upgrade_that_takes_longer_than_the_write_wait_is_abandoned() {
    let mut rig = Rig::suspended();
    rig.start_upgrade();
    rig.pass(just_before(WRITE_WAIT));
    assert!(rig.actions().is_empty());
    rig.pass(MOMENT);
    assert_eq!(rig.actions(), ["AbandonUpgrade"]);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_failed_upgrade_beside_a_transport_takes_nothing_away() {
    let mut rig = Rig::connected();
    rig.start_upgrade();
    rig.fail_upgrade();
    assert!(rig.session.is_connected());
    assert!(rig.actions().is_empty());
}

#[test]
fn a_first_upgrade_that_fails_is_a_transport_lost() {
    let mut rig = Rig::opening(config());
    rig.fail_upgrade();
    assert!(rig.session.is_suspended());
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Suspended"]);
}

#[test]
fn a_first_upgrade_that_fails_without_a_window_asks_for_the_end() {
    let config = SessionConfig { resume_window: Duration::ZERO, ..config() };
    let mut rig = Rig::opening(config);
    rig.fail_upgrade();
    let asked = rig.asked_end().expect("an end is asked for");
    assert!(matches!(asked, Disconnect::TransportLost(TransportLost::UpgradeFailed(_))));
}

#[test]
fn a_first_upgrade_that_never_comes_is_abandoned_and_lost() {
    let mut rig = Rig::opening(config());
    assert_eq!(rig.timeout(), Some(WRITE_WAIT));
    rig.pass(WRITE_WAIT);
    assert_eq!(rig.actions(), ["AbandonUpgrade"]);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_window_longer_than_the_clock_can_tell_never_ends() {
    let config = SessionConfig { resume_window: Duration::MAX, ..config() };
    let mut rig = Rig::connected_with(config);
    rig.lose(TransportLost::EndOfStream);
    assert!(rig.timeout().unwrap() > Duration::from_hours(24 * 365));
}

#[test]
fn a_takeover_dismisses_nothing_by_itself_and_stays_connected() {
    let mut rig = Rig::connected();
    rig.start_upgrade();
    rig.attach();
    assert!(rig.session.is_connected());
    assert!(rig.actions().is_empty(), "the driver has parted with the old one");
}

#[test]
fn a_loss_that_is_reported_twice_counts_once() {
    let mut rig = Rig::connected();
    rig.lose(TransportLost::EndOfStream);
    rig.actions();
    rig.lose(TransportLost::PongTimeout);
    assert!(rig.actions().is_empty());
    assert_eq!(rig.calls(), ["Opened", "Suspended"]);
}
