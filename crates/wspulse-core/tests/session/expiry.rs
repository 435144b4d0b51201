//! A permission runs out, and nothing that a session does puts that off but a renewal.

use std::time::Duration;

use wspulse_core::session::SessionConfig;
use wspulse_core::{Disconnect, TransportLost};

use crate::rig::{MOMENT, Rig, WINDOW, config, just_before, kicked};

const LIFE: Duration = Duration::from_secs(10);
const NOTICE: Duration = Duration::from_secs(4);
const BEFORE_NOTICE: Duration = Duration::from_secs(6);

fn expiring_in(mut rig: Rig, life: Duration) -> Rig {
    rig.session.handle_expiry(rig.now + life);
    rig.act();
    rig
}

fn noticing() -> SessionConfig {
    SessionConfig { expiry_notice: Some(NOTICE), ..config() }
}

/// Passes time that the peer is heard in, so that the heartbeat stays out of it.
fn pass(rig: &mut Rig, time: Duration) {
    rig.session.handle_activity(rig.now + time);
    rig.pass(time);
}

fn has_expired(rig: &Rig) -> bool {
    matches!(rig.asked_end(), Some(Disconnect::Expired))
}

#[test]
fn a_connection_expires_when_its_time_has_come_and_not_before() {
    let mut rig = expiring_in(Rig::connected(), LIFE);
    pass(&mut rig, just_before(LIFE));
    assert!(!has_expired(&rig));
    pass(&mut rig, MOMENT);
    assert!(has_expired(&rig));
    rig.end(Disconnect::Expired);
    rig.flush();
    assert_eq!(rig.close_told(), Some((4401, "expired".to_owned())));
}

#[test]
fn a_session_wants_to_be_told_the_time_when_it_expires() {
    let life = Duration::from_secs(2);
    let rig = expiring_in(Rig::connected(), life);
    assert_eq!(rig.timeout(), Some(life));
    let rig = expiring_in(Rig::suspended(), life);
    assert_eq!(rig.timeout(), Some(life));
    let rig = expiring_in(Rig::opening(config()), life);
    assert_eq!(rig.timeout(), Some(life));
}

#[test]
fn it_expires_while_its_handler_is_busy_and_reading_is_paused() {
    let mut rig = expiring_in(Rig::connected(), LIFE);
    for _ in 0..=config().inbound_frames_max {
        rig.frame();
    }
    assert!(!rig.session.wants_inbound());
    pass(&mut rig, LIFE);
    assert!(has_expired(&rig));
}

#[test]
fn messages_that_wait_for_their_handler_are_discarded_by_an_expiry() {
    let mut rig = expiring_in(Rig::connected(), LIFE);
    rig.frame();
    rig.frame();
    pass(&mut rig, LIFE);
    rig.end(Disconnect::Expired);
    rig.finish_all();
    assert_eq!((rig.calls(), rig.discarded), (vec!["Opened", "Message", "Closed"], 1));
}

#[test]
fn it_expires_while_it_is_suspended_before_its_window_has_passed() {
    assert!(LIFE < WINDOW);
    let mut rig = expiring_in(Rig::suspended(), LIFE);
    rig.pass(LIFE);
    assert!(has_expired(&rig));
}

#[test]
fn a_transport_on_its_way_does_not_hold_an_expiry_and_is_told_of_it() {
    let mut rig = expiring_in(Rig::suspended(), LIFE);
    rig.pass(just_before(LIFE));
    rig.start_upgrade();
    rig.pass(MOMENT);
    assert!(has_expired(&rig));
    rig.end(Disconnect::Expired);
    rig.attach();
    rig.flush();
    assert_eq!(rig.close_told(), Some((4401, "expired".to_owned())));
}

#[test]
fn the_first_callback_comes_first_although_it_expired_before_its_first_transport() {
    let mut rig = expiring_in(Rig::opening(noticing()), LIFE);
    rig.pass(BEFORE_NOTICE);
    assert_eq!(rig.calls(), [""; 0], "no notice before it has come up");
    rig.pass(NOTICE);
    assert!(has_expired(&rig));
    rig.end(Disconnect::Expired);
    rig.attach();
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Closed"]);
}

