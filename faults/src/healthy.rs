//! Two clients that go on talking to each other, whatever others do to their server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wspulse::Frame;

use crate::clients::{Peer, join};

/// The two clients, in a room of their own. One says a number, both must hear it next, and then
/// the other has its turn: no message may be lost, repeated or late.
#[derive(Debug)]
pub struct HealthyPair {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    talk: JoinHandle<Exchange>,
}

/// What the two have said.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// How many messages both have heard.
    pub rounds: u64,
    /// The longest time from a message to the moment at which both had it.
    pub slowest: Duration,
}

/// No figure of speed: a round that takes longer has stalled.
const ROUND_WITHIN: Duration = Duration::from_secs(5);

/// Between two rounds: often enough for any stall to be felt, seldom enough to leave the machine to
/// the attack.
const PAUSE: Duration = Duration::from_millis(1);

/// So many rounds, and the server has warmed up.
const WARM_ROUNDS: u64 = 20;

impl HealthyPair {
    /// Connects both, lets them talk, and returns once that goes well.
    ///
    /// # Panics
    ///
    /// If they do not get in.
    pub fn start(address: SocketAddr) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopping, counting) = (Arc::clone(&stop), Arc::clone(&rounds));
        let talk = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime of one thread");
            runtime.block_on(talk(address, &stopping, &counting))
        });
        let pair = Self { stop, rounds, talk };
        pair.wait_rounds(WARM_ROUNDS);
        pair
    }

    /// Waits until the two have talked so many rounds more, from now on.
    ///
    /// # Panics
    ///
    /// If they have given up; [`stop`](Self::stop) tells why.
    pub fn wait_rounds(&self, more: u64) {
        let goal = self.rounds.load(Ordering::Acquire) + more;
        while self.rounds.load(Ordering::Acquire) < goal {
            assert!(!self.talk.is_finished(), "the healthy clients have given up");
            thread::sleep(PAUSE);
        }
    }

    /// Lets them finish a round that begins now.
    ///
    /// # Panics
    ///
    /// If they missed a message, or a round has stalled.
    pub fn stop(self) -> Exchange {
        if !self.talk.is_finished() {
            self.wait_rounds(2);
        }
        self.stop.store(true, Ordering::Release);
        self.talk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

async fn talk(address: SocketAddr, stop: &AtomicBool, rounds: &AtomicU64) -> Exchange {
    let mut ann = join(address, "healthy", "ann").await.expect("ann gets in");
    let mut bob = join(address, "healthy", "bob").await.expect("bob gets in");
    let mut slowest = Duration::ZERO;
    while !stop.load(Ordering::Acquire) {
        let started = Instant::now();
        let number = rounds.load(Ordering::Relaxed);
        let round = exchange(&mut ann, &mut bob, number);
        let round = tokio::time::timeout(ROUND_WITHIN, round).await;
        round.unwrap_or_else(|_| panic!("the healthy clients' round {number} has stalled"));
        slowest = slowest.max(started.elapsed());
        rounds.store(number + 1, Ordering::Release);
        std::mem::swap(&mut ann, &mut bob);
        tokio::time::sleep(PAUSE).await;
    }
    Exchange { rounds: rounds.load(Ordering::Relaxed), slowest }
}

async fn exchange(speaker: &mut Peer, listener: &mut Peer, number: u64) {
    let said = Frame::new("say").json(&number).expect("a number is JSON");
    speaker.send(&said).await.expect("the speaker is connected");
    assert_eq!(speaker.frame().await.expect("the speaker hears"), said);
    assert_eq!(listener.frame().await.expect("the listener hears"), said);
}
