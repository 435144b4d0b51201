//! The other servers of a cluster: what they say, told to those who are here.

mod asking;
mod gap;
mod hearing;
mod logged;
mod many;
mod members;
mod one;
mod people;
mod readings;
mod serving;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use wspulse_core::cluster::{NodeId, NodeState, OutboxConfig};

use crate::app::handoff::{Coming, Unasked};
use crate::app::server::Server;
use crate::cluster::node::{LoggedRooms, Node};
use crate::cluster::speaker::{NameSpace, Speaker};
use crate::cluster::{Engine, EngineError};
use crate::settings::codecs::Codecs;
use crate::settings::connect::Admission;
use asking::ASKED_WITHIN;
pub use asking::ClusterConnection;
pub use gap::{Gap, GapIn};
use logged::Logged;
pub use many::{Answers, ClusterConnections, ClusterCounts, ClusterRoom, ClusterRooms};
pub use members::{ClusterReplies, ClusterReply, ClusterRoomRequest, NoReply};
pub use one::{Found, Kicked, Queued};
use people::learning::Learning;
pub use people::{ClusterPeople, ClusterPerson};
use serving::Places;

/// For how many sessions all servers are asked at a time. Others wait for their turn.
const SEARCHES_MAX: usize = 256;

/// About how many ids all servers are asked at a time. Others wait for their turn.
const CLAIMS_MAX: usize = 256;

/// How long a client's handshake waits until what is said to its room comes. It is a round trip to the
/// broker; a broker that is gone keeps nobody out.
const IN_FORCE_WITHIN: Duration = Duration::from_millis(250);

/// The cluster that a server is part of, from [`Server::cluster`].
///
/// It also asks the other servers for what they have, and has them do something: to
/// [find](Self::find), send to or kick a connection wherever it is. Each question goes to
/// each server that is known, once: up to 256 requests and replies. It is for what is seldom; what
/// all hear anyway is a broadcast.
#[derive(Clone)]
pub struct Cluster {
    server: Server,
    node: Arc<Node>,
    within: Duration,
}

/// Another server of the cluster, as it is known at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterNode {
    /// Which one: drawn at its start.
    pub id: NodeId,
    /// How it is, by what it said last.
    pub state: NodeState,
    /// How many connections it had then, suspended ones included.
    pub connections: u32,
    /// Whether it has said nothing for three seconds, as if it had died or were cut off.
    pub is_silent: bool,
}

impl Cluster {
    /// Waits until the engine has begun.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if it could not: then this server is alone, and stays so.
    pub async fn started(&self) -> Result<(), Arc<EngineError>> {
        self.node.started().await
    }

    /// This server's own id in the cluster, drawn at its start.
    pub fn id(&self) -> NodeId {
        self.node.speaker().node()
    }

    /// Whether there is a connection to what carries messages between servers. Without it, broadcasts
    /// reach those who are here at once, and the others once it is back.
    pub fn is_connected(&self) -> bool {
        self.node.is_connected()
    }

