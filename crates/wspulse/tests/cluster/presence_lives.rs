//! Random lives: people come, go and drop on servers that die, over a network that fails. Nobody is told
//! to be gone who is not, and in the end all servers tell the same, which is so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse::PresenceState::{self, Away, Gone, Here};
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork, NetworkFaults};
use wspulse::testing::{Dice, play};
use wspulse::{RoomOptions, Server};

use super::presence::{WINDOW, present};
use super::{Client, come, know_each_other, node, rooms};

const SECOND: Duration = Duration::from_secs(1);

/// Whoever comes is known to all after so long, whatever the network does: a frame that is lost is found
/// by a beat, and the network is gone for up to three seconds.
const KNOWN_AFTER: Duration = Duration::from_secs(8);

/// A server that says nothing for so long is silent, and for so long more than the window its people
/// may be shown.
const SILENT: Duration = Duration::from_secs(3);

/// A server that dies may have said its last word so much more than [`SILENT`] before.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What was told of a person, when, and by which server.
struct Told {
    at: Instant,
    server: usize,
    id: String,
    state: PresenceState,
}

/// From when to when a person was there, by a connection of its.
struct Stay {
    from: Instant,
    /// `None` while it is.
    to: Option<Instant>,
    /// When its server has died, if it has: those that begin later have never heard of it.
    died: Option<Instant>,
}

struct Node {
    server: Server,
    engine: MemoryEngine,
    number: usize,
    begun: Instant,
    /// By which it hears of the room.
    _watcher: Client,
    /// Its connections: whose each is, and its client unless it has dropped.
    connections: Vec<Connected>,
}

struct Connected {
    id: String,
    person: String,
    client: Option<Client>,
    from: Instant,
    /// When its session ends, if its client does not come back.
    ends: Option<Instant>,
}

struct Life {
    network: MemoryNetwork,
    dice: Dice,
    told: Arc<Mutex<Vec<Told>>>,
    nodes: Vec<Node>,
    /// Dead ones are kept, so that nothing of them ends in order.
    dead: Vec<Node>,
    stays: BTreeMap<String, Vec<Stay>>,
    begun: Instant,
    made: usize,
}

impl Life {
    async fn new(mut dice: Dice) -> Self {
        let seed = dice.within(0..u64::MAX);
        let network = MemoryNetwork::with_faults(seed, NetworkFaults::NONE);
        let mut life = Self {
            network,
            dice,
            told: Arc::default(),
            nodes: Vec::new(),
            dead: Vec::new(),
            stays: BTreeMap::new(),
            begun: Instant::now(),
            made: 0,
        };
        for _ in 0..3 {
            life.begin_server().await;
        }
        let servers: Vec<_> = life.nodes.iter().map(|node| node.server.clone()).collect();
        know_each_other(&servers).await;
        let mut faults = NetworkFaults::ALL;
        faults.interrupted_per_mille = u16::from(life.dice.within(0..2) == 0);
        life.network.set_faults(faults);
        life
    }

    async fn begin_server(&mut self) {
        let (told, number) = (Arc::clone(&self.told), self.made);
        self.made += 1;
        let builder = rooms()
            .resume_window(WINDOW)
            .room_options(|_| RoomOptions::new().presence())
            .on_presence(move |_, changes| {
                let at = Instant::now();
                let people = changes.people.into_iter().map(|person| {
                    let (id, state) = (person.id.as_str().to_owned(), person.state);
                    Told { at, server: number, id, state }
                });
                told.lock().unwrap().extend(people);
            });
        let (server, engine) = node(&self.network, builder);
        // It has never been there for those that are dead.
        for dead in &self.dead {
            self.network.cut(&dead.engine);
        }
        let watcher = come(&server, &format!("room=lobby&id=w{number}&user=watch-{number}")).await;
        let connections = Vec::new();
        let begun = Instant::now();
        self.nodes.push(Node { server, engine, number, begun, _watcher: watcher, connections });
    }

    fn number(&mut self, below: usize) -> usize {
        usize::try_from(self.dice.within(0..below as u64)).unwrap()
    }

    /// A person comes to a server with a new connection.
    async fn arrive(&mut self) {
        let (place, person) = (self.number(self.nodes.len()), format!("user-{}", self.number(5)));
        self.made += 1;
        let id = format!("c{}", self.made);
        let query = format!("room=lobby&id={id}&user={person}");
        let client = Some(come(&self.nodes[place].server, &query).await);
        let connected = Connected { id, person, client, from: Instant::now(), ends: None };
        self.nodes[place].connections.push(connected);
    }

    /// Something happens to one of the connections.
    async fn disturb(&mut self) {
        let place = self.number(self.nodes.len());
        self.settle(place);
        if self.nodes[place].connections.is_empty() {
            return;
        }
        let at = self.number(self.nodes[place].connections.len());
        let what = self.number(3);
        let Node { server, connections, .. } = &mut self.nodes[place];
        match what {
            0 => {
                let left = connections.swap_remove(at);
                server.kick(&left.id).unwrap();
                self.end(left, Instant::now(), None);
            }
            1 => {
                let dropped = &mut connections[at];
                dropped.client = None;
                dropped.ends.get_or_insert(Instant::now() + WINDOW);
            }
            _ => {
                let Connected { id, person, client, ends, .. } = &mut connections[at];
                let query = format!("room=lobby&id={id}&user={person}");
                *client = Some(come(server, &query).await);
                *ends = None;
            }
        }
    }

