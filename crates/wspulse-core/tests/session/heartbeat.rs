//! When a peer is pinged, and when its silence counts.

use wspulse_core::session::SessionConfig;
use wspulse_core::session::Taken;
use wspulse_core::websocket::Flow;
use wspulse_core::{Dismissal, TransportLost};

use crate::rig;
use crate::rig::{MOMENT, PING, PONG, Rig, WRITE_WAIT, config, just_before};

/// Reading is paused: a callback runs, and as many frames as may wait do.
fn paused() -> Rig {
    let mut rig = Rig::connected();
    while rig.frame() == Flow::Continue {}
    assert!(!rig.session.wants_inbound());
    rig
}

#[test]
fn the_first_ping_comes_after_one_full_period() {
    let mut rig = Rig::connected();
    assert_eq!(rig.timeout(), Some(PING));
    rig.pass(just_before(PING));
    assert!(rig.actions().is_empty());
    rig.pass(MOMENT);
    assert_eq!(rig.actions(), ["Ping"]);
}

#[test]
fn pings_come_one_period_apart() {
    let mut rig = Rig::connected();
    rig.pass(PING);
    assert_eq!(rig.timeout(), Some(PING));
    rig.pass(PING);
    assert_eq!(rig.actions(), ["Ping", "Ping"]);
}

#[test]
fn a_driver_that_asks_only_for_pings_is_told_when_one_is_due() {
    let mut rig = Rig::connected();
    assert!(!rig.session.poll_ping(rig.now + just_before(PING)));
    assert_eq!(rig.session.deadlines().ping, Some(rig.now + PING));
    assert!(rig.session.poll_ping(rig.now + PING));
    assert!(!rig.session.poll_ping(rig.now + PING));
    assert_eq!(rig.timeout(), Some(2 * PING));
}

#[test]
fn a_ping_that_somebody_else_has_sent_is_followed_by_the_next_an_interval_after_it() {
    let mut rig = Rig::connected();
    rig.session.handle_pinged(rig.now + PING);
    rig.pass(PING + MOMENT);
    assert!(rig.actions().is_empty());
    assert_eq!(rig.session.deadlines().ping, Some(rig.now + just_before(PING)));
    rig.pass(just_before(PING));
    assert_eq!(rig.actions(), ["Ping"]);
}