#[test]
fn a_renewal_puts_the_expiry_off_also_when_it_has_been_asked_for() {
    let mut rig = expiring_in(Rig::connected(), LIFE);
    pass(&mut rig, LIFE);
    assert!(has_expired(&rig));
    // The end has given way.
    let mut rig = expiring_in(rig, LIFE);
    rig.actions.clear();
    pass(&mut rig, just_before(LIFE));
    assert!(!has_expired(&rig));
    pass(&mut rig, MOMENT);
    assert!(has_expired(&rig));
}

#[test]
fn a_renewal_may_bring_the_expiry_forward() {
    let mut rig = expiring_in(expiring_in(Rig::connected(), LIFE), MOMENT);
    pass(&mut rig, MOMENT);
    assert!(has_expired(&rig));
}

#[test]
fn a_server_that_stood_still_does_not_put_an_expiry_off() {
    let mut rig = expiring_in(Rig::connected(), LIFE);
    rig.now += 2 * LIFE;
    rig.session.handle_stall(2 * LIFE, rig.now);
    pass(&mut rig, Duration::ZERO);
    assert!(has_expired(&rig));
}

#[test]
fn the_application_hears_of_an_expiry_once_and_in_time() {
    let mut rig = expiring_in(Rig::connected_with(noticing()), LIFE);
    pass(&mut rig, just_before(BEFORE_NOTICE));
    assert_eq!(rig.calls(), ["Opened"]);
    pass(&mut rig, MOMENT);
    assert_eq!(rig.calls(), ["Opened", "Expiring"]);
    rig.finish();
    pass(&mut rig, just_before(NOTICE));
    assert_eq!(rig.calls(), ["Opened", "Expiring"]);
}

#[test]
fn an_expiry_that_is_nearer_than_its_notice_is_told_at_once() {
    let mut rig = expiring_in(Rig::connected_with(noticing()), MOMENT);
    pass(&mut rig, Duration::ZERO);
    assert_eq!(rig.calls(), ["Opened", "Expiring"]);
}

#[test]
fn each_renewal_has_a_notice_of_its_own() {
    let mut rig = expiring_in(Rig::connected_with(noticing()), LIFE);
    pass(&mut rig, BEFORE_NOTICE);
    rig.finish();
    let mut rig = expiring_in(rig, LIFE);
    pass(&mut rig, BEFORE_NOTICE);
    assert_eq!(rig.calls(), ["Opened", "Expiring", "Expiring"]);
}

#[test]
fn a_notice_that_waits_is_taken_back_by_a_renewal() {
    let mut rig = expiring_in(Rig::connected_with(noticing()), LIFE);
    rig.frame();
    pass(&mut rig, BEFORE_NOTICE);
    let mut rig = expiring_in(rig, LIFE);
    rig.finish();
    assert_eq!(rig.calls(), ["Opened", "Message"]);
}

#[test]
fn a_notice_that_waits_is_taken_back_by_the_end() {
    let mut rig = expiring_in(Rig::connected_with(noticing()), LIFE);
    rig.frame();
    pass(&mut rig, BEFORE_NOTICE);
    rig.end(kicked());
    rig.finish_all();
    assert_eq!(rig.calls(), ["Opened", "Message", "Closed"]);
}

#[test]
fn a_suspended_session_gives_notice_as_well() {
    let mut rig = Rig::connected_with(noticing());
    rig.lose(TransportLost::EndOfStream);
    rig.finish();
    let mut rig = expiring_in(rig, LIFE);
    rig.pass(BEFORE_NOTICE);
    assert_eq!(rig.calls(), ["Opened", "Suspended", "Expiring"]);
}

#[test]
fn notices_do_not_keep_a_flapping_transports_callbacks_from_being_folded() {
    let mut rig = Rig::connected_with(noticing());
    rig.frame();
    for _ in 0..100 {
        rig.lose(TransportLost::EndOfStream);
        rig = expiring_in(rig, MOMENT);
        rig.pass(Duration::ZERO);
        rig.attach();
    }
    rig.finish_all();
    let told = rig.calls().split_off(2);
    assert_eq!(told, ["Suspended", "Expiring", "Resumed"]);
}

#[test]
fn a_session_that_has_ended_does_not_expire() {
    let mut rig = Rig::connected();
    rig.end(kicked());
    let mut rig = expiring_in(rig, MOMENT);
    rig.pass(MOMENT);
    assert!(!has_expired(&rig));
}
