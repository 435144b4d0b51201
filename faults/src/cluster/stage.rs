//! A NATS server, or two, some nodes, and members on all of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use wspulse_nats_server::NatsServer;

use super::members::{self, Ears, Member, Seat};
use super::meter::{Meter, Phase};
use super::order::{Churn, NodeView, Order, Talk};
use super::verdict::Sum;
use crate::child::Asked;

/// How many members there are in how many rooms, on how many nodes, and how much is said to them by all
/// nodes together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) rooms: u32,
    /// Of each room; they are spread over the nodes.
    pub(super) members: u32,
    pub(super) frames_per_second: u32,
    pub(super) pad_bytes: usize,
}

impl Plan {
    /// What is asked of a cluster: a thousand rooms of ten, 5,000 frames a second.
    pub(super) const fn full(nodes: usize) -> Self {
        Self { nodes, rooms: 1_000, members: 10, frames_per_second: 5_000, pad_bytes: 100 }
    }

    /// A tenth of that, for CI.
    pub(super) const fn small(nodes: usize) -> Self {
        Self { nodes, rooms: 200, members: 4, frames_per_second: 1_000, pad_bytes: 100 }
    }
}

/// How long anything may take that is waited for: no figure of speed.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// A node as a process.
#[derive(Debug)]
pub(super) struct Node {
    process: Asked,
    pub(super) mark: u32,
    is_alive: bool,
    /// What it has said to each room, if it was asked.
    said: Option<Vec<u64>>,
}

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) nats: Vec<NatsServer>,
    pub(super) nodes: Vec<Node>,
    pub(super) members: Vec<Member>,
    pub(super) ears: Ears,
    // It ends last: members listen on it.
    _runtime: Runtime,
}

impl Node {
    /// One with these NATS servers; none: it is alone.
    pub(super) fn start(nats: &[String]) -> io::Result<Self> {
        Ok(Self::start_by(Self::command(nats)?))
    }

    /// One whose clients have sessions, and which notes in a file what it has handled.
    pub(super) fn start_with_sessions(nats: &str, handled: &Path) -> io::Result<Self> {
        let mut command = Self::command(&[nats.to_owned()])?;
        command.arg("--handled").arg(handled);
        Ok(Self::start_by(command))
    }

    fn command(nats: &[String]) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("node");
        for url in nats {
            command.args(["--nats", url]);
        }
        Ok(command)
    }

    fn start_by(command: Command) -> Self {
        let mut process = Asked::spawn(command);
        let mark = process.ask::<NodeView>(&Order::View).mark;
        Self { process, mark, is_alive: true, said: None }
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.process.port()))
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn view(&mut self) -> NodeView {
        self.process.ask(&Order::View)
    }

    pub(super) fn churn(&mut self, churn: Churn) {
        self.process.say(&Order::Churn(churn));
    }

    /// Waits until it has done what takes time.
    pub(super) fn done(&mut self) {
        self.process.answer::<()>();
    }

    pub(super) fn signal(&self, signal: &str) -> io::Result<()> {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("kill {signal}: {status}")))
        }
    }

    pub(super) const fn is_alive(&self) -> bool {
        self.is_alive
    }

    pub(super) fn talk(&mut self, talk: Talk) {
        self.process.ask::<()>(&Order::Talk(talk));
    }

    /// It falls silent, and tells how much it has said to each room.
    pub(super) fn hush(&mut self) {
        self.said = Some(self.process.ask(&Order::Hush));
    }

    /// How much it has said to each room, as far as it could be asked.
    pub(super) fn said(&self) -> Option<&Vec<u64>> {
        self.said.as_ref()
    }

    /// SIGTERM: it is drained, and ends.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.signal("-TERM")?;
        self.said = Some(self.process.answer());
        self.is_alive = false;
        let status = self.process.end();
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("a drain: {status}"))) }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.process.kill();
        self.is_alive = false;
    }
}

