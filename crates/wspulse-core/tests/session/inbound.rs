//! What a session says of a peer that sends too fast, or too slowly.

use std::time::Duration;

use wspulse_core::session::{Pace, SessionConfig};
use wspulse_core::websocket::Progress;
use wspulse_core::{Disconnect, InboundRate, OverRate, TransportLost};

use crate::rig;
use crate::rig::{MOMENT, PONG, Rig, config, just_before};

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(4);

fn limited(rate: InboundRate) -> Rig {
    Rig::connected_with(SessionConfig {
        inbound_rate: Some(rate),
        message_timeout: TIMEOUT,
        ..config()
    })
}

fn pausing() -> InboundRate {
    InboundRate::new(OverRate::Pause)
}

fn closing() -> InboundRate {
    InboundRate::new(OverRate::Close)
}

impl Rig {
    fn message(&mut self) -> Pace {
        self.session.admit_message(self.now)
    }

    fn bytes(&mut self, bytes: usize) -> Pace {
        self.session.admit_bytes(bytes, self.now)
    }

    pub(crate) fn progress(&mut self, progress: Progress) {
        self.session.handle_progress(progress, self.now);
    }
}

// ---- pausing ----

#[test]
fn a_peer_is_read_until_its_burst_is_spent() {
    let mut rig = limited(pausing().messages(1, 3));
    assert_eq!([rig.message(), rig.message()], [Pace::Within; 2]);
    assert!(rig.session.wants_inbound());
    assert_eq!(rig.message(), Pace::Last);
    assert!(!rig.session.wants_inbound());
}

#[test]
fn reading_goes_on_when_there_is_a_token_again() {
    let mut rig = limited(pausing().messages(1, 2));
    rig.message();
    rig.message();
    assert_eq!(rig.timeout(), Some(SECOND));
    rig.pass(just_before(SECOND));
    assert!(!rig.session.wants_inbound());
    rig.pass(MOMENT);
    assert!(rig.session.wants_inbound());
    assert_eq!(rig.message(), Pace::Last);
}

#[test]
fn the_slower_of_two_rates_says_when_reading_goes_on() {
    let mut rig = limited(pausing().messages(1, 1).bytes(10, 100));
    assert_eq!(rig.bytes(100), Pace::Last);
    assert_eq!(rig.message(), Pace::Last);
    rig.pass(SECOND);
    assert!(rig.session.wants_inbound(), "a byte is there after a tenth of that");
}

#[test]
fn a_read_takes_no_more_bytes_than_there_are_tokens() {
    let mut rig = limited(pausing().bytes(10, 100));
    assert_eq!(rig.session.read_bytes_max(64, rig.now), 64);
    assert_eq!(rig.session.read_bytes_max(1_000, rig.now), 100);
    assert_eq!(rig.bytes(70), Pace::Within);
    assert_eq!(rig.session.read_bytes_max(64, rig.now), 30);
    assert_eq!(rig.bytes(30), Pace::Last);
}

#[test]
fn a_fast_rate_lets_reading_go_on_at_most_fifty_times_a_second() {
    let mut rig = limited(pausing().bytes(1_000, 100));
    rig.bytes(100);
    assert_eq!(rig.timeout(), Some(Duration::from_millis(20)));
    rig.pass(Duration::from_millis(20));
    assert_eq!(rig.session.read_bytes_max(64, rig.now), 20);
}

#[test]
fn a_peer_that_is_not_read_does_not_time_out() {
    let mut rig = limited(pausing().bytes(1, 100));
    rig.bytes(100);
    rig.bytes(60);
    rig.pass(3 * PONG);
    assert!(rig.session.is_connected());
    rig.pass(25 * SECOND);
    assert!(rig.session.wants_inbound());
    rig.pass(just_before(PONG));
    assert!(rig.session.is_connected(), "it has its whole time again");
    rig.pass(MOMENT);
    assert!(!rig.session.is_connected());
}

#[test]
fn a_new_transport_does_not_bring_new_tokens() {
    let mut rig = limited(pausing().messages(1, 10));
    for _ in 0..10 {
        rig.message();
    }
    rig.lose(TransportLost::EndOfStream);
    rig.attach();
    assert!(!rig.session.wants_inbound());
    rig.pass(SECOND);
    assert!(rig.session.wants_inbound());
    assert_eq!(rig.message(), Pace::Last);
}

