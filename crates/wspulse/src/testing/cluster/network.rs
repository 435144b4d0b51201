//! What lies between the engines of a cluster in memory, and every way in which it fails.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::conformance::{Engines, Interruption};
use super::faults::NetworkFaults;
use super::memory::MemoryEngine;
use super::state::State;
use crate::cluster::{Engine, EngineFuture};
use crate::testing::Dice;

/// A network in memory between the servers of a cluster, all in this process. It loses, delays,
/// repeats and disorders what they publish, as far as an engine may, and all of that comes from a
/// seed: on a runtime of one thread whose time is paused, two runs with one seed are the same.
///
/// ```
/// use bytes::Bytes;
/// use wspulse::cluster::{Engine, Topic, TopicFilter};
/// # use std::sync::Arc;
/// # use wspulse::cluster::{EngineStatus, NodeId, Reply, Sink};
/// use wspulse::testing::cluster::MemoryNetwork;
/// # struct Heard(tokio::sync::mpsc::UnboundedSender<Bytes>);
/// # impl Sink for Heard {
/// #     fn message(&self, _: Topic, message: Bytes) { drop(self.0.send(message)); }
/// #     fn request(&self, _: Bytes, _: Reply) {}
/// #     fn status(&self, _: EngineStatus) {}
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
/// # let (ann, bob) = (NodeId::new([1; 16]), NodeId::new([2; 16]));
/// # let (sink, none) = (Heard(sender.clone()), Heard(sender));
/// let network = MemoryNetwork::new();
/// let (here, there) = (network.engine(), network.engine());
/// here.start(ann, Arc::new(sink)).await?;
/// there.start(bob, Arc::new(none)).await?;
/// here.subscribe(TopicFilter::Topic(Topic::Everybody)).await?;
/// there.publish(Topic::Everybody, Bytes::from("hello"))?;
/// assert_eq!(heard.recv().await.unwrap(), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryNetwork(pub(super) Arc<Mutex<State>>);

impl MemoryNetwork {
    /// One without faults, but for those that are asked for.
    #[must_use]
    pub fn new() -> Self {
        Self::with_faults(0, NetworkFaults::NONE)
    }

    /// One with [`NetworkFaults::ALL`], drawn from this seed.
    pub fn from_seed(seed: u64) -> Self {
        Self::with_faults(seed, NetworkFaults::ALL)
    }

    /// One with these faults, drawn from this seed.
    pub fn with_faults(seed: u64, faults: NetworkFaults) -> Self {
        Self(Arc::new(Mutex::new(State::new(faults, Dice::new(seed)))))
    }

    /// Has other faults from now on, such as none at the end of a test. What is on its way stays so.
    pub fn set_faults(&self, faults: NetworkFaults) {
        self.0.lock().faults = faults;
    }

    /// An engine in this network, for one server.
    #[must_use]
    pub fn engine(&self) -> MemoryEngine {
        let place = self.0.lock().add_port();
        MemoryEngine::new(self.clone(), place)
    }

    /// Has engines that keep no log.
    #[must_use]
    pub fn without_log(self) -> Self {
        self.0.lock().has_log = false;
        self
    }

    /// Keeps of the log of each room no more than so many frames, and none that are older than `age`,
    /// from now on. Default: 10,000, and an hour.
    pub fn keep_logged(&self, frames: usize, age: Duration) {
        self.0.lock().logs.keep(frames, age);
    }

    /// Cuts an engine off from all others, and tells nobody: as far as it knows it is connected, what
    /// is said is lost, and requests have no answer.
    ///
    /// # Panics
    ///
    /// If it is in another network.
    pub fn cut(&self, engine: &MemoryEngine) {
        let at = self.place(engine);
        let mut state = self.0.lock();
        let others = (0..state.ports.len()).filter(|other| *other != at);
        others.for_each(|other| state.cut(at, other));
        state.cut_off.insert(at);
    }

    /// Cuts two engines off from each other, in the same way.
    ///
    /// # Panics
    ///
    /// If one is in another network.
    pub fn cut_between(&self, one: &MemoryEngine, other: &MemoryEngine) {
        let (one, other) = (self.place(one), self.place(other));
        self.0.lock().cut(one, other);
    }

    /// Takes the connections of all engines, as if the broker were gone: what is on its way is lost,
    /// and their servers are told.
    pub fn interrupt(&self) {
        let mut state = self.0.lock();
        state.down = true;
        (0..state.ports.len()).for_each(|place| state.interrupt(place));
    }

    /// Gives all engines a connection again, with their subscriptions in force, and tells their
    /// servers.
    pub fn restore(&self) {
        let mut state = self.0.lock();
        state.down = false;
        (0..state.ports.len()).for_each(|place| state.restore(place));
    }

    /// Ends all cuts. What was lost stays lost.
    pub fn heal(&self) {
        self.0.lock().heal();
    }

    fn place(&self, engine: &MemoryEngine) -> usize {
        engine.place_in(self).expect("the engine is in another network")
    }
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("MemoryNetwork")
            .field("seed", &state.dice.seed())
            .field("faults", &state.faults)
            .field("engines", &state.ports.len())
            .finish_non_exhaustive()
    }
}

impl Engines for MemoryNetwork {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(Self::engine(self))
    }

    fn interruption(&self) -> Option<&dyn Interruption> {
        Some(self)
    }
}

impl Interruption for MemoryNetwork {
    fn interrupt(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { Self::interrupt(self) })
    }

    fn restore(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { Self::restore(self) })
    }
}