    /// The other servers that are known.
    pub fn nodes(&self) -> Vec<ClusterNode> {
        self.node.with_inbox(|inbox| {
            let nodes = inbox.nodes().map(|(id, state, connections, is_silent)| ClusterNode {
                id,
                state,
                connections,
                is_silent,
            });
            nodes.collect()
        })
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// What a server has of its cluster: it ends with the server.
pub(crate) struct Attachment {
    node: Arc<Node>,
    places: Places,
    learning: Learning,
    /// Whose clients are about to come under ids.
    coming: Arc<Coming>,
    /// Which others are to be asked about the ids of clients that are here.
    unasked: Unasked,
    /// One for each id that all servers may be asked about at a time.
    claims: Semaphore,
    /// One for each session that all servers may be asked for at a time.
    searches: Semaphore,
    /// Those sessions of other servers that are about to be here.
    arrivals: TaskTracker,
    /// A drain is to come to its end at once.
    hastened: CancellationToken,
    _ends: DropGuard,
}

impl Attachment {
    /// Of a server that can be found while it is there.
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        speaker: Arc<Speaker>,
        find: impl Fn() -> Option<Server> + Clone + Send + Sync + 'static,
        has_logs: bool,
    ) -> Self {
        let (find_again, find_to_serve) = (find.clone(), find.clone());
        let (find_to_look, learning) = (find.clone(), Learning::new(Arc::new(find.clone())));
        let logged = has_logs.then(|| Box::new(Logged(find.clone())) as Box<dyn LoggedRooms>);
        let tell = Box::new(move |output| {
            if let Some(server) = find() {
                server.hear(output);
            }
        });
        let serve = Box::new(move |message, reply| {
            if let Some(server) = find_to_serve() {
                server.serve_node(message, reply);
            }
        });
        let state = Box::new(move || {
            let server = find_again()?;
            server.sweep_shelf();
            server.end_what_is_twice();
            let state = if server.registry().has_left() {
                NodeState::Leaving
            } else if server.is_draining() {
                NodeState::Draining
            } else {
                NodeState::Serving
            };
            Some((state, u32::try_from(server.connection_count()).unwrap_or(u32::MAX)))
        });
        let look_after = Box::new(move || find_to_look()?.look_after_people());
        let node = Node::new(speaker, engine, tell, serve, state, look_after, logged);
        let ends = node.closing().clone().drop_guard();
        Self {
            node,
            places: Places::default(),
            learning,
            coming: Arc::default(),
            unasked: Unasked::new(),
            claims: Semaphore::new(CLAIMS_MAX),
            searches: Semaphore::new(SEARCHES_MAX),
            arrivals: TaskTracker::new(),
            hastened: CancellationToken::new(),
            _ends: ends,
        }
    }

    pub(crate) const fn coming(&self) -> &Arc<Coming> {
        &self.coming
    }

    pub(crate) const fn unasked(&self) -> &Unasked {
        &self.unasked
    }

    pub(crate) const fn claims(&self) -> &Semaphore {
        &self.claims
    }

    pub(crate) const fn searches(&self) -> &Semaphore {
        &self.searches
    }

    pub(crate) const fn arrivals(&self) -> &TaskTracker {
        &self.arrivals
    }

    pub(crate) const fn hastened(&self) -> &CancellationToken {
        &self.hastened
    }

    pub(crate) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What groups say to the members that they have elsewhere.
    pub(crate) fn speaker(engine: &dyn Engine, codecs: &Codecs, has_logs: bool) -> Arc<Speaker> {
        let node = NodeId::new(*uuid::Uuid::new_v4().as_bytes());
        let mut config = OutboxConfig::default();
        config.codec = codecs.default_codec().name().unwrap_or_default().into();
        let message_bytes_max = engine.message_bytes_max();
        config.batch_bytes_max = config.batch_bytes_max.min(message_bytes_max / 2);
        config.answer_bytes_max = config.answer_bytes_max.min(message_bytes_max / 2);
        Arc::new(Speaker::new(node, config, message_bytes_max, has_logs))
    }
}

impl Server {
    /// The cluster that it is part of, if it was [built](crate::ServerBuilder::cluster) for one.
    pub fn cluster(&self) -> Option<Cluster> {
        let node = Arc::clone(self.attachment()?.node());
        Some(Cluster { server: self.clone(), node, within: ASKED_WITHIN })
    }

    pub(crate) fn speaker(&self) -> Option<&Arc<Speaker>> {
        self.attachment().map(|it| it.node().speaker())
    }

    /// Waits, for a moment, until what is said elsewhere to whoever is about to come is heard here.
    pub(crate) async fn listen_ahead(&self, admission: &Admission) {
        let Some(speaker) = self.speaker() else { return };
        let Admission { room, also_in, user, .. } = admission;
        let rooms = || room.iter().chain(also_in);
        // Who is there elsewhere is asked for as soon as what changes is heard.
        let with_presence = rooms().filter(|room| self.outfit().options(room).presence.is_some());
        let with_presence = with_presence.map(|room| (NameSpace::Presence, Arc::clone(room)));
        let user = user.iter().map(|user| (NameSpace::Users, Arc::clone(user)));
        let all = rooms().map(|room| (NameSpace::Rooms, Arc::clone(room)));
        let groups: Vec<_> = all.chain(user).chain(with_presence).collect();
        // It goes on without; what is lacking then is found by the first beat.
        speaker.listen_ahead(&groups, IN_FORCE_WITHIN).await;
    }
}

/// A way to a server that keeps it from nothing.
pub(crate) fn finder<T: Send + Sync + 'static>(
    weak: Weak<T>,
    server: impl Fn(Arc<T>) -> Server + Clone + Send + Sync + 'static,
) -> impl Fn() -> Option<Server> + Clone + Send + Sync + 'static {
    move || weak.upgrade().map(&server)
}