#[test]
fn after_the_end_whatever_comes_is_welcome() {
    let mut rig = limited(pausing().messages(1, 1));
    rig.message();
    rig.end(rig::kicked());
    assert!(rig.session.wants_inbound());
    assert_eq!(rig.message(), Pace::Within);
}

// ---- closing ----

#[test]
fn what_is_over_the_rate_is_told_and_does_not_count() {
    let mut rig = limited(closing().messages(1, 2));
    assert_eq!([rig.message(), rig.message()], [Pace::Within; 2]);
    assert_eq!([rig.message(), rig.message()], [Pace::Over; 2]);
    assert!(rig.session.wants_inbound());
    rig.pass(SECOND);
    assert_eq!([rig.message(), rig.message()], [Pace::Within, Pace::Over]);
}

#[test]
fn bytes_over_the_rate_are_told() {
    let mut rig = limited(closing().bytes(10, 100));
    assert_eq!(rig.session.read_bytes_max(1_000, rig.now), 1_000);
    assert_eq!(rig.bytes(100), Pace::Within);
    assert_eq!(rig.bytes(1), Pace::Over);
}

#[test]
fn a_peer_that_sends_too_much_is_told_so() {
    let mut rig = limited(closing().messages(1, 1));
    rig.lose(TransportLost::RateLimited);
    assert_eq!(rig.close_told(), Some((1008, "rate limit".to_owned())));
}

// ---- messages that do not end ----

fn patient() -> Rig {
    Rig::connected_with(SessionConfig { message_timeout: TIMEOUT, ..config() })
}

#[test]
fn a_message_must_be_complete_within_its_time() {
    let mut rig = patient();
    rig.progress(Progress::Begun);
    rig.pass(just_before(TIMEOUT));
    rig.progress(Progress::Continued);
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert_eq!(rig.actions(), ["MessageTimeout", "Fail"]);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_peer_that_leaves_a_message_incomplete_is_told_so() {
    let mut rig = patient();
    rig.progress(Progress::Begun);
    rig.pass(TIMEOUT);
    assert_eq!(rig.close_told(), Some((1008, "message timeout".to_owned())));
}

#[test]
fn a_message_that_is_complete_has_no_deadline() {
    let mut rig = patient();
    let idle = rig.timeout();
    rig.progress(Progress::Begun);
    assert_eq!(rig.timeout(), Some(TIMEOUT));
    rig.progress(Progress::Complete);
    assert_eq!(rig.timeout(), idle);
}

#[test]
fn each_message_has_its_own_time() {
    let mut rig = patient();
    for _ in 0..3 {
        rig.progress(Progress::Begun);
        rig.pass(just_before(TIMEOUT));
        rig.session.handle_activity(rig.now);
    }
    assert!(rig.session.is_connected());
}

#[test]
fn what_was_incomplete_on_one_transport_says_nothing_of_the_next() {
    let mut rig = patient();
    rig.progress(Progress::Begun);
    rig.lose(TransportLost::EndOfStream);
    rig.attach();
    rig.pass(TIMEOUT);
    assert!(rig.session.is_connected());
}

#[test]
fn the_time_in_which_a_peer_is_not_read_does_not_count_for_its_message() {
    let mut rig = limited(pausing().bytes(1, 10));
    rig.pass(SECOND);
    rig.bytes(10);
    rig.progress(Progress::Begun);
    for _ in 0..20 {
        assert!(!rig.session.wants_inbound());
        rig.pass(SECOND);
        assert!(rig.session.wants_inbound());
        rig.bytes(1);
    }
    rig.pass(SECOND);
    rig.pass(just_before(TIMEOUT));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert_eq!(rig.close_told(), Some((1008, "message timeout".to_owned())));
}

#[test]
fn after_the_end_a_message_has_no_deadline() {
    let mut rig = patient();
    rig.progress(Progress::Begun);
    rig.end(Disconnect::Closed);
    assert_eq!(rig.timeout(), Some(rig::FLUSH));
}
