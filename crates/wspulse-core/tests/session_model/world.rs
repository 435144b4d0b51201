//! The registry of one connection id, its clients, and the operations that befall them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wspulse_core::session::{AwaitedConfig, Predecessor, SessionConfig, SuspensionLimit};
use wspulse_core::websocket::ProtocolError;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, HeartbeatConfig, TransportLost};

use crate::client::Client;
use crate::coverage::Scene;
use crate::driver::{Driver, Terms, hands_on_received};
use crate::env::Env;
use crate::link::{Mail, Upgrade};
use crate::marks::Marks;
use crate::operation::Operation;
use crate::promise::Promise;
use crate::socket::Takes;

pub(crate) struct World {
    env: Env,
    promise: Promise,
    terms: Terms,
    suspensions: Arc<SuspensionLimit>,
    duplicates: Duplicates,
    /// No link is long enough for a frame.
    links_are_short: bool,
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

/// More than any sequence needs: beyond, something is stuck.
const ROUNDS_MAX: usize = 10_000;

impl World {
    pub(crate) fn new(mut env: Env) -> Self {
        let promise = Promise::any(&mut env);
        let has_places = env.chance(promise.chance_of_places());
        // As many sessions as there ever are, or none.
        let places = if has_places { usize::MAX } else { 0 };
        let suspensions = Arc::new(SuspensionLimit::new(places));
        let ping_interval = env.millis(200, 3_000);
        let inbound_frames_max = 1 + env.up_to(3);
        let messages_max = inbound_frames_max + env.up_to(4);
        let awaited = AwaitedConfig { messages_max, bytes_max: usize::MAX };
        let config = SessionConfig {
            heartbeat: HeartbeatConfig {
                ping_interval,
                pong_timeout: ping_interval + env.millis(1, 3_000),
            },
            write_wait: env.millis(50, 2_000),
            // Whole frames alone renew the time: no socket takes so much within it.
            write_rate_min: u32::MAX,
            resume_window: promise.resume_window(&mut env),
            inbound_frames_max,
            awaited,
            inbound_rate: None,
            message_timeout: env.millis(10, 3_000),
            ask: promise.ask(&mut env),
            duplicate_close: CloseCode::NORMAL,
            expiry_notice: env.chance(50).then(|| env.millis(0, 500)),
            suspension_limit: Some(Arc::clone(&suspensions)),
        };
        let terms = Terms {
            config: Arc::new(config),
            has_places,
            capacity: promise.capacity(&mut env),
            window: promise.window(&mut env),
        };
        Self {
            promise,
            terms,
            suspensions,
            duplicates: env.pick(&[Duplicates::Replace, Duplicates::Resume]),
            links_are_short: env.chance(4),
            drivers: Vec::new(),
            done: 0,
            env,
        }
    }

    /// A sequence from its first client to a quiet end.
    pub(crate) fn live(mut self) {
        self.connect();
        let operations = match self.promise {
            Promise::AtMost => 30 + self.env.up_to(50),
            // What is counted takes longer to go wrong.
            Promise::AtLeast | Promise::Exactly => 40 + self.env.up_to(160),
        };
        for _ in 0..operations {
            let operation = Operation::any(self.promise, &mut self.env);
            self.befall(operation);
            if self.links_are_short && self.env.chance(20) {
                self.befall(Operation::Lose);
                self.settle();
                self.connect();
            }
            if self.env.chance(80) {
                self.settle();
            }
        }
        self.wind_down();
    }

