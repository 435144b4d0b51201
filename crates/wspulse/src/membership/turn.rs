//! What a connection's task queues for others in its turn, it writes itself at the end of it.
//!
//! That costs half of what waking their tasks does, and whoever causes work does it: nobody else's
//! turn comes later for it.

use std::cell::Cell;
use std::sync::Arc;

use super::mailbox::Notice;
use super::shared::ConnectionShared;
use crate::ground::runtimes::Home;
use crate::ground::sync::thread_local;

/// To how many connections one turn writes: as many as a wave of a large room does. The tasks of
/// others are woken.
const CONNECTIONS_MAX: usize = 32;

thread_local! {
    /// On which runtime this thread runs a connection's task, while it does.
    static HOME: Cell<Option<Home>> = const { Cell::new(None) };

    /// For whom that task has queued something. Kept from turn to turn for its memory.
    static LEFT: Cell<Vec<Arc<ConnectionShared>>> = const { Cell::new(Vec::new()) };
}

/// The turn of a connection's task, from its beginning to the end of its scope.
pub(crate) struct Turn(());

impl Turn {
    pub(crate) fn begin(home: Home) -> Self {
        HOME.set(Some(home));
        Self(())
    }

    /// How those are told of a frame whose tasks are there.
    #[inline]
    pub(crate) fn notice_for(home: Home) -> Notice {
        if HOME.get() == Some(home) { Notice::InTurn } else { Notice::Now }
    }

    /// Something waits for this connection, and nobody is going to write it.
    pub(crate) fn leave(connection: &Arc<ConnectionShared>) {
        let mut left = LEFT.take();
        if left.len() < CONNECTIONS_MAX {
            left.push(Arc::clone(connection));
            LEFT.set(left);
        } else {
            LEFT.set(left);
            connection.mailbox.wake_for_frames();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        HOME.set(None);
        let mut left = LEFT.take();
        for connection in left.drain(..) {
            connection.write_or_wake();
        }
        // With the last of a connection goes the application's data, which may do anything.
        let meanwhile = LEFT.replace(left);
        debug_assert!(meanwhile.is_empty(), "no turn is taken in a turn");
        drop(meanwhile);
    }
}
