//! The registry of one connection id, its clients, and the operations that befall them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wspulse_core::outbound::OverflowPolicy;
use wspulse_core::session::{Predecessor, SessionConfig, SuspensionLimit};
use wspulse_core::websocket::ProtocolError;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, HeartbeatConfig, TransportLost};

use crate::coverage::Scene;
use crate::driver::{Driver, Mail, Upgrade};
use crate::env::Env;
use crate::ledger::Capacity;
use crate::socket::Takes;

pub(crate) struct World {
    env: Env,
    config: Arc<SessionConfig>,
    suspensions: Arc<SuspensionLimit>,
    has_places: bool,
    capacity: Capacity,
    duplicates: Duplicates,
    /// In the order of their registration: all but the last have ended.
    drivers: Vec<Driver>,
    /// How many drivers, from the front, are done for good.
    done: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duplicates {
    Replace,
    Resume,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Connect,
    Send,
    Broadcast,
    Receive,
    ReceivePing,
    Progress,
    Lose,
    Writable,
    End,
    Pass,
    Oversleep,
}

/// How often each operation comes.
const WEIGHTS: [(Operation, usize); 11] = [
    (Operation::Connect, 12),
    (Operation::Send, 14),
    (Operation::Broadcast, 14),
    (Operation::Receive, 12),
    (Operation::ReceivePing, 4),
    (Operation::Progress, 6),
    (Operation::Lose, 7),
    (Operation::Writable, 12),
    (Operation::End, 3),
    (Operation::Pass, 18),
    (Operation::Oversleep, 2),
];

/// More than any sequence needs: beyond, something is stuck.
const ROUNDS_MAX: usize = 10_000;

impl World {
    pub(crate) fn new(mut env: Env) -> Self {
        let has_places = env.chance(80);
        // As many sessions as there ever are, or none.
        let places = if has_places { usize::MAX } else { 0 };
        let suspensions = Arc::new(SuspensionLimit::new(places));
        let ping_interval = env.millis(200, 3_000);
        let config = SessionConfig {
            heartbeat: HeartbeatConfig {
                ping_interval,
                pong_timeout: ping_interval + env.millis(1, 3_000),
            },
            write_wait: env.millis(50, 2_000),
            // Whole frames alone renew the time: no socket takes so much within it.
            write_rate_min: u32::MAX,
            resume_window: env.pick(&[
                Duration::ZERO,
                Duration::from_millis(1),
                Duration::from_millis(400),
                Duration::from_secs(3),
                Duration::from_hours(24),
            ]),
            inbound_frames_max: 1 + env.up_to(3),
            inbound_rate: None,
            message_timeout: env.millis(10, 3_000),
            ask: None,
            suspension_limit: Some(Arc::clone(&suspensions)),
        };
        Self {
            config: Arc::new(config),
            suspensions,
            has_places,
            capacity: Capacity {
                frames: 1 + env.up_to(7),
                bytes: env.pick(&[1, 25, 150, 1024 * 1024]),
            },
            duplicates: env.pick(&[Duplicates::Replace, Duplicates::Resume]),
            drivers: Vec::new(),
            done: 0,
            env,
        }
    }

    /// A sequence from its first client to a quiet end.
    pub(crate) fn live(mut self) {
        self.connect();
        for _ in 0..30 + self.env.up_to(50) {
            let operation = self.choose();
            self.befall(operation);
            if self.env.chance(80) {
                self.settle();
            }
        }
        self.wind_down();
    }

    fn choose(&mut self) -> Operation {
        let sum: usize = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut left = self.env.up_to(sum - 1);
        for (operation, weight) in WEIGHTS {
            if left < weight {
                return operation;
            }
            left -= weight;
        }
        unreachable!("the weights add up")
    }

    fn befall(&mut self, operation: Operation) {
        match operation {
            Operation::Connect => self.connect(),
            Operation::Send => self.send(),
            Operation::Broadcast => self.broadcast(),
            Operation::Receive => {
                let frames = 1 + self.env.up_to(2);
                self.with_any(|driver, env| driver.receive(frames, env));
            }
            Operation::ReceivePing => self.with_any(Driver::receive_ping),
            Operation::Progress => self.with_any(Driver::progress),
            Operation::Lose => {
                let cause = self.any_cause();
                self.with_any(|driver, env| driver.lose(cause, env));
            }
            Operation::Writable => {
                let takes = self.any_takes();
                self.with_any(|driver, _| driver.become_writable(takes));
            }
            Operation::End => {
                let end = self.any_end();
                self.end(self.drivers.len() - 1, end);
            }
            Operation::Pass => {
                let longest = self.env.pick(&[10, 300, 4_000]);
                let time = self.env.millis(0, longest);
                self.pass(time);
            }
            Operation::Oversleep => {
                self.env.punctual = false;
                let time = self.env.millis(0, 5_000);
                self.env.now += time;
                self.settle();
                self.env.punctual = true;
            }
        }
    }

    /// A client arrives with the id.
    fn connect(&mut self) {
        let now = self.env.now;
        let upgrade = Upgrade {
            done_at: now + self.env.millis(0, 60) * u32::from(self.env.chance(60)) * 4,
            succeeds: self.env.chance(85),
            socket_takes: self.any_takes(),
            deadline: now,
        };
        if let Some(driver) = self.registered() {
            let comes_back = driver.session.is_suspended();
            if comes_back || self.duplicates == Duplicates::Resume {
                let driver = self.drivers.last_mut().expect("a registered one");
                driver.mailbox.push_back(Mail::Upgrade(upgrade));
                return;
            }
            self.end(self.drivers.len() - 1, Disconnect::Duplicate);
        }
        let predecessor = match self.drivers.last() {
            Some(driver) if !driver.journal.is_over() => Predecessor::Running,
            Some(_) | None => Predecessor::None,
        };
        let (config, places) = (&self.config, self.has_places);
        let driver = Driver::new(config, self.capacity, places, predecessor, upgrade, &self.env);
        self.drivers.push(driver);
    }