    fn befall(&mut self, operation: Operation) {
        match operation {
            Operation::Connect => {
                // Most clients come when they have to.
                let has_one = self.drivers.last().is_some_and(|last| last.current.is_some());
                let is_content = has_one && self.promise != Promise::AtMost;
                if !is_content || self.env.chance(25) {
                    self.connect();
                }
            }
            Operation::Send => self.send(),
            Operation::Broadcast => self.broadcast(),
            Operation::Receive => {
                let frames = 1 + self.env.up_to(2);
                self.with_any(|driver, env| driver.receive(frames, env));
            }
            Operation::Arrive => {
                let most = self.env.pick(&[3, 60, 1_000, 1_000]);
                let bytes = self.env.up_to(most);
                self.with_any(|driver, env| driver.arrive(bytes, env));
            }
            Operation::Speak => self.with_any(Driver::speak),
            Operation::Answer => self.with_any(|driver, _| driver.answer()),
            Operation::ReceivePing => self.with_any(Driver::receive_ping),
            Operation::Progress => self.with_any(Driver::progress),
            Operation::Await => self.with_any(Driver::await_or_not),
            Operation::Lose => {
                let cause = self.any_cause();
                self.with_any(|driver, env| driver.lose(cause, env));
            }
            Operation::Writable => {
                let takes = if self.links_are_short { Takes::Nothing } else { self.any_takes() };
                self.with_any(|driver, _| driver.become_writable(takes));
            }
            Operation::Renew => {
                let at = self.env.now + self.env.millis(0, 3_000);
                if let Some(driver) = self.registered() {
                    driver.renew(at);
                }
            }
            Operation::End => {
                let end = self.any_end();
                self.end(self.drivers.len() - 1, end);
            }
            Operation::Pass => {
                let longest = self.promise.longest_pause(&mut self.env);
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
        let upgrade = self.any_upgrade();
        let promise = self.promise;
        // A client without its session, as one that was reloaded.
        let has_token = !self.env.chance(5);
        let may_come_back = self.duplicates == Duplicates::Resume;
        if let Some(driver) = self.drivers.last_mut().filter(|driver| !driver.ended) {
            let comes_back = match promise {
                Promise::Exactly => has_token,
                Promise::AtMost | Promise::AtLeast => {
                    driver.session.is_suspended() || may_come_back
                }
            };
            if comes_back {
                let count = driver.client.connect(&mut self.env);
                let count = driver.client.exchanges().then_some(count);
                let attempt = driver.client.attempt;
                let upgrade = Upgrade { attempt, count, ..upgrade };
                driver.mailbox.push_back(Mail::Upgrade(upgrade));
                return;
            }
            self.end(self.drivers.len() - 1, Disconnect::Duplicate);
        }
        let predecessor = match self.drivers.last() {
            Some(driver) if !driver.journal.is_over() => Predecessor::Running,
            Some(_) | None => Predecessor::None,
        };
        let client = Client::new(promise, &mut self.env);
        let driver = Driver::new(&self.terms, client, predecessor, upgrade, &self.env);
        self.drivers.push(driver);
    }

    fn any_upgrade(&mut self) -> Upgrade {
        let now = self.env.now;
        Upgrade {
            done_at: now + self.env.millis(0, 60) * u32::from(self.env.chance(60)) * 4,
            succeeds: self.env.chance(85),
            socket_takes: self.any_takes(),
            deadline: now,
            attempt: 0,
            count: None,
        }
    }

    fn send(&mut self) {
        for _ in 0..=self.env.up_to(self.promise.burst_max()) {
            let (filling, promise) = (self.any_filling(), self.promise);
            let marks = Marks::any(&mut self.env);
            if let Some(driver) = self.registered() {
                let policy = promise.send_policy(driver.session.is_suspended());
                driver.push(policy, filling, marks);
            }
        }
    }

    fn broadcast(&mut self) {
        for _ in 0..=self.env.up_to(self.promise.burst_max()) {
            let (filling, promise) = (self.any_filling(), self.promise);
            let marks = Marks::any(&mut self.env);
            if let Some(driver) = self.registered() {
                driver.push(promise.broadcast_policy(), filling, marks);
            }
        }
        self.carry_out_asked(self.drivers.len() - 1);
    }

    fn carry_out_asked(&mut self, index: usize) {
        for disconnect in std::mem::take(&mut self.drivers[index].asked) {
            self.end(index, disconnect);
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
        if matches!(disconnect, Disconnect::Expired)
            && driver.expires_at.is_none_or(|at| at > self.env.now)
        {
            Scene::ExpiryYielded.seen();
            return;
        }
        driver.ended = true;
        driver.discards_received = !hands_on_received(&disconnect);
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
            self.carry_out_asked(index);
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
        self.carry_out_asked(index);
    }

    fn any_filling(&mut self) -> usize {
        if self.links_are_short {
            return 20;
        }
        if self.env.chance(5) { 115 + self.env.up_to(15) } else { self.env.up_to(6) }
    }

    fn any_takes(&mut self) -> Takes {
        if self.links_are_short {
            return Takes::Few;
        }
        self.promise.takes(&mut self.env)
    }

    fn any_end(&mut self) -> Disconnect {
        match self.env.up_to(4) {
            4 => Disconnect::Drained { retry: Duration::from_millis(250) },
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
