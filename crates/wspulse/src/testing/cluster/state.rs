//! What is on its way between the engines of a network, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::faults::NetworkFaults;
use super::logs::Logs;
use crate::cluster::{
    EngineStatus, GroupKey, LogPosition, NodeId, Topic, TopicFilter, Unavailable,
};
use crate::testing::Dice;

/// How many messages may be on their way to one engine; later ones are lost, as by a broker's slow
/// consumer.
const WAITING_MAX: usize = 65_536;

/// For how many publishers and topics an engine remembers the time of the last message, before it
/// forgets those that are past.
const REMEMBERED_MAX: usize = 4_096;

/// Everything that there is of a network.
pub(super) struct State {
    pub(super) faults: NetworkFaults,
    pub(super) dice: Dice,
    /// How many things were sent: what is due at one time comes in this order.
    sent: u64,
    /// In the order in which the engines were made: one that the seed knows.
    pub(super) ports: Vec<Port>,
    /// Whether no engine has a connection.
    pub(super) down: bool,
    /// Engines that do not hear each other, the lower one first.
    cuts: BTreeSet<(usize, usize)>,
    /// Engines that hear nobody, the log neither.
    pub(super) cut_off: BTreeSet<usize>,
    pub(super) logs: Logs,
    pub(super) has_log: bool,
}

/// Where an engine is in the network.
pub(super) struct Port {
    pub(super) phase: Phase,
    pub(super) filters: HashSet<TopicFilter>,
    pub(super) waiting: BTreeMap<(Instant, u64), Item>,
    /// When the last message of a publisher to a topic comes.
    last: HashMap<(usize, Topic), Instant>,
    pub(super) wake: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started yet.
    Idle,
    Up(NodeId),
    Interrupted(NodeId),
    Ended,
}

/// What comes to an engine, at its time.
pub(super) enum Item {
    Message(Topic, Bytes),
    Logged(GroupKey, LogPosition, Bytes),
    Request {
        message: Bytes,
        from: usize,
        answer: oneshot::Sender<(Instant, Bytes)>,
    },
    Status(EngineStatus),
    /// The connection is back.
    Restored,
}

/// What becomes of a question.
pub(super) enum Route {
    Unavailable,
    /// There is nobody, which is heard then.
    Nobody(Instant),
    /// It is lost.
    Silence,
    Asked(oneshot::Receiver<(Instant, Bytes)>),
}

impl State {
    pub(super) fn new(faults: NetworkFaults, dice: Dice) -> Self {
        Self {
            faults,
            dice,
            sent: 0,
            ports: Vec::new(),
            down: false,
            cuts: BTreeSet::new(),
            cut_off: BTreeSet::new(),
            logs: Logs::default(),
            has_log: true,
        }
    }

    /// A place for one more engine.
    pub(super) fn add_port(&mut self) -> usize {
        self.ports.push(Port {
            phase: Phase::Idle,
            filters: HashSet::new(),
            waiting: BTreeMap::new(),
            last: HashMap::new(),
            wake: Arc::default(),
        });
        self.ports.len() - 1
    }

    pub(super) fn publish(
        &mut self,
        from: usize,
        topic: Topic,
        message: &Bytes,
    ) -> Result<(), Unavailable> {
        if !matches!(self.ports[from].phase, Phase::Up(_)) {
            return Err(Unavailable);
        }
        if self.hits(self.faults.interrupted_per_mille) {
            let outage = self.faults.outage.clone();
            let back_at = self.later(&outage);
            self.interrupt(from);
            self.put(from, back_at, Item::Restored);
            return Err(Unavailable);
        }
        for to in 0..self.ports.len() {
            let hears = to != from || self.faults.echo;
            if hears && self.ports[to].is_subscribed(topic) {
                self.carry(from, to, topic, message);
            }
        }
        Ok(())
    }

    /// One receiver's copy.
    fn carry(&mut self, from: usize, to: usize, topic: Topic, message: &Bytes) {
        if !self.reaches(from, to) {
            return;
        }
        let delay = self.faults.delay.clone();
        let drawn = self.later(&delay);
        let port = &mut self.ports[to];
        let at = port.last.get(&(from, topic)).map_or(drawn, |last| drawn.max(*last));
        let full = port.waiting.len() >= WAITING_MAX;
        if full || self.hits(self.faults.lost_per_mille) {
            if full || self.dice.once_in(2) {
                self.put(to, at, Item::Status(EngineStatus::Lost));
            }
            return;
        }
        self.ports[to].remember(from, topic, at);
        self.put(to, at, Item::Message(topic, message.clone()));
        if self.hits(self.faults.twice_per_mille) {
            let again_at = at.max(self.later(&delay));
            self.put(to, again_at, Item::Message(topic, message.clone()));
        }
    }

