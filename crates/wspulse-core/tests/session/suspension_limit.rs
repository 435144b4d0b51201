//! No more sessions are suspended at once than may be, whatever comes between.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wspulse_core::session::{SessionConfig, SuspensionLimit};
use wspulse_core::{Disconnect, DisconnectReason, TransportLost};

use crate::rig;
use crate::rig::{Rig, WINDOW, config};

fn limited_to(sessions: usize) -> (Arc<SuspensionLimit>, SessionConfig) {
    let limit = Arc::new(SuspensionLimit::new(sessions));
    let config = SessionConfig { suspension_limit: Some(Arc::clone(&limit)), ..config() };
    (limit, config)
}

fn lost(config: &SessionConfig) -> Rig {
    let mut rig = Rig::connected_with(config.clone());
    rig.lose(TransportLost::EndOfStream);
    rig
}

#[test]
fn as_many_sessions_as_the_limit_are_suspended() {
    let (limit, config) = limited_to(2);
    let rigs = [lost(&config), lost(&config)];
    assert!(rigs.iter().all(|rig| rig.session.is_suspended()));
    assert_eq!(limit.suspended(), 2);
}

#[test]
fn one_more_asks_for_its_end_at_once() {
    let (limit, config) = limited_to(1);
    let _first = lost(&config);
    let mut second = lost(&config);
    assert!(!second.session.is_suspended());
    let end = second.asked_end().cloned().expect("an end");
    assert!(matches!(&end, Disconnect::SuspendedLimit(TransportLost::EndOfStream)));
    assert_eq!(end.reason(), DisconnectReason::SuspendedLimit);
    second.end(end);
    second.finish_all();
    assert!(second.session.is_finished());
    assert_eq!(limit.suspended(), 1);
}

#[test]
fn a_session_that_is_resumed_frees_its_place() {
    let (limit, config) = limited_to(1);
    let mut rig = lost(&config);
    rig.attach();
    assert_eq!(limit.suspended(), 0);
    rig.lose(TransportLost::EndOfStream);
    assert!(rig.session.is_suspended());
}

#[test]
fn a_session_that_ends_frees_its_place() {
    let (limit, config) = limited_to(1);
    for end in [Disconnect::Closed, rig::kicked(), Disconnect::ServerClosed] {
        let mut rig = lost(&config);
        rig.end(end);
        assert_eq!(limit.suspended(), 0);
    }
}

#[test]
fn a_session_that_ends_while_its_client_comes_back_frees_its_place() {
    let (limit, config) = limited_to(1);
    let mut rig = lost(&config);
    rig.start_upgrade();
    assert_eq!(limit.suspended(), 1, "until the transport is there");
    rig.end(Disconnect::Closed);
    assert_eq!(limit.suspended(), 0);
}

#[test]
fn a_session_whose_window_passes_frees_its_place() {
    let (limit, config) = limited_to(1);
    let mut rig = lost(&config);
    rig.pass(WINDOW);
    assert_eq!(limit.suspended(), 1, "until its end is decided");
    let end = rig.asked_end().cloned().expect("an end");
    rig.end(end);
    assert_eq!(limit.suspended(), 0);
}

#[test]
fn a_session_that_is_dropped_frees_its_place() {
    let (limit, config) = limited_to(1);
    drop(lost(&config));
    assert_eq!(limit.suspended(), 0);
}

#[test]
fn a_first_upgrade_that_fails_takes_a_place_as_well() {
    let (limit, config) = limited_to(1);
    let mut rig = Rig::opening(config);
    rig.fail_upgrade();
    assert!(rig.session.is_suspended());
    assert_eq!(limit.suspended(), 1);
}

#[test]
fn without_a_resume_window_no_place_is_taken() {
    let (limit, config) = limited_to(1);
    let rig = lost(&SessionConfig { resume_window: Duration::ZERO, ..config });
    assert!(matches!(rig.asked_end().cloned(), Some(Disconnect::TransportLost(_))));
    assert_eq!(limit.suspended(), 0);
}

#[test]
fn threads_that_lose_and_resume_at_once_never_exceed_the_limit() {
    const LIMIT: usize = 3;
    let (limit, config) = limited_to(LIMIT);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut rigs = [lost(&config), lost(&config)];
                    assert!(limit.suspended() <= LIMIT);
                    if rigs[0].session.is_suspended() {
                        rigs[0].attach();
                    }
                }
            });
        }
    });
    assert_eq!(limit.suspended(), 0);
}
