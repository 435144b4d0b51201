//! The life of a few servers that talk to groups.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use wspulse_core::cluster::{
    Answer, Batch, Beat, GroupKey, Inbox, InboxConfig, NodeId, NodeState, Outbox, OutboxConfig,
    Output, Question, Said, Target,
};
use wspulse_core::{EncodedFrame, MessageKind};

use super::Seen;
use super::ear::Ear;
use super::network::{Arrival, Network, Weather};

const BEAT: Duration = Duration::from_secs(1);

/// How long it takes, once all is calm, until nobody lacks anything.
const CALM: Duration = Duration::from_secs(40);

struct Server {
    id: NodeId,
    outbox: Outbox,
    inbox: Inbox,
    /// By whom, and to whom.
    ears: BTreeMap<(NodeId, Target), Ear>,
    listens: BTreeMap<Target, Instant>,
    next_beat: Instant,
}

pub(crate) struct Life {
    rng: SmallRng,
    now: Instant,
    servers: Vec<Server>,
    targets: Vec<Target>,
    network: Network,
    /// How much each has said to each, by node: its place in the list of servers is not for ever.
    said: BTreeMap<(NodeId, Target), u64>,
    ring_is_small: bool,
    seen: Seen,
}

impl Life {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let now = Instant::now();
        let nodes = rng.random_range(2..=4);
        let is_calm = rng.random_bool(0.2);
        let weather = Weather {
            loss: if is_calm { 0.0 } else { rng.random_range(0.0..0.3) },
            twice: if is_calm { 0.0 } else { rng.random_range(0.0..0.3) },
            delay_max_ms: rng.random_range(0..200),
        };
        let mut targets: Vec<_> =
            (0..rng.random_range(1..5)).map(|n| Target::Group(GroupKey::new([n; 16]))).collect();
        targets.push(Target::Everybody);
        let ring_is_small = rng.random_bool(0.3);
        let mut life = Self {
            network: Network::new(nodes, weather, now),
            servers: Vec::new(),
            rng,
            now,
            targets,
            said: BTreeMap::new(),
            ring_is_small,
            seen: Seen::default(),
        };
        for _ in 0..nodes {
            let server = life.server();
            life.servers.push(server);
        }
        life
    }

    fn server(&mut self) -> Server {
        let id = NodeId::new(self.rng.random());
        let mut config = OutboxConfig::default();
        if self.ring_is_small {
            config.ring_bytes_max = self.rng.random_range(200..4_000);
            config.ring_age_max = Duration::from_secs(self.rng.random_range(1..60));
            config.stream_idle_max = Duration::from_secs(self.rng.random_range(5..60));
        }
        Server {
            id,
            outbox: Outbox::new(id, config),
            inbox: Inbox::new(InboxConfig::default()),
            ears: BTreeMap::new(),
            listens: BTreeMap::new(),
            next_beat: self.now + Duration::from_millis(self.rng.random_range(0..1000)),
        }
    }

    pub(crate) fn live(mut self) -> Seen {
        let end = self.now + Duration::from_secs(self.rng.random_range(1..120));
        while self.now < end {
            self.act();
            let pause = self.rng.random_range(0..400);
            self.run_until(self.now + Duration::from_millis(pause));
        }
        self.network.weather.loss = 0.0;
        self.run_until(self.now + CALM);
        self.check();
        self.seen
    }

    fn act(&mut self) {
        let node = self.rng.random_range(0..self.servers.len());
        let target = self.targets[self.rng.random_range(0..self.targets.len())];
        match self.rng.random_range(0..100) {
            0..60 => {
                for _ in 0..self.rng.random_range(1..40) {
                    self.say(node, target);
                }
                self.flush(node);
            }
            60..75 => self.listen(node, target),
            75..82 => self.stop_listening(node, target),
            82..92 => {
                let until = self.now + Duration::from_millis(self.rng.random_range(0..20_000));
                self.network.cut(node, until);
            }
            92..94 => self.kill(node),
            _ => {
                let quiet = Duration::from_millis(self.rng.random_range(0..20_000));
                self.run_until(self.now + quiet);
            }
        }
    }

    fn say(&mut self, node: usize, target: Target) {
        let server = &mut self.servers[node];
        let said = self.said.entry((server.id, target)).or_default();
        *said += 1;
        let text = said.to_string();
        let frame = EncodedFrame::from_payload(MessageKind::Text, text.as_bytes());
        if server.inbox.present().next().is_none() {
            server.outbox.say_alone(target, Said::new(frame), self.now);
        } else {
            server.outbox.say(target, Said::new(frame), self.now);
        }
    }

    fn listen(&mut self, node: usize, target: Target) {
        let now = self.now;
        let server = &mut self.servers[node];
        if server.listens.insert(target, now).is_some() {
            return;
        }
        server.inbox.begin(target, now);
        for ((origin, to), said) in &self.said {
            if *to == target && *origin != server.id {
                server.ears.insert((*origin, target), Ear::new(*said));
            }
        }
    }

    fn stop_listening(&mut self, node: usize, target: Target) {
        let server = &mut self.servers[node];
        server.listens.remove(&target);
        server.inbox.end(target);
        server.ears.retain(|(_, to), _| *to != target);
    }

    /// Another one begins in its place; nobody has what it has said.
    fn kill(&mut self, node: usize) {
        let server = self.server();
        self.servers[node] = server;
    }

    fn flush(&mut self, node: usize) {
        while let Some((target, batch)) = self.servers[node].outbox.take_batch(0) {
            let batch = Batch::decode(batch.encode()).expect("what was written can be read");
            for to in (0..self.servers.len()).filter(|to| *to != node) {
                let make = || Arrival::Batch { to, target, batch: batch.clone() };
                self.network.publish((node, to), Some(target), &mut self.rng, self.now, make);
            }
        }
    }

    fn beat(&mut self, node: usize) {
        let beats = self.servers[node].outbox.beat(NodeState::Serving, 0, self.now);
        for beat in beats {
            let beat = Beat::decode(beat.encode()).expect("what was written can be read");
            for to in (0..self.servers.len()).filter(|to| *to != node) {
                let make = || Arrival::Beat { to, beat: beat.clone() };
                self.network.publish((node, to), None, &mut self.rng, self.now, make);
            }
        }
    }

    fn run_until(&mut self, end: Instant) {
        loop {
            let beats = self.servers.iter().map(|server| server.next_beat);
            let timeouts = self.servers.iter().filter_map(|server| server.inbox.poll_timeout());
            let next = beats.chain(timeouts).chain(self.network.next_at()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.step();
        }
        self.now = self.now.max(end);
    }

    fn step(&mut self) {
        let now = self.now;
        for node in 0..self.servers.len() {
            if self.servers[node].next_beat <= now {
                self.servers[node].next_beat += BEAT;
                self.beat(node);
            }
        }
        while let Some(arrival) = self.network.take(now) {
            self.arrive(arrival);
        }
        for node in 0..self.servers.len() {
            self.servers[node].inbox.handle_timeout(now);
            self.put_out(node);
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.now;
        match arrival {
            Arrival::Batch { to, target, batch } => {
                self.servers[to].inbox.handle_batch(target, batch, now);
                self.put_out(to);
            }
            Arrival::Beat { to, beat } => {
                self.servers[to].inbox.handle_beat(beat, now);
                self.put_out(to);
            }
            Arrival::Ask { to, from, id, ask } => {
                let answer = self.servers[to].outbox.answer(&ask, now);
                let answer = Answer::decode(answer.encode()).expect("it can be read");
                let asker = self.servers[from].id;
                let heard = Arrival::Answer { to: from, from: asker, id, answer: Some(answer) };
                let unheard = Arrival::Answer { to: from, from: asker, id, answer: None };
                self.network.carry((to, from), &mut self.rng, now, heard, unheard);
            }
            Arrival::Answer { to, from, id, answer } => {
                // It may have been asked by one that was killed.
                if self.servers[to].id == from {
                    self.servers[to].inbox.handle_answer(id, answer, now);
                    self.put_out(to);
                }
            }
        }
    }

    fn put_out(&mut self, node: usize) {
        while let Some(question) = self.servers[node].inbox.poll_ask() {
            self.ask(node, question);
        }
        while let Some(output) = self.servers[node].inbox.poll_output() {
            let server = &mut self.servers[node];
            match output {
                Output::Said { origin, target, codec: _, said, .. } => {
                    assert!(server.listens.contains_key(&target), "nobody listens");
                    self.seen.heard += said.len() as u64;
                    let ear = server.ears.entry((origin, target)).or_insert_with(|| Ear::new(0));
                    for said in &said {
                        ear.hear(said);
                    }
                }
                Output::Gap { origin, target, missed } => {
                    self.seen.gaps += 1;
                    self.seen.unknown +=
                        u64::from(missed == wspulse_core::cluster::Missed::Unknown);
                    let ear = server.ears.entry((origin, target)).or_insert_with(|| Ear::new(0));
                    ear.miss(missed);
                }
                Output::Silent(_) => self.seen.silent += 1,
                Output::Gone(_) => self.seen.gone += 1,
                Output::Present(_) => {}
            }
        }
    }

    fn ask(&mut self, node: usize, question: Question) {
        let Question { id, node: other, ask } = question;
        self.seen.repaired += 1;
        let asker = self.servers[node].id;
        let unheard = Arrival::Answer { to: node, from: asker, id, answer: None };
        let Some(to) = self.servers.iter().position(|server| server.id == other) else {
            self.network.put(self.now, unheard);
            return;
        };
        let asks = Arrival::Ask { to, from: node, id, ask };
        self.network.carry((node, to), &mut self.rng, self.now, asks, unheard);
    }

    /// All is calm: nobody lacks anything.
    fn check(&self) {
        for server in &self.servers {
            for ((origin, target), ear) in &server.ears {
                // Nobody has what those have said who were killed.
                let lives = self.servers.iter().any(|server| server.id == *origin);
                if let Some(said) = self.said.get(&(*origin, *target)).filter(|_| lives) {
                    ear.check_complete(*said);
                }
            }
        }
    }
}
