//! The server under attack, seen from outside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{Asked, PATIENCE};
use crate::control::{Ask, Counters, Inspection, Numbered};
use crate::process;

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Attacked {
    process: Asked,
    address: SocketAddr,
}

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(2);

impl Attacked {
    /// Starts the server on a free port of the loopback address; `program` is this package's.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("server").args(arguments);
        Self::spawn(command, IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Starts the server by a command that ends in it, such as one that enters a network
    /// namespace first; `host` is where it is reached.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn spawn(command: Command, host: IpAddr) -> Self {
        let process = Asked::spawn(command);
        let address = SocketAddr::new(host, process.port());
        Self { process, address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its resident memory in KiB.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn resident_kib(&self) -> u64 {
        process::resident_kib(self.pid()).expect("the server runs")
    }

    /// What it has counted.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn counters(&mut self) -> Counters {
        self.process.ask(&Ask::Counters)
    }

    /// One connection, if it is there.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn inspect(&mut self, id: &str) -> Option<Inspection> {
        self.process.ask(&Ask::Inspect { id: id.to_owned() })
    }

    /// Broadcasts numbered frames.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn broadcast(&mut self, room: &str, frames: Numbered) {
        self.process.ask::<()>(&Ask::Broadcast { room: room.to_owned(), frames });
    }

    /// Sends numbered frames to one connection and tells how many were accepted.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn send(&mut self, id: &str, frames: Numbered) -> u64 {
        self.process.ask(&Ask::Send { id: id.to_owned(), frames })
    }

    /// Asks the server to close, and does not wait for it.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn start_closing(&mut self) {
        self.process.say(&Ask::Close);
    }

    /// Waits for what the server counted last, after [`start_closing`](Self::start_closing).
    ///
    /// # Panics
    ///
    /// If it does not end in time or not well.
    pub fn wait_closed(&mut self) -> Counters {
        let counters = self.process.answer();
        let status = self.process.wait();
        assert!(status.success(), "the server ended with {status}");
        counters
    }

    /// Waits until its counters are as wanted, and returns them.
    ///
    /// # Panics
    ///
    /// If that does not come about.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, wanted: impl Fn(&Counters) -> bool) -> Counters {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counters = self.counters();
            if wanted(&counters) {
                return counters;
            }
            assert!(Instant::now() < deadline, "in vain waited for: {what}; {counters:#?}");
            thread::sleep(GLANCE);
        }
    }

    /// Waits until a connection is as wanted, and returns it.
    ///
    /// # Panics
    ///
    /// If that does not come about.
    #[track_caller]
    pub fn wait_for(&mut self, id: &str, wanted: impl Fn(&Inspection) -> bool) -> Inspection {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let inspection = self.inspect(id);
            if let Some(inspection) = inspection.clone().filter(&wanted) {
                return inspection;
            }
            assert!(Instant::now() < deadline, "in vain waited for {id}: {inspection:?}");
            thread::sleep(GLANCE);
        }
    }
}
