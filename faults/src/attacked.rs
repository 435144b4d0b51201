//! The server under attack, seen from outside.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::control::{Ask, Counters, Inspection, Numbered};
use crate::process;

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Attacked {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    address: SocketAddr,
}

/// How long the server may take for an answer, or for what is waited for: long enough for a
/// machine that does ten other things, short enough for a test that hangs to be told.
const PATIENCE: Duration = Duration::from_mins(1);

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
    pub fn spawn(mut command: Command, host: IpAddr) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take().expect("standard input is piped");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut attacked = Self { child, stdin, lines, address: SocketAddr::new(host, 0) };
        let first = attacked.line();
        let port = first.strip_prefix("LISTENING ").and_then(|port| port.parse().ok());
        attacked.address.set_port(port.unwrap_or_else(|| panic!("{first:?} names no port")));
        attacked
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
        self.ask(&Ask::Counters)
    }

    /// One connection, if it is there.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn inspect(&mut self, id: &str) -> Option<Inspection> {
        self.ask(&Ask::Inspect { id: id.to_owned() })
    }

    /// Broadcasts numbered frames.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn broadcast(&mut self, room: &str, frames: Numbered) {
        self.ask::<()>(&Ask::Broadcast { room: room.to_owned(), frames });
    }

    /// Sends numbered frames to one connection and tells how many were accepted.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn send(&mut self, id: &str, frames: Numbered) -> u64 {
        self.ask(&Ask::Send { id: id.to_owned(), frames })
    }

    /// Asks the server to close, and does not wait for it.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn start_closing(&mut self) {
        self.say(&Ask::Close);
    }

    /// Waits for what the server counted last, after [`start_closing`](Self::start_closing).
    ///
    /// # Panics
    ///
    /// If it does not end in time or not well.
    pub fn wait_closed(&mut self) -> Counters {
        let counters = self.answer();
        let status = self.child.wait().expect("a child can be waited for");
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

    fn ask<T: DeserializeOwned>(&mut self, ask: &Ask) -> T {
        self.say(ask);
        self.answer()
    }

    fn say(&mut self, ask: &Ask) {
        let mut line = serde_json::to_string(ask).expect("questions are JSON");
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).expect("the server runs");
    }

    fn answer<T: DeserializeOwned>(&mut self) -> T {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("no answer ({error}); the server's status is {:?}", self.child.try_wait())
        })
    }
}

impl Drop for Attacked {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
