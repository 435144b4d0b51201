//! The other servers of a cluster: what they say, told to those who are here.

mod asking;
mod gap;
mod many;
mod members;
mod one;
mod people;
mod serving;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytestring::ByteString;
use tokio_util::sync::DropGuard;
use wspulse_core::cluster::{Inbox, Missed, NodeId, NodeState, OutboxConfig, Output, Said, Target};
use wspulse_core::codec::InboundMessage;
use wspulse_core::{EncodedFrame, Escaped, Frame, Marks};

use crate::app::room::{Room, User};
use crate::app::server::{FanOut, Server};
use crate::cluster::beside::Beside;
use crate::cluster::node::Node;
use crate::cluster::speaker::{NameSpace, Speaker};
use crate::cluster::{Engine, EngineError};
use crate::ground::panics;
use crate::membership::{
    Addressed, Addressees, Group, Kind, Pushed, Reach, Terms, push_to_each, push_to_last,
};
use crate::observe::metrics::GroupKind;
use crate::settings::codecs::{CodecId, CodecSet, Codecs};
use crate::settings::connect::Admission;
use crate::settings::representations::Representations;
use asking::ASKED_WITHIN;
pub use asking::ClusterConnection;
pub use gap::{Gap, GapIn};
pub use many::{Answers, ClusterConnections, ClusterCounts, ClusterRoom, ClusterRooms};
pub use members::{ClusterReplies, ClusterReply, ClusterRoomRequest, NoReply};
pub use one::{Found, Kicked, Queued};
pub use people::{ClusterPeople, ClusterPerson};
use serving::Places;

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

/// What has passed between this server and the others, since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterReadings {
    /// Messages that were given to the engine, each with up to 64 frames.
    pub messages_sent: u64,
    /// Messages that were not, as there was no connection: what was in them is kept for those who ask.
    pub messages_unsent: u64,
    /// Frames that were heard from others.
    pub frames_heard: u64,
    /// Frames that came for groups that nobody is in here.
    pub frames_foreign: u64,
    /// Questions to others for what was lacking.
    pub asked: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Requests of others that were refused, as 1,024 were being answered.
    pub requests_refused: u64,
    /// Bytes of what was said that are kept for those who ask: up to 64 MiB, for a minute.
    pub kept_bytes: usize,
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

    /// What has passed between this server and the others.
    pub fn readings(&self) -> ClusterReadings {
        let counts = self.node.counts();
        ClusterReadings {
            messages_sent: counts.messages_sent.load(Ordering::Relaxed),
            messages_unsent: counts.messages_unsent.load(Ordering::Relaxed),
            frames_heard: counts.frames_heard.load(Ordering::Relaxed),
            frames_foreign: self.node.with_inbox(Inbox::foreign),
            asked: counts.asked.load(Ordering::Relaxed),
            unreadable: counts.unreadable.load(Ordering::Relaxed),
            requests_refused: counts.requests_refused.load(Ordering::Relaxed),
            kept_bytes: self.node.speaker().kept_bytes(),
        }
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
    _ends: DropGuard,
}

