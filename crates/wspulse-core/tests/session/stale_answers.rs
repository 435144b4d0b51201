//! An answer to an older question is none to the one that is out.

use std::time::Duration;

use wspulse_core::session::{AskConfig, SessionConfig};

use crate::rig::{Rig, config};

const SECOND: Duration = Duration::from_secs(1);

/// One frame was asked about and acknowledged; a second one was written and asked about.
fn asked_twice() -> Rig {
    let ask = AskConfig { frames: 64, bytes: 1 << 20, time: SECOND };
    let mut rig = Rig::connected_with(SessionConfig { ask: Some(ask), ..config() });
    for number in 1..=2 {
        let now = rig.now;
        rig.session.handle_written(1, 10, || now);
        rig.session.handle_asked(number, now);
        if number == 1 {
            rig.session.handle_acknowledged(1, 1, now);
        }
    }
    rig
}

#[test]
fn who_answered_and_now_only_speaks_is_lost() {
    let mut rig = asked_twice();
    for _ in 0..20 {
        rig.pass(SECOND);
        rig.session.handle_activity(rig.now);
    }
    assert!(!rig.session.is_connected());
}

#[test]
fn who_says_the_same_old_answer_again_and_again_is_lost() {
    let mut rig = asked_twice();
    for _ in 0..200 {
        rig.pass(SECOND);
        rig.session.handle_activity(rig.now);
        rig.session.handle_acknowledged(1, 0, rig.now);
    }
    assert!(!rig.session.is_connected(), "frame 2 was never acknowledged, for 200 s");
}