    /// Notes the sessions that have ended by themselves.
    fn settle(&mut self, place: usize) {
        let now = Instant::now();
        let all = std::mem::take(&mut self.nodes[place].connections);
        for connected in all {
            match connected.ends.filter(|ends| *ends <= now + SECOND) {
                Some(ends) => self.end(connected, ends, None),
                None => self.nodes[place].connections.push(connected),
            }
        }
    }

    fn end(&mut self, connected: Connected, to: Instant, died: Option<Instant>) {
        let stays = self.stays.entry(connected.person).or_default();
        stays.push(Stay { from: connected.from, to: Some(to), died });
    }

    /// A server dies with all that it has; another one takes its place.
    async fn crash(&mut self) {
        let place = self.number(self.nodes.len());
        self.settle(place);
        let mut dead = self.nodes.swap_remove(place);
        self.network.cut(&dead.engine);
        // Its people may come to others for as long as a session waits, from its last word on.
        let died = Instant::now();
        let kept_until = died + WINDOW - LAST_WORD;
        let watcher = format!("watch-{}", dead.number);
        let stay = Stay { from: dead.begun, to: Some(kept_until), died: Some(died) };
        self.stays.entry(watcher).or_default().push(stay);
        for connected in std::mem::take(&mut dead.connections) {
            let ends = connected.ends.unwrap_or(kept_until).min(kept_until);
            self.end(connected, ends, Some(died));
        }
        self.dead.push(dead);
        self.begin_server().await;
    }

    async fn live(&mut self) {
        for _ in 0..60 {
            match self.number(20) {
                0 => self.crash().await,
                1..8 => self.arrive().await,
                _ => self.disturb().await,
            }
            sleep(self.dice.time(Duration::ZERO..SECOND)).await;
        }
    }

    /// How everybody is by now.
    fn truth(&self) -> Vec<(String, PresenceState)> {
        let mut truth = BTreeMap::new();
        for node in &self.nodes {
            truth.insert(format!("watch-{}", node.number), Here);
            for connected in &node.connections {
                let state = if connected.client.is_some() { Here } else { Away };
                let known = truth.entry(connected.person.clone()).or_insert(state);
                if state == Here {
                    *known = Here;
                }
            }
        }
        truth.into_iter().collect()
    }

    /// Whether a person was there for long, by a connection that all must have heard of.
    fn was_there(&self, id: &str, (from, to): (Instant, Instant), server_begun: Instant) -> bool {
        // What nobody had heard yet is lost with the server that has died.
        let is_heard_of = |stay: &Stay| {
            let known_at = stay.from.max(server_begun) + KNOWN_AFTER;
            stay.died.is_none_or(|died| died > known_at)
        };
        let mut stays = self.stays.get(id).into_iter().flatten();
        stays.any(|it| it.from <= from && it.to.is_none_or(|end| end > to) && is_heard_of(it))
    }

    fn check(&mut self) {
        for place in 0..self.nodes.len() {
            self.settle(place);
        }
        for node in &self.nodes {
            let connections =
                node.connections.iter().map(|it| (it.person.clone(), it.from, it.ends));
            let watcher = (format!("watch-{}", node.number), node.begun, None);
            for (person, from, to) in connections.chain([watcher]) {
                self.stays.entry(person).or_default().push(Stay { from, to, died: None });
            }
        }
        let truth = self.truth();
        for node in &self.nodes {
            assert_eq!(present(&node.server), truth, "of server {}", node.number);
        }
        for Told { at, server, id, state } in &*self.told.lock().unwrap() {
            let Some(node) = self.nodes.iter().find(|node| node.number == *server) else {
                continue;
            };
            // One that has just begun has not met the others yet.
            let from = at.checked_sub(KNOWN_AFTER).filter(|from| *from >= node.begun);
            if *state == Gone
                && let Some(from) = from
            {
                let stays = self.stays.get(id).map(|all| {
                    let since = |to: Instant| to.saturating_duration_since(self.begun);
                    all.iter()
                        .map(|it| (since(it.from), it.to.map(since), it.died.map(since)))
                        .collect::<Vec<_>>()
                });
                let said = at.duration_since(self.begun);
                assert!(
                    !self.was_there(id, (from, *at), node.begun),
                    "{id} was told to be gone by {server} after {said:?}, was there {stays:?}"
                );
            }
        }
    }
}

#[test]
fn nobody_is_gone_who_is_there_and_nobody_is_left_who_is_gone() {
    play(30, |dice| async move {
        let mut life = Life::new(dice).await;
        life.live().await;
        life.network.set_faults(NetworkFaults::NONE);
        // Of a server that died just now, people are shown for so long at the most.
        sleep(WINDOW + SILENT + SECOND / 4).await;
        life.check();
    });
}
