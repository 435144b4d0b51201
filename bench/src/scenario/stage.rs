//! A server with its clients, and what a stretch of time cost.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::load::{Buffers, Fleet, Identity, LoadError, RAW_EXTRA_BYTES};
use crate::process::{self, Cpu};
use crate::subject::{Mode, Running, Subject};

/// How long any number of clients may take to connect.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_mins(1);

/// How long anything else may take that is not a matter of throughput.
pub(super) const STEP_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Stage {
    pub(super) server: Running,
    /// Servers beside it, of the same cluster.
    others: Vec<Running>,
    pub(super) fleet: Fleet,
}

impl Stage {
    pub(super) fn empty(subject: &Subject, mode: Mode) -> io::Result<Self> {
        let server = subject.start(mode)?;
        let fleet = Fleet::new(server.target())?;
        Ok(Self { server, others: Vec::new(), fleet })
    }

    /// `rooms` rooms with `members` members each; the members of a room follow each other.
    pub(super) fn with_rooms(
        subject: &Subject,
        mode: Mode,
        rooms: usize,
        members: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let mut stage = Self::empty(subject, mode)?;
        let identities = (0..rooms * members).map(|client| identity(client / members, client));
        stage.fleet.connect(identities, Buffers::System, CONNECT_WITHIN)?;
        if mode == Mode::Room {
            stage.settle(members)?;
        }
        Ok(stage)
    }

    /// As [`with_rooms`](Self::with_rooms), on so many servers that a broker joins: the members of a room
    /// are on one after the other of them.
    pub(super) fn joined(
        subject: &Subject,
        mode: Mode,
        servers: usize,
        (rooms, members): (usize, usize),
    ) -> Result<Self, Box<dyn Error>> {
        let mut stage = Self::empty(subject, mode)?;
        for _ in 1..servers {
            let other = subject.start_beside(&stage.server, mode)?;
            stage.fleet.spread_to(other.target().port);
            stage.others.push(other);
        }
        let identities = (0..rooms * members).map(|client| identity(client / members, client));
        stage.fleet.connect(identities, Buffers::System, CONNECT_WITHIN)?;
        stage.settle(members)?;
        Ok(stage)
    }

    /// Of all servers.
    fn server_cpu(&self) -> io::Result<Cpu> {
        std::iter::once(&self.server).chain(&self.others).map(Running::cpu).sum()
    }

    /// As [`settle`].
    pub(super) fn settle(&mut self, members: usize) -> Result<(), LoadError> {
        settle(&mut self.fleet, members)
    }

    pub(super) fn stopwatch(&self) -> io::Result<Stopwatch> {
        Ok(Stopwatch {
            started: Instant::now(),
            server: self.server_cpu()?,
            broker: self.server.broker_cpu()?,
            load: process::cpu(std::process::id())?,
        })
    }
}

/// Returns when all rooms are complete: each client has got what its room's first one says.
pub(super) fn settle(fleet: &mut Fleet, members: usize) -> Result<(), LoadError> {
    let deadline = Instant::now() + STEP_WITHIN;
    for probe in 0.. {
        let payload = format!("{PROBE}{probe:04}");
        let mut missing = fleet.len();
        for publisher in (0..fleet.len()).step_by(members) {
            fleet.send(publisher, payload.as_bytes())?;
        }
        let next_probe = Instant::now() + Duration::from_secs(1);
        while missing > 0 && Instant::now() < next_probe {
            fleet.turn(Duration::from_millis(50), &mut |_, got| {
                missing -= usize::from(got == payload.as_bytes());
            })?;
        }
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let what = format!("all rooms complete ({missing} members missing)");
            return Err(LoadError::Late { what, within: STEP_WITHIN });
        }
    }
    unreachable!("probes do not run out")
}

pub(super) fn identity(room: usize, client: usize) -> Identity {
    Identity { room: format!("room{room}"), id: format!("client{client}"), ticket: None }
}

/// What marks a message that is not part of the measurement.
pub(super) const PROBE: char = 'p';

/// A payload for a raw message of `message_bytes`, which starts with `stamp` in hexadecimal.
pub(super) fn payload(stamp: u64, message_bytes: usize) -> Vec<u8> {
    let mut payload = format!("{stamp:016x}").into_bytes();
    payload.resize(message_bytes.saturating_sub(RAW_EXTRA_BYTES).max(STAMP_BYTES), b'x');
    payload
}

const STAMP_BYTES: usize = 16;

/// The stamp of a payload, if it is part of the measurement.
pub(super) fn stamp(payload: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(payload.get(..STAMP_BYTES)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// The start of a stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch {
    started: Instant,
    server: Cpu,
    broker: Cpu,
    load: Cpu,
}

/// What a stretch of time cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    pub(super) elapsed: Duration,
    server: Cpu,
    broker: Cpu,
    load: Cpu,
}

impl Stopwatch {
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn stop(self, stage: &Stage) -> io::Result<Costs> {
        Ok(Costs {
            elapsed: self.started.elapsed(),
            server: stage.server_cpu()? - self.server,
            broker: stage.server.broker_cpu()? - self.broker,
            load: process::cpu(std::process::id())? - self.load,
        })
    }
}

impl Costs {
    pub(super) fn per_second(&self, operations: u64) -> f64 {
        operations as f64 / self.elapsed.as_secs_f64()
    }

    pub(super) fn server_micros(&self, operations: u64) -> f64 {
        micros_each(self.server.total, operations)
    }

    /// Of the broker, if there is one.
    pub(super) fn broker_micros(&self, operations: u64) -> f64 {
        micros_each(self.broker.total, operations)
    }

    pub(super) fn server_percent(&self) -> f64 {
        percent(self.server.total, self.elapsed)
    }

    /// The columns of [`cost_columns`](super::cost_columns).
    pub(super) fn fill(&self, outcome: Outcome, operations: u64) -> Outcome {
        outcome
            .with("server_us", self.server_micros(operations))
            .with("server_user", percent(self.server.user, self.server.user + self.server.system))
            .with("load_us", micros_each(self.load.total, operations))
            .with("server_cores", self.server_percent())
            .with("load_cores", percent(self.load.total, self.elapsed))
    }
}

fn micros_each(total: Duration, operations: u64) -> f64 {
    total.as_secs_f64() * 1e6 / operations as f64
}

fn percent(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { 100.0 * part.as_secs_f64() / whole.as_secs_f64() }
}
