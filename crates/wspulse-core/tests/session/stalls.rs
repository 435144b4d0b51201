//! A driver that stood still, as one does whose process was stopped, blames no peer for it.

use std::time::Duration;

use wspulse_core::session::{Pace, SessionConfig, Taken};
use wspulse_core::websocket::Progress;
use wspulse_core::{InboundRate, OverRate, TransportLost};

use crate::rig;
use crate::rig::{MOMENT, PING, PONG, Rig, WINDOW, WRITE_WAIT, config, just_before};

const STOP: Duration = Duration::from_secs(35);

impl Rig {
    /// The driver stands still at the moment at which it was to come, and then comes.
    fn stall(&mut self) {
        let due = self.timeout().expect("something is due");
        self.now += due + STOP;
        self.session.handle_stall(STOP, self.now);
        self.session.handle_timeout(self.now);
        self.act();
    }
}

#[test]
fn a_peer_that_was_not_asked_is_pinged_and_not_lost() {
    let mut rig = Rig::connected();
    rig.stall();
    assert_eq!(rig.actions(), ["Ping"]);
    assert!(rig.session.is_connected());
}

#[test]
fn a_peer_that_stays_silent_is_lost_once_its_time_without_the_stall_is_over() {
    let mut rig = Rig::connected();
    rig.stall();
    rig.pass(just_before(PONG.saturating_sub(PING)));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_peer_whose_time_was_as_good_as_over_can_still_answer() {
    let mut rig = Rig::connected();
    rig.pass(PING);
    rig.pass(PING);
    assert_eq!(rig.timeout(), Some(PONG.saturating_sub(2 * PING)));
    rig.stall();
    rig.pass(just_before(PONG.saturating_sub(PING)));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_write_has_the_rest_of_its_time() {
    let mut rig = Rig::connected();
    rig.session.handle_write_blocked(Taken { frames: 1, bytes: 10, ..Taken::default() }, rig.now);
    rig.stall();
    rig.session.handle_activity(rig.now);
    rig.pass(just_before(WRITE_WAIT.saturating_sub(PING)));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_resume_window_that_ran_out_leaves_time_for_a_client_that_waits() {
    let mut rig = Rig::suspended();
    rig.stall();
    assert!(rig.asked_end().is_none());
    rig.pass(Duration::from_secs(4));
    assert!(rig.asked_end().is_none());
    rig.pass(WINDOW);
    assert!(rig.asked_end().is_some());
}

#[test]
fn a_message_that_has_begun_has_time_to_be_completed() {
    let timeout = Duration::from_secs(3);
    let mut rig = Rig::connected_with(SessionConfig { message_timeout: timeout, ..config() });
    rig.session.handle_progress(Progress::Begun, rig.now);
    rig.stall();
    rig.session.handle_activity(rig.now);
    rig.pass(just_before(timeout));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended());
}

/// All that came in the meantime is read at one instant.
#[test]
fn what_a_peer_sent_at_its_rate_meanwhile_is_not_too_much_at_once() {
    let rate = InboundRate::new(OverRate::Close).messages(2, 4).bytes(100, 200);
    let mut rig = Rig::connected_with(SessionConfig { inbound_rate: Some(rate), ..config() });
    rig.stall();
    let meanwhile = STOP + PING;
    for _ in 0..2 * meanwhile.as_secs() + 4 {
        assert_eq!(rig.session.admit_message(rig.now), Pace::Within);
        assert_eq!(rig.session.admit_bytes(50, rig.now), Pace::Within);
    }
    assert_eq!(rig.session.admit_message(rig.now), Pace::Over);
    assert_eq!(rig.session.admit_bytes(50, rig.now), Pace::Over);
}

#[test]
fn an_upgrade_has_time_to_come_about() {
    let mut rig = Rig::opening(config());
    rig.stall();
    assert!(rig.actions().is_empty());
    rig.attach();
    assert!(rig.session.is_connected());
}

#[test]
fn what_was_accepted_before_an_end_has_time_to_be_written() {
    let mut rig = Rig::connected();
    rig.end(rig::kicked());
    rig.stall();
    assert!(!rig.session.is_closed());
    rig.flush();
    assert_eq!(rig.actions(), ["Close", "DiscardBacklog"]);
}

#[test]
fn a_transport_that_was_lost_before_is_not_brought_back() {
    let mut rig = Rig::connected_without_window();
    rig.lose(TransportLost::EndOfStream);
    rig.session.handle_stall(STOP, rig.now + STOP);
    assert!(!rig.session.is_connected());
}

#[test]
fn a_stall_that_began_before_a_suspension_gives_its_client_no_more_than_the_whole_window() {
    let mut rig = Rig::suspended();
    rig.session.handle_stall(10 * WINDOW, rig.now);
    assert_eq!(rig.timeout(), Some(WINDOW));
}
