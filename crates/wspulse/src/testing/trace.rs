//! What has happened in a test, by its clock: what a failed assertion prints.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How many lines are kept; the oldest go first.
const LINES_MAX: usize = 20_000;

/// How many lines of them a failure prints, unless `WSPULSE_TRACE` is set.
const LINES_PRINTED: usize = 60;

/// How long assertions wait by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it is waited for what must not come.
const QUIET: Duration = Duration::from_millis(100);

/// All that has happened in a test, one line for each thing, with the test's clock. It is printed by
/// each assertion that fails: the last 60 lines, or all that are kept (20,000) if the environment has
/// `WSPULSE_TRACE`. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Trace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began_at: Instant,
    /// How long assertions wait.
    patience: Mutex<Duration>,
    lines: Mutex<Lines>,
    /// Whoever waits for something looks again.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Line>,
    forgotten: usize,
}

#[derive(Debug)]
struct Line {
    at: Duration,
    who: String,
    what: String,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            began_at: Instant::now(),
            patience: PATIENCE.into(),
            lines: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Adds a line of the test's own.
    pub fn note(&self, who: impl Display, what: impl Display) {
        let at = self.0.began_at.elapsed();
        let mut lines = self.0.lines.lock();
        if lines.kept.len() == LINES_MAX {
            lines.kept.pop_front();
            lines.forgotten += 1;
        }
        lines.kept.push_back(Line { at, who: who.to_string(), what: what.to_string() });
        drop(lines);
        self.look_again();
    }

    /// Has whoever waits look again.
    pub(super) fn look_again(&self) {
        self.0.changed.notify_waiters();
    }

    pub(super) fn patience(&self) -> Duration {
        *self.0.patience.lock()
    }

    pub(super) fn set_patience(&self, patience: Duration) {
        *self.0.patience.lock() = patience;
    }

    /// Waits until this finds something. It looks again at each line.
    pub(super) async fn find<T>(&self, look: impl FnMut() -> Option<T>) -> Option<T> {
        self.find_within(self.patience(), look).await
    }

    /// Waits for what must not come.
    pub(super) async fn find_soon<T>(&self, look: impl FnMut() -> Option<T>) -> Option<T> {
        self.find_within(QUIET, look).await
    }

    async fn find_within<T>(
        &self,
        within: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let found = async {
            loop {
                let changed = self.0.changed.notified();
                let mut changed = pin!(changed);
                // Before looking, so that nothing comes in between.
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        timeout(within, found).await.ok()
    }

    /// Fails the test, with what has happened. `at` is where the test has asked.
    pub(super) fn fail(&self, at: &Location<'_>, what: impl Display) -> ! {
        panic!("{what}\n  in {at}\n{self}");
    }
}

impl Display for Trace {
    /// The lines as a failure prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wants_all = std::env::var_os("WSPULSE_TRACE").is_some();
        let printed = if wants_all { LINES_MAX } else { LINES_PRINTED };
        let lines = self.0.lines.lock();
        let skipped = lines.kept.len().saturating_sub(printed);
        write!(f, "What has happened, by the test's clock:")?;
        match skipped + lines.forgotten {
            0 => {}
            before => write!(f, " (WSPULSE_TRACE=1 also prints {before} lines before)")?,
        }
        let width = lines.kept.iter().skip(skipped).map(|line| line.who.chars().count()).max();
        let width = width.unwrap_or_default();
        for Line { at, who, what } in lines.kept.iter().skip(skipped) {
            write!(f, "\n{:>10.3} s  {who:width$}  {what}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
