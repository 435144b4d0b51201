//! Who has heard elsewhere what is still to come here.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tokio::time::{Duration, Instant};
use wspulse_core::cluster::{NodeId, Position, Target};

use crate::ground::sync::{AtomicBool, Mutex};
use crate::membership::shared::ConnectionShared;

/// How long what was said may take to come here: as long as it is kept by those who have said it.
const OVER_AFTER: Duration = Duration::from_mins(1);

/// Connections that have come from other servers, and are not to hear twice what these have told them.
#[derive(Default)]
pub(crate) struct Overlaps {
    /// Beside the lock, since nearly always there are none.
    are_some: AtomicBool,
    inner: Mutex<Inner>,
    /// Since when those who have come have listened to their groups, wherever that was; by their address,
    /// until they go on or end. Beside the others, as no frame asks for it.
    listening: Mutex<HashMap<usize, Vec<(Target, Instant)>>>,
}

#[derive(Default)]
struct Inner {
    /// They do not hear yet what is said to all.
    arriving: Vec<Weak<ConnectionShared>>,
    heard: Vec<Overlap>,
}

struct Overlap {
    connection: Weak<ConnectionShared>,
    target: Target,
    /// Up to where it was heard.
    heard: Position,
    /// Nothing more comes of that server.
    has_ended: bool,
    until: Instant,
}

/// What a connection has heard elsewhere that was not told where it is.
pub(super) struct Ahead {
    pub(super) target: Target,
    pub(super) heard: Position,
    /// Nothing more comes of that server.
    pub(super) has_ended: bool,
}

impl Overlaps {
    /// A connection is about to come, and must not hear yet what is said to all.
    pub(super) fn begin(&self, connection: &Arc<ConnectionShared>) {
        let mut inner = self.inner.lock();
        inner.arriving.push(Arc::downgrade(connection));
        self.are_some.store(true, Ordering::Release);
    }

    /// From now on it hears that.
    pub(super) fn end(&self, connection: &Arc<ConnectionShared>) {
        let mut inner = self.inner.lock();
        inner.arriving.retain(|it| !is_of(it, connection));
        self.forget_if_none(&inner);
    }

    /// It listens to these since then, wherever it was: a server that it has heard nothing of may have said
    /// something that is still on its way.
    pub(super) fn note_listening(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        since: Instant,
    ) {
        let address = Arc::as_ptr(connection).addr();
        self.listening.lock().entry(address).or_default().push((target, since));
    }

    /// Since when it listens to its groups, if it has come from elsewhere. It goes on, or ends.
    pub(crate) fn take_listening(&self, connection: &ConnectionShared) -> Vec<(Target, Instant)> {
        let address = std::ptr::from_ref(connection).addr();
        self.listening.lock().remove(&address).unwrap_or_default()
    }

    /// It has heard elsewhere what is said to these, up to there.
    pub(super) fn note(&self, connection: &Arc<ConnectionShared>, target: Target, heard: Position) {
        self.add(connection, target, heard, false);
    }

    /// As [`note`](Self::note), of a server that has ended.
    pub(super) fn note_ended(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        heard: Position,
    ) {
        self.add(connection, target, heard, true);
    }

    fn add(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        heard: Position,
        has_ended: bool,
    ) {
        let (connection, until) = (Arc::downgrade(connection), Instant::now() + OVER_AFTER);
        let mut inner = self.inner.lock();
        inner.heard.push(Overlap { connection, target, heard, has_ended, until });
        self.are_some.store(true, Ordering::Release);
    }

    /// It is not known how far a server was heard: nothing of it is told until that is.
    pub(super) fn block(&self, connection: &Arc<ConnectionShared>, target: Target, origin: NodeId) {
        self.note(connection, target, Position { origin, stream: u32::MAX, number: u64::MAX });
    }

    /// From now on what the server says is told, from behind this position. It may have ended: then
    /// nobody looks for it any more.
    pub(super) fn unblock(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        (origin, reached): (NodeId, Option<Position>),
        has_ended: bool,
    ) {
        let mut inner = self.inner.lock();
        inner.heard.retain_mut(|it| {
            let is_it = it.target == target
                && it.heard.origin == origin
                && is_of(&it.connection, connection);
            if let (true, Some(reached)) = (is_it, reached) {
                it.heard = reached;
                it.has_ended = has_ended;
            }
            !is_it || reached.is_some()
        });
        self.forget_if_none(&inner);
    }

    /// Takes what a connection has heard elsewhere that was not told here, for where it goes on.
    pub(super) fn take(&self, connection: &Arc<ConnectionShared>) -> Vec<Ahead> {
        if !self.are_some.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut inner = self.inner.lock();
        let taken = inner.heard.extract_if(.., |it| is_of(&it.connection, connection));
        let taken = taken.map(|it| {
            let Overlap { target, heard, has_ended, .. } = it;
            Ahead { target, heard, has_ended }
        });
        let taken = taken.collect();
        self.forget_if_none(&inner);
        taken
    }

    /// Those who are not to hear what is said to all.
    pub(crate) fn retain_present(&self, all: &mut Vec<Arc<ConnectionShared>>) {
        if self.are_some.load(Ordering::Acquire) {
            let inner = self.inner.lock();
            all.retain(|connection| !inner.arriving.iter().any(|it| is_of(it, connection)));
        }
    }

    /// Those who have heard this frame, of the stream with this number of this server, elsewhere.
    pub(crate) fn who_has_heard(
        &self,
        target: Target,
        (origin, stream, number): (NodeId, u32, u64),
    ) -> Vec<Arc<ConnectionShared>> {
        if !self.are_some.load(Ordering::Acquire) {
            return Vec::new();
        }
        let now = Instant::now();
        let mut who = Vec::new();
        let mut inner = self.inner.lock();
        inner.heard.retain(|it| {
            if it.connection.strong_count() == 0 || now >= it.until {
                return false;
            }
            if it.target != target || it.heard.origin != origin {
                return true;
            }
            let has_heard = (stream, number) <= (it.heard.stream, it.heard.number);
            if has_heard {
                who.extend(it.connection.upgrade());
            }
            // They come in order: what follows it has not heard.
            has_heard
        });
        self.forget_if_none(&inner);
        who
    }

    fn forget_if_none(&self, inner: &Inner) {
        if inner.arriving.is_empty() && inner.heard.is_empty() {
            self.are_some.store(false, Ordering::Release);
        }
    }
}

fn is_of(weak: &Weak<ConnectionShared>, connection: &Arc<ConnectionShared>) -> bool {
    std::ptr::eq(weak.as_ptr(), Arc::as_ptr(connection))
}
