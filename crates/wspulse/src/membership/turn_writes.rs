//! What a connection's task queues for others in its turn, it writes itself at the end of it.
//!
//! That costs half of what waking their tasks does, and whoever causes work does it: nobody else's
//! turn comes later for it. Where a callback holds the thread, another one takes over what is left.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

use super::mailbox::Notice;
use super::shared::ConnectionShared;
use crate::app::server::Server;
use crate::ground::runtimes::Home;
use crate::ground::sync::{Mutex, thread_local};

/// To how many connections one turn writes: as many as a wave of a large room does. The tasks of
/// others are woken.
const CONNECTIONS_MAX: usize = 32;

/// How long others wait for a thread that a callback holds.
const HELD_MAX: Duration = Duration::from_millis(20);

thread_local! {
    /// On which runtime this thread runs a connection's task, while it does.
    static HOME: Cell<Option<Home>> = const { Cell::new(None) };

    /// That task has left something.
    static HAS_SOME: Cell<bool> = const { Cell::new(false) };

    /// For whom. Another thread looks after it too.
    static UNWRITTEN: Arc<Unwritten> = Arc::default();
}

/// For whom the tasks of one thread have queued something in their turns.
#[derive(Default)]
struct Unwritten {
    /// How many turns that left something are over. One that goes on holds the thread.
    turns: AtomicU64,
    connections: Mutex<Vec<Arc<ConnectionShared>>>,
    /// A [`Rescue`] looks after it.
    is_watched: AtomicBool,
}

/// Open from the beginning of a task's turn to the end of its scope.
pub(crate) struct TurnWrites(());

impl TurnWrites {
    pub(crate) fn begin(home: Home) -> Self {
        HOME.with(|current| current.set(Some(home)));
        Self(())
    }

    /// How those are told of a frame whose tasks are there.
    #[inline]
    pub(crate) fn notice_for(home: Home) -> Notice {
        if HOME.with(Cell::get) == Some(home) { Notice::InTurn } else { Notice::Now }
    }

    /// Something waits for this connection, and nobody is going to write it.
    pub(crate) fn add(connection: &Arc<ConnectionShared>) {
        HAS_SOME.with(|has_some| has_some.set(true));
        UNWRITTEN.with(|unwritten| {
            let mut connections = unwritten.connections.lock();
            if connections.len() < CONNECTIONS_MAX {
                connections.push(Arc::clone(connection));
                drop(connections);
                unwritten.watch(&connection.server);
            } else {
                drop(connections);
                connection.mailbox.wake_for_frames();
            }
        });
    }
}

impl Drop for TurnWrites {
    #[inline]
    fn drop(&mut self) {
        HOME.with(|current| current.set(None));
        if HAS_SOME.with(Cell::take) {
            UNWRITTEN.with(|unwritten| unwritten.write());
        }
    }
}

impl Unwritten {
    /// The turn is over.
    fn write(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        let mut connections = mem::take(&mut *self.connections.lock());
        for connection in &connections {
            connection.write_or_wake();
        }
        // With the last of a connection goes the application's data, which may do anything.
        connections.clear();
        // Kept for its memory. There is nothing new: no turn is taken in a turn.
        *self.connections.lock() = connections;
    }

    /// Has somebody look after what is left, as long as that is now and then something.
    fn watch(self: &Arc<Self>, server: &Server) {
        // A model of threads has no clock.
        let is_watched = self.is_watched.load(Ordering::Relaxed) || cfg!(all(test, shuttle));
        if !is_watched && !self.is_watched.swap(true, Ordering::SeqCst) {
            server.spawn_stealable(
                Rescue { unwritten: Arc::clone(self), is_over: false }.run(server.clone()),
            );
        }
    }
}

/// Writes what is left on a thread that is held. It ends once there is nothing to look after.
struct Rescue {
    unwritten: Arc<Unwritten>,
    is_over: bool,
}

impl Rescue {
    async fn run(mut self, server: Server) {
        let mut turns = None;
        while !self.is_over {
            let is_closing = {
                let mut closing = pin!(server.closing());
                let mut held = pin!(sleep(HELD_MAX));
                poll_fn(|cx| match closing.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending => held.as_mut().poll(cx).map(|()| false),
                })
                .await
            };
            let turns_before = turns.replace(self.unwritten.turns.load(Ordering::Relaxed));
            if is_closing || turns_before == turns {
                let connections = mem::take(&mut *self.unwritten.connections.lock());
                self.is_over = is_closing || connections.is_empty();
                for connection in &connections {
                    connection.write_or_wake();
                }
                drop(connections);
                if self.is_over {
                    self.unwritten.is_watched.store(false, Ordering::SeqCst);
                    // What was left meanwhile has found it at work.
                    self.is_over = self.unwritten.connections.lock().is_empty()
                        || self.unwritten.is_watched.swap(true, Ordering::SeqCst);
                }
            }
        }
    }
}

impl Drop for Rescue {
    /// Its runtime may end before its work does.
    fn drop(&mut self) {
        if !self.is_over {
            self.unwritten.is_watched.store(false, Ordering::SeqCst);
        }
    }
}