#[test]
fn a_driver_that_asks_only_for_pings_sends_none_to_a_peer_whose_time_is_over() {
    let mut rig = Rig::connected();
    assert!(!rig.session.poll_ping(rig.now + PONG));
    rig.pass(PONG);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_late_driver_pings_once_and_not_once_for_each_missed_period() {
    let mut rig = Rig::connected();
    rig.session.handle_activity(rig.now + 4 * PING);
    rig.pass(4 * PING);
    assert_eq!(rig.actions(), ["Ping"]);
}

#[test]
fn a_peer_that_is_silent_for_the_pong_timeout_is_lost() {
    let mut rig = Rig::connected();
    rig.pass(just_before(PONG));
    rig.actions();
    rig.pass(MOMENT);
    assert_eq!(rig.close_told(), Some((1001, "pong timeout".to_owned())));
    assert!(rig.session.is_suspended());
}

#[test]
fn any_byte_proves_that_the_peer_lives() {
    let mut rig = Rig::connected();
    rig.pass(just_before(PONG));
    rig.session.handle_activity(rig.now);
    rig.pass(just_before(PONG));
    assert!(rig.session.is_writable());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn there_is_no_pong_timeout_while_reading_is_paused() {
    let mut rig = paused();
    rig.pass(10 * PONG);
    assert!(rig.session.is_writable());
    assert_eq!(rig.timeout(), Some(PING), "pings go on");
}

#[test]
fn a_peer_that_is_read_again_gets_its_whole_time() {
    let mut rig = paused();
    rig.pass(10 * PONG);
    rig.finish();
    assert!(rig.session.wants_inbound());
    rig.pass(just_before(PONG));
    assert!(rig.session.is_writable());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn the_next_transport_has_a_heartbeat_of_its_own() {
    let mut rig = Rig::connected();
    rig.pass(just_before(PING));
    rig.lose(TransportLost::EndOfStream);
    rig.attach();
    assert_eq!(rig.timeout(), Some(PING));
}

#[test]
fn a_suspended_session_neither_pings_nor_listens() {
    let mut rig = Rig::suspended();
    rig.pass(2 * PING);
    assert!(rig.actions().is_empty());
}

#[test]
fn a_session_that_is_flushed_for_its_end_no_longer_pings() {
    let config = SessionConfig { write_wait: 10 * PONG, ..config() };
    let mut rig = Rig::connected_with(config);
    let deadline = rig.now + 10 * PONG;
    rig.session.handle_end(rig::kicked(), deadline);
    rig.act();
    assert_eq!(rig.timeout(), Some(10 * PONG));
    rig.pass(2 * PONG);
    assert!(rig.actions().is_empty());
}

#[test]
fn a_socket_that_takes_no_frame_within_the_write_wait_is_given_up() {
    let mut rig = Rig::connected();
    rig.session.handle_write_blocked(Taken::default(), rig.now);
    rig.pass(just_before(WRITE_WAIT));
    assert!(rig.session.is_writable());
    rig.actions();
    rig.pass(MOMENT);
    assert_eq!(rig.dismissal(), Some(Dismissal::Abort));
}

#[test]
fn a_socket_that_takes_a_frame_more_slowly_than_the_least_rate_gets_no_more_time() {
    let mut rig = Rig::connected();
    rig.session.handle_write_blocked(Taken::default(), rig.now);
    // At half the rate, each half of the write wait buys a quarter.
    for _ in 0..2 {
        rig.pass(WRITE_WAIT / 2);
        rig.session
            .handle_write_blocked(Taken { frames: 0, bytes: 250, ..Taken::default() }, rig.now);
    }
    rig.session.handle_activity(rig.now);
    rig.pass(just_before(WRITE_WAIT / 2));
    assert!(rig.session.is_writable());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_socket_that_takes_a_long_frame_fast_enough_has_its_time_for_as_long_as_it_does() {
    let mut rig = Rig::connected();
    rig.session.handle_write_blocked(Taken { frames: 0, bytes: 500, ..Taken::default() }, rig.now);
    for _ in 0..100 {
        for bytes in [400, 600] {
            rig.pass(just_before(WRITE_WAIT / 2));
            rig.session.handle_activity(rig.now);
            rig.session
                .handle_write_blocked(Taken { frames: 0, bytes, ..Taken::default() }, rig.now);
        }
    }
    assert!(rig.session.is_writable());
    rig.pass(WRITE_WAIT);
    assert!(rig.session.is_suspended());
}

/// It leaves unseen: the time passes without a word of progress.
#[test]
fn what_a_socket_holds_back_has_its_time_at_the_least_rate_beside_the_write_wait() {
    let mut rig = Rig::connected();
    let held = Taken { frames: 1, bytes: 500, bytes_held: 500 };
    rig.session.handle_write_blocked(held, rig.now);
    for time in [WRITE_WAIT / 2, just_before(WRITE_WAIT)] {
        rig.session.handle_activity(rig.now);
        rig.pass(time);
        assert!(rig.session.is_writable());
    }
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn each_frame_that_is_taken_whole_gives_the_next_its_full_time() {
    let mut rig = Rig::connected();
    rig.session.handle_write_blocked(Taken::default(), rig.now);
    rig.pass(WRITE_WAIT / 2);
    rig.session.handle_activity(rig.now);
    rig.session.handle_write_blocked(Taken { frames: 1, bytes: 10, ..Taken::default() }, rig.now);
    rig.pass(just_before(WRITE_WAIT));
    assert!(rig.session.is_writable());
}

#[test]
fn a_socket_that_has_taken_everything_is_under_no_deadline() {
    let mut rig = Rig::connected();
    rig.session.handle_write_blocked(Taken::default(), rig.now);
    rig.flush();
    rig.pass(WRITE_WAIT);
    assert!(rig.session.is_writable());
}