    /// One receiver's copy of what is in a log.
    pub(super) fn carry_logged(
        &mut self,
        to: usize,
        key: GroupKey,
        position: LogPosition,
        entry: &Bytes,
    ) {
        let delay = self.faults.delay.clone();
        let at = self.later(&delay);
        let is_full = self.ports[to].waiting.len() >= WAITING_MAX;
        if is_full || self.hits(self.faults.lost_per_mille) {
            return;
        }
        self.put(to, at, Item::Logged(key, position, entry.clone()));
        if self.hits(self.faults.twice_per_mille) {
            let again_at = self.later(&delay);
            self.put(to, again_at, Item::Logged(key, position, entry.clone()));
        }
    }

    pub(super) fn ask(&mut self, from: usize, node: NodeId, message: Bytes) -> Route {
        if !matches!(self.ports[from].phase, Phase::Up(_)) {
            return Route::Unavailable;
        }
        let delay = self.faults.delay.clone();
        let at = self.later(&delay);
        let Some(to) = self.ports.iter().position(|port| port.phase == Phase::Up(node)) else {
            return Route::Nobody(at);
        };
        if !self.reaches(from, to) || self.hits(self.faults.lost_per_mille) {
            return Route::Silence;
        }
        let (answer, answered) = oneshot::channel();
        self.put(to, at, Item::Request { message, from, answer });
        Route::Asked(answered)
    }

    /// When an answer is there, unless it is lost.
    pub(super) fn answer(&mut self, from: usize, to: usize) -> Option<Instant> {
        let up = |place: usize| matches!(self.ports[place].phase, Phase::Up(_));
        let arrives = up(from) && up(to) && self.reaches(from, to);
        let delay = self.faults.delay.clone();
        (arrives && !self.hits(self.faults.lost_per_mille)).then(|| self.later(&delay))
    }

    /// A node begins: connected, unless no engine is.
    pub(super) fn begin(&mut self, place: usize, node: NodeId) -> Arc<Notify> {
        let port = &mut self.ports[place];
        assert_eq!(port.phase, Phase::Idle, "an engine is started once");
        port.phase = Phase::Interrupted(node);
        let wake = Arc::clone(&port.wake);
        if self.down {
            self.put(place, Instant::now(), Item::Status(EngineStatus::Disconnected));
        } else {
            self.restore(place);
        }
        wake
    }

    pub(super) fn interrupt(&mut self, place: usize) {
        let port = &mut self.ports[place];
        let Phase::Up(node) = port.phase else { return };
        port.phase = Phase::Interrupted(node);
        port.waiting.retain(|_, item| matches!(item, Item::Status(_)));
        self.put(place, Instant::now(), Item::Status(EngineStatus::Disconnected));
    }

    pub(super) fn restore(&mut self, place: usize) {
        let port = &mut self.ports[place];
        let Phase::Interrupted(node) = port.phase else { return };
        if self.down {
            return;
        }
        port.phase = Phase::Up(node);
        port.waiting.retain(|_, item| !matches!(item, Item::Restored));
        self.put(place, Instant::now(), Item::Status(EngineStatus::Connected));
    }

    pub(super) fn put(&mut self, to: usize, at: Instant, item: Item) {
        self.sent += 1;
        let port = &mut self.ports[to];
        port.waiting.insert((at, self.sent), item);
        port.wake.notify_one();
    }

    /// Two engines do not hear each other any more.
    pub(super) fn cut(&mut self, one: usize, other: usize) {
        self.cuts.insert(ordered(one, other));
    }

    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.cut_off.clear();
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        !self.cuts.contains(&ordered(from, to))
    }

    pub(super) fn hits(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.dice.within(0..1_000) < u64::from(per_mille)
    }

    pub(super) fn later(&mut self, range: &Range<Duration>) -> Instant {
        if range.is_empty() {
            Instant::now()
        } else {
            Instant::now() + self.dice.time(range.clone())
        }
    }

    /// When something that is said to the network itself is known there.
    pub(super) fn heard_at(&mut self) -> Instant {
        let delay = self.faults.delay.clone();
        self.later(&delay)
    }
}

impl Port {
    pub(super) fn is_subscribed(&self, topic: Topic) -> bool {
        let shard = match topic {
            Topic::Group(key) => self.filters.contains(&TopicFilter::Shard(key.shard())),
            Topic::Everybody | Topic::Beats => false,
        };
        let up = matches!(self.phase, Phase::Up(_));
        up && (shard || self.filters.contains(&TopicFilter::Topic(topic)))
    }

    fn remember(&mut self, from: usize, topic: Topic, at: Instant) {
        if self.last.len() >= REMEMBERED_MAX {
            let now = Instant::now();
            self.last.retain(|_, last| *last > now);
        }
        self.last.insert((from, topic), at);
    }
}

fn ordered(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
