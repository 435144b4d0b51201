//! A NATS server, some nodes, and crowds of clients that have sessions and go from node to node.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wspulse_nats_server::NatsServer;

use super::crowd::{Coming, Crowd, Errand, Sending, Speech, Story};
use super::handled::{self, Handled};
use super::order::{NodeView, Talk};
use super::stage::Node;
use super::verdict::Sum;
use crate::child::Asked;

/// How many clients there are, in rooms of how many, and how much they and the nodes say.
#[derive(Debug, Clone, Copy)]
pub(super) struct JourneyPlan {
    pub(super) clients: u32,
    /// Of each room; they are spread over the nodes.
    pub(super) members: u32,
    /// By all nodes together.
    pub(super) said_per_second: u32,
    /// By all clients together.
    pub(super) sent_per_second: u32,
    /// After so long without a sign of life a client asks for one.
    pub(super) silence: Duration,
    /// So long an attempt to connect may take.
    pub(super) connect: Duration,
}

pub(super) const NODES: usize = 3;

/// A process may hold 20,000 descriptors, and a client that goes elsewhere has two for a moment.
const CLIENTS_EACH: u32 = 7_000;

/// How long anything may take that is waited for: no figure of speed.
const PATIENCE: Duration = Duration::from_mins(2);

const GLANCE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Journey {
    plan: JourneyPlan,
    pub(super) nodes: Vec<Node>,
    /// What nodes have said that are gone, and whose places others have.
    past: Vec<Speech>,
    doors: Vec<bool>,
    crowds: Vec<Asked>,
    /// The nodes' notes, one file for each that there has been.
    notes: Vec<PathBuf>,
    nats: NatsServer,
    /// The address at which each node reaches it.
    hosts: [&'static str; NODES],
    scratch: TempDir,
}

const LOOPBACK: &str = "127.0.0.1";

impl Journey {
    /// All are in their places, and silent.
    pub(super) fn begin(plan: JourneyPlan) -> io::Result<Self> {
        Self::begin_at(plan, NatsServer::start(), [LOOPBACK; NODES])
    }

    /// As [`begin`](Self::begin); the first node reaches NATS at an address of its own.
    pub(super) fn begin_apart(plan: JourneyPlan, host: &'static str) -> io::Result<Self> {
        Self::begin_at(plan, NatsServer::on_all_addresses(), [host, LOOPBACK, LOOPBACK])
    }

    fn begin_at(
        plan: JourneyPlan,
        nats: NatsServer,
        hosts: [&'static str; NODES],
    ) -> io::Result<Self> {
        let mut journey = Self {
            plan,
            nodes: Vec::new(),
            past: Vec::new(),
            doors: vec![true; NODES],
            crowds: Vec::new(),
            notes: Vec::new(),
            nats,
            hosts,
            scratch: tempfile::tempdir()?,
        };
        for place in 0..NODES {
            let node = journey.start_node(place)?;
            journey.nodes.push(node);
        }
        journey.know_each_other()?;
        journey.gather()?;
        Ok(journey)
    }

    fn start_node(&mut self, place: usize) -> io::Result<Node> {
        let notes = self.scratch.path().join(format!("node-{}", self.notes.len()));
        let nats = format!("nats://{}:{}", self.hosts[place], self.nats.port());
        let node = Node::start_with_sessions(&nats, &notes)?;
        self.notes.push(notes);
        Ok(node)
    }

    /// Has clients come until all are there.
    fn gather(&mut self) -> io::Result<()> {
        let mut first = 0;
        while first < self.plan.clients {
            let clients = CLIENTS_EACH.min(self.plan.clients - first);
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("crowd");
            let mut crowd = Asked::spawn_without_port(command);
            crowd.ask::<()>(&Errand::Doors(
                self.nodes.iter().map(|it| Some(it.address())).collect(),
            ));
            let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let coming = Coming {
                first,
                clients,
                members: self.plan.members,
                silence_ms: ms(self.plan.silence),
                connect_ms: ms(self.plan.connect),
            };
            crowd.say(&Errand::Come(coming));
            self.crowds.push(crowd);
            first += clients;
        }
        for crowd in &mut self.crowds {
            crowd.answer::<()>();
        }
        self.all_here().map(drop)
    }

    fn talk_of_one(&self) -> Talk {
        Talk {
            rooms: self.plan.clients.div_ceil(self.plan.members),
            frames_per_second: self.plan.said_per_second / u32::try_from(NODES).unwrap_or(1),
            pad_bytes: 100,
        }
    }

    /// All nodes and clients begin to talk.
    pub(super) fn talk(&mut self) {
        let talk = self.talk_of_one();
        for node in &mut self.nodes {
            node.talk(talk);
        }
        let crowds = u32::try_from(self.crowds.len()).unwrap_or(1);
        let sending = Sending { frames_per_second: self.plan.sent_per_second / crowds };
        self.ask_all::<()>(&Errand::Send(sending));
    }

    /// All fall silent, and wait until what clients have sent is handled or told as lost.
    pub(super) fn hush(&mut self) -> io::Result<()> {
        self.ask_all::<()>(&Errand::Hush);
        self.until("what was sent to be handled", |crowd| crowd.waiting == 0)?;
        for node in self.nodes.iter_mut().filter(|node| node.is_alive()) {
            node.hush();
        }
        Ok(())
    }

    pub(super) fn look(&mut self) -> Crowd {
        let mut all = Crowd::default();
        for crowd in self.ask_all::<Crowd>(&Errand::Look) {
            all.merge(&crowd);
        }
        all
    }

    /// Waits until it is so.
    pub(super) fn until(
        &mut self,
        what: &str,
        is_so: impl Fn(&Crowd) -> bool,
    ) -> io::Result<Crowd> {
        let begun_at = Instant::now();
        loop {
            let crowd = self.look();
            if is_so(&crowd) {
                return Ok(crowd);
            }
            if begun_at.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("in vain waited for {what}: {crowd:?}")));
            }
            thread::sleep(GLANCE);
        }
    }

    pub(super) fn all_here(&mut self) -> io::Result<Crowd> {
        let clients = self.plan.clients;
        self.until("all clients to be there", |crowd| crowd.are_here(clients))
    }

    /// Cuts all clients' transports at once.
    pub(super) fn cut(&mut self) {
        self.ask_all::<()>(&Errand::Cut);
    }

    /// Clients come to this node no more, or again, as a load balancer would have it.
    fn set_door(&mut self, place: usize, is_open: bool) {
        self.doors[place] = is_open;
        let doors = self.nodes.iter().zip(&self.doors);
        let doors = doors.map(|(node, is_open)| is_open.then(|| node.address())).collect();
        self.ask_all::<()>(&Errand::Doors(doors));
    }

    /// Drains a node, and begins another one in its place, which talks like the others.
    pub(super) fn restart(&mut self, place: usize) -> io::Result<()> {
        self.set_door(place, false);
        self.nodes[place].drain()?;
        let node = self.start_node(place)?;
        let gone = std::mem::replace(&mut self.nodes[place], node);
        self.past.push(speech(&gone));
        self.know_each_other()?;
        let talk = self.talk_of_one();
        self.nodes[place].talk(talk);
        self.set_door(place, true);
        Ok(())
    }

    pub(super) fn know_each_other(&mut self) -> io::Result<()> {
        self.until_nodes("the nodes to know each other", |views| {
            views.iter().all(|view| view.is_connected && view.others == NODES - 1)
        })
    }

    pub(super) fn views(&mut self) -> Vec<NodeView> {
        self.nodes.iter_mut().map(Node::view).collect()
    }

    /// Waits until the nodes see it so.
    pub(super) fn until_nodes(
        &mut self,
        what: &str,
        is_so: impl Fn(&[NodeView]) -> bool,
    ) -> io::Result<()> {
        let begun_at = Instant::now();
        loop {
            let views = self.views();
            if is_so(&views) {
                return Ok(());
            }
            if begun_at.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("in vain waited for {what}: {views:?}")));
            }
            thread::sleep(GLANCE);
        }
    }

    /// Waits until clients have heard, or were told as lost, what was said, or until nothing more comes.
    pub(super) fn settle(&mut self) -> Sum {
        let mut speeches = self.past.clone();
        speeches.extend(self.nodes.iter().map(speech));
        let said = speeches.iter().flat_map(|speech| &speech.said).flatten().sum();
        let errand = Errand::Hear(speeches);
        let (mut quiet_since, mut before) = (Instant::now(), 0);
        loop {
            let views: Vec<_> =
                self.nodes.iter_mut().filter(|it| it.is_alive()).map(Node::view).collect();
            let mut sum = Sum::new(&views);
            sum.said = said;
            for part in self.ask_all::<Sum>(&errand) {
                sum.merge(&part);
            }
            if sum.heard + sum.told != before {
                (quiet_since, before) = (Instant::now(), sum.heard + sum.told);
            }
            // Longer than it takes to give up what does not come.
            if sum.lost == 0 || quiet_since.elapsed() > Duration::from_secs(20) {
                return sum;
            }
            thread::sleep(GLANCE * 5);
        }
    }

    /// What has become of what clients have sent, and how long they were away, in milliseconds.
    pub(super) fn story(&mut self) -> io::Result<(Handled, Vec<u32>)> {
        let (mut own, mut away_ms) = (Vec::new(), Vec::new());
        for story in self.ask_all::<Story>(&Errand::Tell) {
            own.extend(story.own);
            away_ms.extend(story.away_ms);
        }
        away_ms.sort_unstable();
        Ok((handled::compare(&own, &self.notes)?, away_ms))
    }

    /// All at the same time.
    fn ask_all<T: serde::de::DeserializeOwned>(&mut self, errand: &Errand) -> Vec<T> {
        for crowd in &mut self.crowds {
            crowd.say(errand);
        }
        self.crowds.iter_mut().map(Asked::answer).collect()
    }
}

fn speech(node: &Node) -> Speech {
    Speech { mark: node.mark, said: node.said().cloned(), goes_on: node.is_alive() }
}