impl Attachment {
    /// Of a server that can be found while it is there.
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        speaker: Arc<Speaker>,
        find: impl Fn() -> Option<Server> + Clone + Send + Sync + 'static,
    ) -> Self {
        let (find_again, find_to_serve) = (find.clone(), find.clone());
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
            let state = if server.is_draining() { NodeState::Draining } else { NodeState::Serving };
            Some((state, u32::try_from(server.connection_count()).unwrap_or(u32::MAX)))
        });
        let node = Node::new(speaker, engine, tell, serve, state);
        let ends = node.closing().clone().drop_guard();
        Self { node, places: Places::default(), _ends: ends }
    }

    pub(crate) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What groups say to the members that they have elsewhere.
    pub(crate) fn speaker(engine: &dyn Engine, codecs: &Codecs) -> Arc<Speaker> {
        let node = NodeId::new(*uuid::Uuid::new_v4().as_bytes());
        let mut config = OutboxConfig::default();
        config.codec = codecs.default_codec().name().unwrap_or_default().into();
        let message_bytes_max = engine.message_bytes_max();
        config.batch_bytes_max = config.batch_bytes_max.min(message_bytes_max / 2);
        config.answer_bytes_max = config.answer_bytes_max.min(message_bytes_max / 2);
        Arc::new(Speaker::new(node, config, message_bytes_max))
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
        let rooms = room.iter().chain(also_in).map(|room| (NameSpace::Rooms, Arc::clone(room)));
        let user = user.iter().map(|user| (NameSpace::Users, Arc::clone(user)));
        let groups: Vec<_> = rooms.chain(user).collect();
        speaker.listen_ahead(&groups).await;
    }

    /// Another server has said something, or has come or gone.
    fn hear(&self, output: Output) {
        match output {
            Output::Said { origin, target, codec, said } => {
                let known = self.codec_named(&codec);
                for said in said {
                    let is_told = known.is_some_and(|codec| self.hear_frame(target, codec, said));
                    if !is_told {
                        self.tell_gap(origin, target, Missed::Frames(1));
                    }
                }
            }
            Output::Gap { origin, target, missed } => self.tell_gap(origin, target, missed),
            Output::Present(node) => tracing::info!(%node, "a server of the cluster is there"),
            Output::Silent(node) => tracing::warn!(%node, "a server of the cluster is silent"),
            Output::Gone(node) => tracing::info!(%node, "a server of the cluster is gone"),
        }
    }

    fn codec_named(&self, name: &str) -> Option<CodecId> {
        let default = self.codecs().default_codec().name().unwrap_or_default();
        if default == name { Some(CodecId::DEFAULT) } else { self.codecs().named(name) }
    }

    /// Tells whether it could be read.
    fn hear_frame(&self, target: Target, codec: CodecId, said: Said) -> bool {
        let Said { frame: encoded, overflow, beside } = said;
        let is_plain = overflow.is_none() && !encoded.is_keyed() && !encoded.is_volatile();
        let terms = if is_plain { Terms::Plain } else { Terms::Marked(overflow) };
        let named = match target {
            Target::Group(_) => self.speaker().and_then(|speaker| speaker.name_of(target)),
            Target::Everybody => None,
        };
        // Nobody is in it any more.
        let group = named.as_ref().and_then(|(space, name)| self.group(Kind::of(*space), name));
        if group.is_none() && target != Target::Everybody {
            return true;
        }
        let addressed =
            Addressed { excluded: None, queueing: self.terms(terms), reach: Reach::Here };
        if let Some(group) = &group
            && beside.is_empty()
            && !self.codecs().are_several()
        {
            self.metrics().time_broadcast(|| std::iter::once(&encoded));
            let (payload_bytes, pushed) =
                (encoded.payload_bytes(), group.broadcast(&encoded, addressed));
            self.account(group.as_ref().into(), payload_bytes, pushed, &mut FanOut::default());
            return true;
        }
        let Some((frame, marks)) = self.read(codec, &encoded, overflow, group.as_ref()) else {
            return false;
        };
        let frames = Representations::new(self.codecs(), &frame, marks.as_ref());
        let frames = frames.with_made(codec, encoded);
        // Who is not to hear it must not, so one whose exceptions cannot be read is for nobody.
        let Some(beside) = Beside::decode(beside) else { return false };
        let to = self.audience(group.clone(), beside);
        let pushed = self.push_in_codecs(frames, Reach::Here, |frames| match (&to, &group) {
            (Some(to), _) => push_to_last(to, frames, addressed.queueing),
            (None, Some(group)) => group.broadcast_by_codec(frames, addressed),
            (None, None) => self.push_to_everybody(frames, addressed),
        });
        let Ok((payload_bytes, pushed)) = pushed else { return false };
        let account = match &group {
            Some(group) => group.as_ref().into(),
            None => (GroupKind::Everybody, ""),
        };
        self.account(account, payload_bytes, pushed, &mut FanOut::default());
        true
    }

    fn push_to_everybody(
        &self,
        frames: &Representations<'_>,
        addressed: Addressed<'_>,
    ) -> Result<Pushed, CodecSet> {
        let all;
        let _one_order = self.everybody().lock();
        all = self.registry().all();
        push_to_each(&all, frames, addressed.queueing)
    }

    /// The frame by itself, if it is needed: with one codec, what has come is what goes out.
    fn read(
        &self,
        codec: CodecId,
        encoded: &EncodedFrame,
        overflow: Option<wspulse_core::Overflow>,
        group: Option<&Arc<Group>>,
    ) -> Option<(Frame, Option<Marks>)> {
        if !self.codecs().are_several() {
            return Some((Frame::default(), None));
        }
        let frame = self.decode(codec, encoded)?;
        let mut marks = Marks::default();
        let key = encoded.key().and_then(|key| std::str::from_utf8(key).ok());
        marks.key = key.map(ByteString::from);
        marks.is_volatile = encoded.is_volatile();
        marks.overflow = overflow;
        let room = group.filter(|it| it.kind() == Kind::Room && self.options().names_rooms);
        marks.room = room.map(|room| Arc::clone(room.name()));
        let is_marked = marks != Marks::default();
        Some((frame, is_marked.then_some(marks)))
    }

    /// A frame that another server has encoded, unless it is none.
    fn decode(&self, codec: CodecId, encoded: &EncodedFrame) -> Option<Frame> {
        let message = InboundMessage::lent(encoded.kind(), encoded.payload());
        panics::catch(|| self.codecs().of(codec).decode(message)).ok()?.ok()
    }

    /// The groups whose members have it from there, then this one.
    fn audience(&self, group: Option<Arc<Group>>, beside: Beside) -> Option<Addressees> {
        let group = group.filter(|_| beside != Beside::default())?;
        let Beside { before, excluded } = beside;
        let find = |targets: Vec<Target>| -> Vec<Arc<Group>> {
            let speaker = self.speaker();
            let names = targets.into_iter().filter_map(|it| speaker?.name_of(it));
            names.filter_map(|(space, name)| self.group(Kind::of(space), &name)).collect()
        };
        let mut groups = find(before);
        groups.push(group);
        let (excluded, excluded_connections) = (find(excluded), Vec::new());
        Some(Addressees { groups, room: None, excluded, excluded_connections, elsewhere: None })
    }

    fn tell_gap(&self, origin: NodeId, target: Target, missed: Missed) {
        let named = self.speaker().and_then(|speaker| speaker.name_of(target));
        let within = match (target, named) {
            (Target::Everybody, _) => GapIn::Everybody,
            (Target::Group(_), Some((NameSpace::Rooms, name))) => {
                GapIn::Room(Room::new(self.clone(), name))
            }
            (Target::Group(_), Some((NameSpace::Users, name))) => {
                GapIn::User(User::new(self.clone(), name))
            }
            // Nobody is left who lacks anything.
            (Target::Group(_), None) => return,
        };
        let gap = Gap { origin, within, missed };
        self.metrics().record(|hooks| hooks.frames_missed(&gap.as_event()));
        if let Some(not_logged) = self.gaps().lock().due() {
            let (room, frames) = (Escaped::new(gap.within.name()), gap.frames());
            let room = room.as_str();
            tracing::warn!(node = %origin, room, frames, not_logged, "frames of another server are lost");
        }
        if let Some(callback) = &self.callbacks().gap
            && let Err(panic) = panics::catch(|| callback(gap))
        {
            tracing::error!(%panic, "on_gap panicked");
        }
    }
}

/// A way to a server that keeps it from nothing.
pub(crate) fn finder<T: Send + Sync + 'static>(
    weak: Weak<T>,
    server: impl Fn(Arc<T>) -> Server + Clone + Send + Sync + 'static,
) -> impl Fn() -> Option<Server> + Clone + Send + Sync + 'static {
    move || weak.upgrade().map(&server)
}