    fn send(&mut self) {
        for _ in 0..=self.env.up_to(2) {
            let filling = self.any_filling();
            if let Some(driver) = self.registered() {
                let policy = if driver.session.is_suspended() {
                    OverflowPolicy::DropOldest
                } else {
                    OverflowPolicy::RejectNewest
                };
                driver.push(policy, filling);
            }
        }
    }

    fn broadcast(&mut self) {
        for _ in 0..=self.env.up_to(3) {
            let filling = self.any_filling();
            if let Some(driver) = self.registered() {
                driver.push(OverflowPolicy::DropOldest, filling);
            }
        }
    }

    /// Has a session ended, unless it is already, and unless its client has come back in time.
    fn end(&mut self, index: usize, disconnect: Disconnect) {
        let driver = &mut self.drivers[index];
        if driver.ended {
            Scene::EndRaced.seen_if(driver.told.end.is_none());
            return;
        }
        if matches!(disconnect, Disconnect::GraceExpired(_)) {
            let is_upgrade = |mail: &Mail| matches!(mail, Mail::Upgrade(_));
            if driver.mailbox.iter().any(is_upgrade) {
                Scene::GraceYielded.seen();
                return;
            }
        }
        driver.ended = true;
        let deadline = self.env.now + self.env.millis(1, 3_000);
        driver.mailbox.push_back(Mail::End(disconnect, deadline));
    }

    /// Time goes by, every deadline in it is served when it is due.
    fn pass(&mut self, time: Duration) {
        let until = self.env.now + time;
        self.settle();
        while let Some(at) = self.next_due().filter(|at| *at <= until) {
            self.env.now = at.max(self.env.now);
            self.settle();
        }
        self.env.now = until;
    }

    fn next_due(&self) -> Option<Instant> {
        let live = &self.drivers[self.done..];
        live.iter().filter_map(Driver::next_due).min()
    }

    /// Lets every driver do what is due now.
    fn settle(&mut self) {
        for index in self.done..self.drivers.len() {
            self.settle_one(index);
        }
        let suspended = self.drivers.iter().filter(|driver| driver.session.is_suspended());
        assert_eq!(self.suspensions.suspended(), suspended.count(), "each holds one place");
        while self.drivers.get(self.done).is_some_and(Driver::is_done) {
            self.done += 1;
        }
    }

    fn settle_one(&mut self, index: usize) {
        let mut rounds = 0;
        let was_over = self.drivers[index].journal.is_over();
        while self.drivers[index].step(&mut self.env) {
            for disconnect in std::mem::take(&mut self.drivers[index].asked) {
                self.end(index, disconnect);
            }
            rounds += 1;
            assert!(rounds < ROUNDS_MAX, "a driver that never comes to rest");
        }
        self.drivers[index].see_off(&mut self.env);
        let is_over = self.drivers[index].journal.is_over();
        if is_over
            && !was_over
            && let Some(successor) = self.drivers.get_mut(index + 1)
        {
            successor.mailbox.push_back(Mail::PredecessorFinished);
        }
    }

    /// The last session ends like any other, and time passes until nothing is left.
    fn wind_down(&mut self) {
        let end = self.any_end();
        self.end(self.drivers.len() - 1, end);
        if self.env.chance(60) {
            for driver in &mut self.drivers[self.done..] {
                driver.become_writable(Takes::Everything);
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.settle();
            let Some(at) = self.next_due() else {
                assert_eq!(self.done, self.drivers.len(), "nothing is stuck");
                return;
            };
            self.env.now = at.max(self.env.now);
        }
        panic!("a life without end");
    }

    /// The session that has the id now.
    fn registered(&mut self) -> Option<&mut Driver> {
        self.drivers.last_mut().filter(|driver| !driver.ended)
    }

    /// Something happens to one of the transports, mostly to the newest session's.
    fn with_any(&mut self, happens: impl FnOnce(&mut Driver, &mut Env)) {
        let newest = self.drivers.len() - 1;
        let index = if self.env.chance(80) { newest } else { self.env.up_to(newest) };
        happens(&mut self.drivers[index], &mut self.env);
    }

    fn any_filling(&mut self) -> usize {
        if self.env.chance(5) { 115 + self.env.up_to(15) } else { self.env.up_to(6) }
    }

    fn any_takes(&mut self) -> Takes {
        self.env.pick(&[
            Takes::Everything,
            Takes::Everything,
            Takes::AnyPart,
            Takes::AnyPart,
            Takes::Nothing,
        ])
    }

    fn any_end(&mut self) -> Disconnect {
        match self.env.up_to(3) {
            0 => Disconnect::Closed,
            1 => Disconnect::ClosedWith(CloseFrame::new(CloseCode::NORMAL, "left")),
            2 => Disconnect::Kicked(CloseFrame::new(CloseCode::NORMAL, "kicked")),
            _ => Disconnect::ServerClosed,
        }
    }

    fn any_cause(&mut self) -> TransportLost {
        let reset = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        match self.env.up_to(5) {
            0 => TransportLost::PeerClosed(None),
            1 => TransportLost::PeerClosed(Some(CloseFrame::new(CloseCode::NORMAL, "bye"))),
            2 => TransportLost::EndOfStream,
            3 => TransportLost::Io(Arc::new(reset())),
            4 => TransportLost::Protocol(ProtocolError::NotMasked),
            _ => TransportLost::Protocol(ProtocolError::MessageTooBig { len: 600, limit: 512 }),
        }
    }
}
