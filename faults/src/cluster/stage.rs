//! A NATS server, or two, some nodes, and members on all of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use wspulse_nats_server::NatsServer;

use super::account::Account;
use super::handled;
use super::members::{self, Ears, Member, Seat, Told};
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
    /// Rooms have a log that so many NATS servers keep; 0: they have none.
    pub(super) log_replicas: u8,
}

impl Plan {
    /// What is asked of a cluster: a thousand rooms of ten, 5,000 frames a second.
    pub(super) const fn full(nodes: usize) -> Self {
        let (rooms, members, frames_per_second) = (1_000, 10, 5_000);
        Self { nodes, rooms, members, frames_per_second, pad_bytes: 100, log_replicas: 0 }
    }

    /// A tenth of that, for CI.
    pub(super) const fn small(nodes: usize) -> Self {
        let (rooms, members, frames_per_second) = (200, 4, 1_000);
        Self { nodes, rooms, members, frames_per_second, pad_bytes: 100, log_replicas: 0 }
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
    said: Said,
}

/// What a node has said to each room.
#[derive(Debug)]
enum Said {
    /// It was not asked.
    Unknown,
    All(Vec<u64>),
    /// So much is in the log by its own notes, and of each room perhaps one frame more.
    Confirmed(Vec<u64>),
}

impl Said {
    const fn known(&self) -> Option<&Vec<u64>> {
        match self {
            Self::Unknown => None,
            Self::All(said) | Self::Confirmed(said) => Some(said),
        }
    }
}

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) nats: Vec<NatsServer>,
    pub(super) nodes: Vec<Node>,
    pub(super) members: Vec<Member>,
    pub(super) ears: Ears,
    /// Where nodes note what they have appended, a file each.
    scratch: TempDir,
    // It ends last: members listen on it.
    _runtime: Runtime,
}

impl Node {
    /// One with these NATS servers; none: it is alone.
    pub(super) fn start(nats: &[String]) -> io::Result<Self> {
        Ok(Self::start_by(Self::command(nats)?))
    }

    /// One whose rooms have a log, and which notes in a file what it has appended.
    fn start_with_log(nats: &[String], replicas: u8, appended: &Path) -> io::Result<Self> {
        let mut command = Self::command(nats)?;
        command.arg("--log-replicas").arg(replicas.to_string()).arg("--appended").arg(appended);
        Ok(Self::start_by(command))
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
        Self { process, mark, is_alive: true, said: Said::Unknown }
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
        self.said = Said::All(self.process.ask(&Order::Hush));
    }

    /// How much it has said to each room, as far as it could be asked.
    pub(super) const fn said(&self) -> Option<&Vec<u64>> {
        self.said.known()
    }

    /// SIGTERM: it is drained, and ends.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.signal("-TERM")?;
        self.said = Said::All(self.process.answer());
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
        let scratch = tempfile::tempdir()?;
        let nodes = (0..plan.nodes).map(|place| match plan.log_replicas {
            0 => Node::start(&urls(place, &nats)),
            replicas => {
                Node::start_with_log(&urls(place, &nats), replicas, &notes_of(&scratch, place))
            }
        });
        let nodes = nodes.collect::<io::Result<Vec<_>>>()?;
        let ears = Ears { meter: Arc::new(Meter::new()), deliveries: Arc::new(AtomicU64::new(0)) };
        let mut seats = Vec::new();
        for room in 0..plan.rooms {
            for member in 0..plan.members {
                let node = (room + member) as usize % plan.nodes;
                let (address, mark) = (nodes[node].address(), nodes[node].mark);
                let keeps_order = plan.log_replicas > 0;
                seats.push(Seat { room, node, address, mark, keeps_order });
            }
        }
        let members = runtime.block_on(members::seat(seats, &ears))?;
        let mut stage = Self { plan, nats, nodes, members, ears, scratch, _runtime: runtime };
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

    /// What a node has appended that was killed, by its notes.
    pub(super) fn read_notes(&mut self, place: usize) -> io::Result<()> {
        let rooms = self.plan.rooms as usize;
        let appended = handled::newest(&notes_of(&self.scratch, place), rooms)?;
        self.nodes[place].said = Said::Confirmed(appended);
        Ok(())
    }

    /// Where members of nodes that live have not heard the same in the same order, a line for each room.
    pub(super) fn several_orders(&self) -> Vec<String> {
        let mut orders: BTreeMap<u32, Vec<(usize, Vec<Told>)>> = BTreeMap::new();
        for member in self.members.iter().filter(|member| self.nodes[member.node].is_alive) {
            orders.entry(member.room).or_default().push((member.node, member.order()));
        }
        let rooms = orders.iter();
        rooms
            .filter_map(|(room, orders)| Some(format!("room {room}: {}", parting(orders)?)))
            .collect()
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
            sum.said += node.said.known().into_iter().flatten().sum::<u64>();
        }
        for member in self.members.iter().filter(|member| self.nodes[member.node].is_alive) {
            let accounts = member.accounts();
            // What a log keeps no more is nobody's.
            let is_of_a_node = |it: &&Account| self.nodes.iter().any(|node| node.mark == it.origin);
            for account in accounts.iter().filter(|it| !is_of_a_node(it)) {
                (sum.told, sum.unknown) = (sum.told + account.told, sum.unknown + account.unknown);
            }
            for node in &self.nodes {
                let account = accounts.iter().find(|account| account.origin == node.mark);
                let of_room = |said: &Vec<u64>| said.get(member.room as usize).copied();
                let said = node.said.known().map(|said| of_room(said).unwrap_or_default());
                let said = match node.said {
                    // One more may be in the log.
                    Said::Confirmed(_) => {
                        said.map(|said| said.max(heard_up_to(account).min(said + 1)))
                    }
                    Said::Unknown | Said::All(_) => said,
                };
                sum.add(account, said);
            }
        }
        sum
    }
}

/// Where two members part, each by its node: what they have heard before that and behind it.
fn parting(orders: &[(usize, Vec<Told>)]) -> Option<String> {
    let ((node, one), others) = orders.split_first()?;
    let (elsewhere, other) = others.iter().find(|(_, other)| other != one)?;
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let around = |order: &Vec<Told>| {
        format!("{:?}", order.get(same.saturating_sub(2)..order.len().min(same + 5)).unwrap_or(&[]))
    };
    Some(format!(
        "behind {same} frames a member of node {node} has heard {} of {}, one of node {elsewhere} {} of {}",
        around(one),
        one.len(),
        around(other),
        other.len(),
    ))
}

fn heard_up_to(account: Option<&Account>) -> u64 {
    account.map_or(0, |account| account.last)
}

fn notes_of(folder: &TempDir, place: usize) -> PathBuf {
    folder.path().join(place.to_string())
}
