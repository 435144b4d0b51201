//! A server under attack, and what must hold meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::attacked::Attacked;
use crate::healthy::HealthyPair;
use crate::process;

/// One KiB, in KiB.
pub const KIB: u64 = 1;
/// One MiB, in KiB.
pub const MIB: u64 = 1024 * KIB;

/// A server process, two healthy clients who talk to each other, and somebody who watches the
/// server's memory. It begins when all three are well under way.
#[derive(Debug)]
pub struct Siege {
    /// The server, to be asked.
    pub server: Attacked,
    pair: HealthyPair,
    before_kib: u64,
    watch: Watch,
}

#[derive(Debug)]
struct Watch {
    stop: Arc<AtomicBool>,
    peak_kib: JoinHandle<u64>,
}

/// How often memory is looked at. What comes and goes in between is no growth.
const GLANCE: Duration = Duration::from_millis(5);

impl Siege {
    /// Begins one with a server of these arguments.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub fn lay(program: &str, arguments: &[&str]) -> Self {
        let server = Attacked::start(program, arguments);
        let pair = HealthyPair::start(server.address());
        let before_kib = server.resident_kib();
        let watch = Watch::start(server.pid());
        Self { server, pair, before_kib, watch }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Ends it and asserts what must hold: the healthy clients have missed nothing and never
    /// waited long, the server's resident memory has grown by less than the bound, no callback has
    /// panicked, and every frame is accounted for.
    ///
    /// # Panics
    ///
    /// If one of these does not hold.
    #[track_caller]
    pub fn lift(mut self, growth_kib_max: u64) {
        let exchange = self.pair.stop();
        let grown_kib = self.watch.stop().saturating_sub(self.before_kib);
        let counters = self.server.counters();
        println!(
            "{}: resident memory {} KiB, at most {grown_kib} KiB more under attack (bound \
             {growth_kib_max}); the healthy clients exchanged {} messages, the slowest in {:?}",
            thread::current().name().unwrap_or("siege"),
            self.before_kib,
            exchange.rounds,
            exchange.slowest,
        );
        assert!(grown_kib < growth_kib_max, "{grown_kib} KiB are not under {growth_kib_max}");
        assert_eq!(counters.panics, 0, "{counters:#?}");
        assert_eq!(counters.account.unaccounted, 0, "{counters:#?}");
    }
}

impl Watch {
    fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let peak_kib = thread::spawn(move || {
            let mut peak_kib = 0;
            while !stopping.load(Ordering::Acquire) {
                peak_kib = peak_kib.max(process::resident_kib(pid).unwrap_or(0));
                thread::sleep(GLANCE);
            }
            peak_kib.max(process::resident_kib(pid).unwrap_or(0))
        });
        Self { stop, peak_kib }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.peak_kib.join().expect("watching does not panic")
    }
}
