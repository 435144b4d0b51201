//! A server that takes its leave: how many it may have sent away by now, and who must have been.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use wspulse::{Connection, ConnectionState, Disconnect};

use super::journal::life;

/// By how much a drain may be ahead: it closes some at a time.
const STEP: Duration = Duration::from_millis(50);

/// The least time that a client is asked to wait.
pub(crate) const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(crate) struct Drained(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: Option<Begun>,
    /// How many were sent away.
    count: usize,
    /// It was closed before all were, or may have been.
    is_cut_short: bool,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    window: Duration,
    connections: usize,
    /// Those that were connected, by their admissions.
    connected: BTreeSet<usize>,
}

impl Drained {
    /// The server begins, while these are there.
    pub(crate) fn begin(&self, connections: usize, window: Duration, here: &[Connection]) {
        let is_connected = |it: &&Connection| it.state() == ConnectionState::Connected;
        let connected = here.iter().filter(is_connected);
        let connected: BTreeSet<_> = connected.map(|it| life(it).number).collect();
        assert_eq!(connected.len(), connections, "those who are connected");
        let begun = Begun { at: Instant::now(), window, connections, connected };
        assert!(self.0.lock().unwrap().begun.replace(begun).is_none(), "it begins once");
    }

    pub(crate) fn cut_short(&self) {
        self.0.lock().unwrap().is_cut_short = true;
    }

    /// One more was sent away. They go evenly: none has gone before its share of the window. At its end
    /// those go who were on their way back when it began.
    pub(crate) fn count(&self) {
        let state = &mut *self.0.lock().unwrap();
        let Begun { at, window, connections, .. } = state.begun.as_ref().expect("it has begun");
        state.count += 1;
        if at.elapsed() >= *window {
            return;
        }
        let passed = at.elapsed() + STEP;
        let share = passed.as_secs_f64() / window.max(&STEP).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "hundreds")]
        let most = (*connections as f64).mul_add(share, 1.0);
        #[allow(clippy::cast_precision_loss, reason = "hundreds")]
        let count = state.count as f64;
        assert!(count <= most, "{count} of {connections} are gone after {passed:?} of {window:?}");
    }

    /// How one has ended whose client stayed to the last, if it was the drain's turn.
    pub(crate) fn check_end(&self, connection: &Connection, end: &Disconnect) {
        let state = self.0.lock().unwrap();
        if let Disconnect::Drained { retry } = end {
            assert!((RETRY..=2 * RETRY).contains(retry), "{retry:?}");
            let reason = format!("retry={}", retry.as_millis());
            assert_eq!(end.close_frame().reason(), reason);
        }
        let was_connected = state
            .begun
            .as_ref()
            .is_some_and(|begun| begun.connected.contains(&life(connection).number));
        if was_connected && !state.is_cut_short {
            assert!(!matches!(end, Disconnect::ServerClosed), "it was passed over");
        }
    }
}
