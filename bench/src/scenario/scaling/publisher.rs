//! A thread of the load generator, with rooms of its own.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::affinity;
use crate::load::{Buffers, Fleet, LoadError, Target};
use crate::scenario::stage::{CONNECT_WITHIN, PROBE, identity, payload, settle};

const MESSAGE_BYTES: usize = 100;

/// What a publisher has to do.
pub(super) struct Share {
    pub(super) target: Target,
    pub(super) core: usize,
    pub(super) rooms: Range<usize>,
    pub(super) members: usize,
}

pub(super) struct Publisher {
    common: Arc<Common>,
    /// Says that all are in their rooms, or why they are not.
    ready: mpsc::Receiver<Result<(), String>>,
    begin: mpsc::Sender<()>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

#[derive(Default)]
struct Common {
    deliveries: AtomicU64,
    is_over: AtomicBool,
}

impl Publisher {
    /// Has its clients enter their rooms.
    pub(super) fn start(share: Share) -> Self {
        let common = Arc::new(Common::default());
        let (say_ready, ready) = mpsc::channel();
        let (begin, wait) = mpsc::channel();
        let thread = thread::spawn({
            let common = Arc::clone(&common);
            move || {
                let fleet = enter(&share);
                // Nobody listens any more if another publisher has failed.
                match fleet {
                    Ok(fleet) => {
                        let _ = say_ready.send(Ok(()));
                        if wait.recv().is_err() { Ok(()) } else { publish(&share, fleet, &common) }
                    }
                    Err(error) => {
                        let _ = say_ready.send(Err(error));
                        Ok(())
                    }
                }
            }
        });
        Self { common, ready, begin, thread: Some(thread) }
    }

    /// Returns when all its clients are in their rooms.
    pub(super) fn ready(&self) -> Result<(), String> {
        self.ready.recv().map_err(|_| ENDED.to_owned())?
    }

    /// Has each room's first member publish from now on, whenever the last message has come to all.
    pub(super) fn begin(&self) -> Result<(), String> {
        self.begin.send(()).map_err(|_| ENDED.to_owned())
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.common.deliveries.load(Ordering::Relaxed)
    }

    /// Ends it, and tells whether it went well.
    pub(super) fn stop(mut self) -> Result<(), String> {
        self.common.is_over.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| ENDED.to_owned())?,
            None => Ok(()),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.common.is_over.store(true, Ordering::Relaxed);
    }
}

const ENDED: &str = "a publisher has ended by itself";

fn enter(share: &Share) -> Result<Fleet, String> {
    affinity::pin_thread(share.core).map_err(|error| error.to_string())?;
    let enter = || {
        let mut fleet = Fleet::new(share.target)?;
        fleet.share_core();
        let clients = share.rooms.start * share.members..share.rooms.end * share.members;
        let identities = clients.map(|client| identity(client / share.members, client));
        fleet.connect(identities, Buffers::System, CONNECT_WITHIN)?;
        settle(&mut fleet, share.members)?;
        Ok(fleet)
    };
    enter().map_err(|error: LoadError| error.to_string())
}

fn publish(share: &Share, mut fleet: Fleet, common: &Common) -> Result<(), String> {
    let members = share.members;
    let message = payload(0, MESSAGE_BYTES);
    let mut holders = vec![0; share.rooms.len()];
    // At first all rooms are to have a message.
    let mut complete: Vec<usize> = (0..share.rooms.len()).collect();
    while !common.is_over.load(Ordering::Relaxed) {
        for room in complete.drain(..) {
            fleet.send(room * members, &message).map_err(|error| error.to_string())?;
        }
        let mut deliveries = 0;
        let turn = fleet.turn(Duration::from_millis(10), &mut |client, got| {
            if got.first() == Some(&(PROBE as u8)) {
                return;
            }
            deliveries += 1;
            let room = client / members;
            holders[room] += 1;
            if holders[room] == members {
                holders[room] = 0;
                complete.push(room);
            }
        });
        turn.map_err(|error| error.to_string())?;
        common.deliveries.fetch_add(deliveries, Ordering::Relaxed);
    }
    Ok(())
}
