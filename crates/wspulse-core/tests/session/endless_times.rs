//! Times that no clock can express: each means "never".

use std::time::Duration;

use wspulse_core::session::SessionConfig;
use wspulse_core::session::Taken;
use wspulse_core::websocket::Progress;
use wspulse_core::{HeartbeatConfig, TransportLost};

use crate::rig::{PING, Rig, config};

const LONG: Duration = Duration::from_hours(24 * 365);

#[test]
fn an_endless_write_wait_never_gives_up_an_upgrade_nor_a_write() {
    let endless = SessionConfig { write_wait: Duration::MAX, ..config() };
    let mut rig = Rig::opening(endless);
    rig.pass(LONG);
    rig.attach();
    rig.finish();
    rig.session.handle_write_blocked(Taken { frames: 1, bytes: 10, ..Taken::default() }, rig.now);
    rig.start_upgrade();
    rig.pass(PING);
    assert_eq!(rig.actions(), ["Ping"]);
    rig.lose(TransportLost::EndOfStream);
    assert!(rig.session.is_suspended());
}

#[test]
fn an_endless_pong_timeout_never_loses_a_silent_peer() {
    let heartbeat = HeartbeatConfig { ping_interval: PING, pong_timeout: Duration::MAX };
    let mut rig = Rig::connected_with(SessionConfig { heartbeat, ..config() });
    rig.pass(LONG);
    assert_eq!(rig.actions(), ["Ping"]);
}

#[test]
fn an_endless_ping_interval_never_pings() {
    let heartbeat = HeartbeatConfig { ping_interval: Duration::MAX, pong_timeout: Duration::MAX };
    let mut rig = Rig::connected_with(SessionConfig { heartbeat, ..config() });
    rig.pass(LONG);
    assert!(!rig.session.poll_ping(rig.now));
    assert!(rig.actions().is_empty());
}

#[test]
fn an_endless_resume_window_never_ends() {
    let mut rig = Rig::connected_with(SessionConfig { resume_window: Duration::MAX, ..config() });
    rig.lose(TransportLost::EndOfStream);
    rig.pass(LONG);
    assert!(rig.session.is_suspended());
}

#[test]
fn an_endless_message_timeout_never_loses_a_slow_sender() {
    let heartbeat = HeartbeatConfig { ping_interval: PING, pong_timeout: 2 * LONG };
    let endless = SessionConfig { message_timeout: Duration::MAX, heartbeat, ..config() };
    let mut rig = Rig::connected_with(endless);
    rig.session.handle_progress(Progress::Begun, rig.now);
    rig.pass(LONG);
    assert!(rig.session.is_connected());
}