impl Stage {
    /// All in their places, and silent. `url` says what a node connects to, by its place; without a NATS
    /// server each is alone.
    pub(super) fn set(
        plan: Plan,
        nats: Vec<NatsServer>,
        urls: impl Fn(usize, &[NatsServer]) -> Vec<String>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let nodes = (0..plan.nodes).map(|place| Node::start(&urls(place, &nats)));
        let nodes = nodes.collect::<io::Result<Vec<_>>>()?;
        let ears = Ears { meter: Arc::new(Meter::new()), deliveries: Arc::new(AtomicU64::new(0)) };
        let mut seats = Vec::new();
        for room in 0..plan.rooms {
            for member in 0..plan.members {
                let node = (room + member) as usize % plan.nodes;
                let (address, mark) = (nodes[node].address(), nodes[node].mark);
                seats.push(Seat { room, node, address, mark });
            }
        }
        let members = runtime.block_on(members::seat(seats, &ears))?;
        let mut stage = Self { plan, nats, nodes, members, ears, _runtime: runtime };
        if stage.nats.is_empty() {
            return Ok(stage);
        }
        let others = plan.nodes - 1;
        stage.until("the nodes to know each other", |view| {
            view.is_connected && view.others == others
        })?;
        Ok(stage)
    }

    /// With one NATS server.
    pub(super) fn plain(plan: Plan) -> io::Result<Self> {
        Self::set(plan, vec![NatsServer::start()], |_, nats| vec![nats[0].url()])
    }

    /// All nodes that live begin to talk.
    pub(super) fn talk(&mut self) {
        let all = u32::try_from(self.plan.nodes).unwrap_or(u32::MAX);
        let talk = Talk {
            rooms: self.plan.rooms,
            frames_per_second: self.plan.frames_per_second / all,
            pad_bytes: self.plan.pad_bytes,
        };
        for node in self.nodes.iter_mut().filter(|node| node.is_alive) {
            node.talk(talk);
        }
    }

    /// All nodes that live fall silent.
    pub(super) fn hush(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.is_alive) {
            node.hush();
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.ears.meter.enter(phase);
    }

    /// Waits until all nodes that live see it so.
    pub(super) fn until(
        &mut self,
        what: &str,
        is_so: impl Fn(&NodeView) -> bool,
    ) -> io::Result<()> {
        let begun_at = Instant::now();
        loop {
            let views: Vec<_> = self.views();
            if views.iter().all(&is_so) {
                return Ok(());
            }
            if begun_at.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("in vain waited for {what}: {views:?}")));
            }
            thread::sleep(GLANCE);
        }
    }

    /// How the nodes that live see it.
    pub(super) fn views(&mut self) -> Vec<NodeView> {
        self.nodes.iter_mut().filter(|node| node.is_alive).map(Node::view).collect()
    }

    /// Waits until members have heard, or were told as lost, what was said, or until nothing more comes,
    /// and sums it up.
    pub(super) fn settle(&mut self) -> Sum {
        let mut quiet_since = Instant::now();
        let mut before = 0;
        loop {
            let sum = self.sum();
            let deliveries = self.ears.deliveries.load(Ordering::Relaxed) + sum.told;
            if deliveries != before {
                quiet_since = Instant::now();
                before = deliveries;
            }
            // Longer than it takes to give up what does not come.
            if sum.lost == 0 || quiet_since.elapsed() > Duration::from_secs(20) {
                return sum;
            }
            thread::sleep(GLANCE * 5);
        }
    }

    fn sum(&mut self) -> Sum {
        let views = self.views();
        let mut sum = Sum::new(&views);
        for node in &self.nodes {
            sum.said += node.said.iter().flatten().sum::<u64>();
        }
        for member in self.members.iter().filter(|member| self.nodes[member.node].is_alive) {
            let accounts = member.accounts();
            for node in &self.nodes {
                let account = accounts.iter().find(|account| account.origin == node.mark);
                let said = node
                    .said
                    .as_ref()
                    .map(|said| said.get(member.room as usize).copied().unwrap_or_default());
                sum.add(account, said);
            }
        }
        sum
    }
}
