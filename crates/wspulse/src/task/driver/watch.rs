//! Notices callbacks that hold their thread. One that panics is told as that: what its panic takes does
//! not count, as the symbols of its stack may have to be read.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use wspulse_core::{Escaped, PanicError};

use crate::app::server::Server;
use crate::ground::sync::{AtomicUsize, Mutex};
use crate::ground::throttle::Throttle;
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::{CallbackBlocked, CallbackKind};
use crate::observe::spans;

/// How long a callback may hold its thread before somebody is told: a tenth of a second is what
/// people notice, and no callback that awaits what it waits for comes near it.
const HELD_MAX: Duration = Duration::from_millis(100);

/// For so many turns each call is measured, once some calls together were too long.
const CLOSE_TURNS: usize = 10_000;

/// What a server knows of callbacks that held their threads.
#[derive(Default)]
pub(crate) struct Blocking {
    log: Mutex<Throttle>,
    /// So many more turns measure each call.
    close_turns: AtomicUsize,
}

/// Measures the callbacks of a turn: the first one by itself and the others together, as a look at
/// the clock costs a tenth of what a small message does.
pub(super) struct Watch {
    looked_at: Option<Instant>,
    unmeasured: usize,
    /// The newest of those.
    newest: CallbackKind,
    closely: bool,
}

impl Watch {
    pub(super) fn begin() -> Self {
        Self { looked_at: None, unmeasured: 0, newest: CallbackKind::Message, closely: false }
    }

    /// Before a call. Tells whether it is measured by itself; [`after`](Self::after) is then due.
    #[inline]
    pub(super) fn before(&mut self, blocking: &Blocking) -> bool {
        if self.looked_at.is_none() {
            self.first(blocking);
            return true;
        }
        self.unmeasured += usize::from(!self.closely);
        self.closely
    }

    /// The call that is not measured by itself is of this callback.
    pub(super) const fn note(&mut self, callback: CallbackKind) {
        self.newest = callback;
    }

    #[inline(never)]
    fn first(&mut self, blocking: &Blocking) {
        let turns = blocking.close_turns.load(Relaxed);
        // Lost decrements only measure a little longer.
        if turns > 0 {
            blocking.close_turns.store(turns - 1, Relaxed);
            self.closely = true;
        }
        // Each call then has its span.
        self.closely |= spans::wants_messages();
        self.looked_at = Some(Instant::now());
    }

    /// After a call that has panicked, and a line of the log about that.
    #[cold]
    pub(super) fn after_panic(&mut self) {
        self.looked_at = Some(Instant::now());
        self.unmeasured = 0;
    }

    /// After a call that is measured by itself.
    #[inline]
    pub(super) fn after(
        &mut self,
        connection: &ConnectionShared,
        callback: CallbackKind,
        event: &EventName,
    ) {
        let now = Instant::now();
        if let Some(looked_at) = self.looked_at.replace(now) {
            check(connection, callback, event, now - looked_at);
        }
    }

    /// After the turn.
    #[inline]
    pub(super) fn end(&mut self, connection: &ConnectionShared) {
        if let Some(looked_at) = self.looked_at
            && self.unmeasured > 0
            && looked_at.elapsed() > HELD_MAX
        {
            let held = looked_at.elapsed();
            // By its name if it comes again, even if it was this one alone.
            connection.server.blocking().close_turns.store(CLOSE_TURNS, Relaxed);
            tell(connection, self.newest, "", held, self.unmeasured);
        }
    }
}

/// Tells of one call, or one poll, if it has held its thread for too long.
#[inline]
pub(super) fn check(
    connection: &ConnectionShared,
    callback: CallbackKind,
    event: &EventName,
    held: Duration,
) {
    if held > HELD_MAX {
        tell(connection, callback, event.as_str(), held, 1);
    }
}

fn tell(
    connection: &ConnectionShared,
    callback: CallbackKind,
    event: &str,
    held: Duration,
    calls: usize,
) {
    let ConnectionShared { server, id, .. } = connection;
    let room = connection.room();
    report(server, &CallbackBlocked { room, id, callback, event, held, calls });
}

/// Runs a part of the connect function: its call, a poll of its future, or the drop of that.
pub(crate) fn run_connect<R>(
    server: &Server,
    run: impl FnOnce() -> Result<R, PanicError>,
) -> Result<R, PanicError> {
    let begun_at = Instant::now();
    let returned = run();
    let held = begun_at.elapsed();
    if held > HELD_MAX && returned.is_ok() {
        let callback = CallbackKind::ConnectFunction;
        report(server, &CallbackBlocked { room: "", id: "", callback, event: "", held, calls: 1 });
    }
    returned
}

#[cold]
fn report(server: &Server, blocked: &CallbackBlocked<'_>) {
    server.metrics().record(|hooks| hooks.callback_blocked(blocked));
    let due = server.blocking().log.lock().due();
    let Some(not_logged) = due else { return };
    let &CallbackBlocked { room, id, callback, event, held, calls } = blocked;
    tracing::warn!(
        id = %Escaped::new(id),
        room = %Escaped::new(room),
        callback = callback.as_str(),
        event = %Escaped::new(event),
        ?held,
        calls,
        not_logged,
        "a callback held its thread, so that other connections may have waited; give blocking work \
         to tokio::task::spawn_blocking"
    );
}

/// The beginning of an event's name, kept beside a call that takes the frame.
#[derive(Clone, Copy)]
pub(super) struct EventName {
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl EventName {
    const LEN_MAX: usize = 63;

    pub(super) const NONE: Self = Self { bytes: [0; Self::LEN_MAX], len: 0 };

    #[expect(clippy::cast_possible_truncation, reason = "it is 63 at most")]
    pub(super) fn of(event: &str) -> Self {
        let len = event.floor_char_boundary(Self::LEN_MAX);
        let mut name = Self { len: len as u8, ..Self::NONE };
        name.bytes[..len].copy_from_slice(&event.as_bytes()[..len]);
        name
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len.into()]).unwrap_or_default()
    }
}
