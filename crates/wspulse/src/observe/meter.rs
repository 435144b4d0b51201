//! The way to the metrics hooks: outside of all locks, in order, panics contained.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wspulse_core::{DisconnectReason, EncodedFrame};

use crate::ground::panics;
use crate::ground::sync::{AtomicBool, Mutex};
use crate::observe::metrics::{
    ConnectionClosed, ConnectionOpened, MetricsCollector, RoomCreated, RoomDestroyed,
};
use crate::observe::tally::Tally;

/// Calls the hooks of the collector, if there is one, and those of the tally while somebody watches.
pub(crate) struct Meter {
    collector: Option<Arc<dyn MetricsCollector>>,
    /// There is a collector, or somebody watches.
    is_heard: AtomicBool,
    is_watched: AtomicBool,
    watches: Mutex<usize>,
    tally: Tally,
    lifecycle: Mutex<Lifecycle>,
}

/// Events in the order in which they were decided. They are put here under the locks that decide
/// and delivered without any, by one thread at a time, so that hooks see that very order.
#[derive(Default)]
struct Lifecycle {
    waiting: VecDeque<LifecycleEvent>,
    /// Some thread is delivering; it takes what is added meanwhile as well.
    delivering: bool,
}

pub(crate) enum LifecycleEvent {
    RoomCreated {
        room: Arc<str>,
    },
    Opened {
        room: Arc<str>,
        id: Arc<str>,
    },
    Closed {
        room: Arc<str>,
        id: Arc<str>,
        duration: Duration,
        reason: DisconnectReason,
        was_suspended: bool,
    },
    RoomDestroyed {
        room: Arc<str>,
    },
}

impl LifecycleEvent {
    fn tell(&self, hooks: &dyn MetricsCollector) {
        match self {
            Self::RoomCreated { room } => hooks.room_created(&RoomCreated { room }),
            Self::Opened { room, id } => hooks.connection_opened(&ConnectionOpened { room, id }),
            &Self::Closed { ref room, ref id, duration, reason, was_suspended } => {
                let closed = ConnectionClosed { room, id, duration, reason, was_suspended };
                hooks.connection_closed(&closed);
            }
            Self::RoomDestroyed { room } => hooks.room_destroyed(&RoomDestroyed { room }),
        }
    }
}

impl Meter {
    pub(crate) fn new(collector: Option<Arc<dyn MetricsCollector>>) -> Self {
        Self {
            is_heard: AtomicBool::new(collector.is_some()),
            is_watched: AtomicBool::new(false),
            watches: Mutex::new(0),
            tally: Tally::default(),
            collector,
            lifecycle: Mutex::default(),
        }
    }

    /// Whether anybody listens.
    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// Calls a hook. No lock may be held.
    #[inline]
    pub(crate) fn record(&self, hook: impl Fn(&dyn MetricsCollector)) {
        if self.is_heard() {
            self.tell(&hook);
        }
    }

    /// Apart, so that it costs nothing to pass by.
    #[cold]
    #[inline(never)]
    fn tell(&self, hook: &dyn Fn(&dyn MetricsCollector)) {
        if self.is_watched() {
            hook(&self.tally);
        }
        if let Some(collector) = &self.collector
            && let Err(panic) = panics::catch(|| hook(&**collector))
        {
            tracing::error!(
                %panic,
                location = panic.location(),
                backtrace = panics::logged_backtrace(&panic),
                "metrics hook panicked"
            );
        }
    }

    /// Whether somebody watches: then the tally counts.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A broadcast is about to be queued in these encodings.
    #[inline]
    pub(crate) fn time_broadcast<'a, I>(&self, frames: impl FnOnce() -> I)
    where
        I: Iterator<Item = &'a EncodedFrame>,
    {
        if self.is_watched() {
            self.tally.begin_broadcast(frames());
        }
    }

    pub(crate) fn begin_watch(&self) {
        let mut watches = self.watches.lock();
        *watches += 1;
        self.is_watched.store(true, Ordering::Relaxed);
        self.is_heard.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end_watch(&self) {
        let mut watches = self.watches.lock();
        *watches -= 1;
        if *watches == 0 {
            self.is_watched.store(false, Ordering::Relaxed);
            self.is_heard.store(self.collector.is_some(), Ordering::Relaxed);
            self.tally.forget_timed();
        }
    }

    /// Notes an event, under the lock that decides it; [`deliver`](Self::deliver) must follow without.
    pub(crate) fn note(&self, event: impl FnOnce() -> LifecycleEvent) {
        if self.collector.is_some() {
            self.lifecycle.lock().waiting.push_back(event());
        }
    }

    /// Notes that a room is there, unless it `is_told` already.
    pub(crate) fn note_created(&self, room: &Arc<str>, is_told: &AtomicBool) {
        if self.collector.is_some() {
            let mut lifecycle = self.lifecycle.lock();
            if !is_told.swap(true, Ordering::Relaxed) {
                let room = Arc::clone(room);
                lifecycle.waiting.push_back(LifecycleEvent::RoomCreated { room });
            }
        }
    }

    /// Calls the hooks for the noted events, unless another thread is at it.
    pub(crate) fn deliver(&self) {
        if self.collector.is_none() {
            return;
        }
        {
            let mut lifecycle = self.lifecycle.lock();
            if lifecycle.delivering {
                return;
            }
            lifecycle.delivering = true;
        }
        while let Some(event) = self.next_event() {
            self.record(|hooks| event.tell(hooks));
        }
    }

    fn next_event(&self) -> Option<LifecycleEvent> {
        let mut lifecycle = self.lifecycle.lock();
        let event = lifecycle.waiting.pop_front();
        lifecycle.delivering = event.is_some();
        event
    }
}
