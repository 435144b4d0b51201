//! Asking other servers who is in a room there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use tokio::time::sleep;
use wspulse_core::cluster::{NodeId, NodeReply, NodeRequest};

use super::read;
use crate::app::cluster::asking::ASKED_WITHIN;
use crate::app::server::Server;
use crate::cluster::node::Node;
use crate::ground::sync::Mutex;
use crate::membership::Kind;
use crate::membership::presence::elsewhere::{At, Next, Page};
use crate::membership::presence::known::name_of;

/// How many rooms one server is asked for at a time.
const AT_ONCE_MAX: usize = 8;

/// How long to wait before asking once more, at first; twice as long each time.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How often that is doubled: up to 6.4 s.
const DOUBLED_MAX: u32 = 6;

/// A way to the server that keeps it from nothing.
pub(in crate::app::cluster) type Find = Arc<dyn Fn() -> Option<Server> + Send + Sync>;

/// What is to be learnt of other servers' people, and whose will be lost.
pub(in crate::app::cluster) struct Learning {
    find: Find,
    queues: Mutex<BTreeMap<NodeId, Queue>>,
    /// Servers that are silent, with when their people are gone.
    silent: Mutex<BTreeMap<NodeId, Instant>>,
    /// Servers that were there before, as far as they are still known.
    met: Mutex<BTreeSet<NodeId>>,
}

/// The rooms that one server is still to be asked for.
#[derive(Default)]
struct Queue {
    rooms: VecDeque<Arc<str>>,
    tasks: usize,
}

impl Learning {
    pub(in crate::app::cluster) fn new(find: Find) -> Self {
        let (queues, silent, met) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { find, queues, silent, met }
    }

    /// Tells whether one more task must be at it.
    fn add(&self, of: NodeId, room: Arc<str>) -> bool {
        let mut queues = self.queues.lock();
        let queue = queues.entry(of).or_default();
        queue.rooms.push_back(room);
        let must_begin = queue.tasks < AT_ONCE_MAX;
        queue.tasks += usize::from(must_begin);
        must_begin
    }

    /// The next room; `None` if there is none, and the task is over.
    fn next(&self, of: NodeId) -> Option<Arc<str>> {
        let mut queues = self.queues.lock();
        let queue = queues.get_mut(&of)?;
        let next = queue.rooms.pop_front();
        if next.is_none() {
            queue.tasks -= 1;
            if queue.tasks == 0 {
                queues.remove(&of);
            }
        }
        next
    }

    pub(super) fn silence(&self, node: NodeId, lost_at: Instant) {
        self.silent.lock().insert(node, lost_at);
    }

    /// A server is there; tells whether it was never there before.
    pub(super) fn meet(&self, node: NodeId, known: &BTreeSet<NodeId>) -> bool {
        self.silent.lock().remove(&node);
        let mut met = self.met.lock();
        met.retain(|node| known.contains(node));
        met.insert(node)
    }

    /// A server whose people are gone by now.
    pub(super) fn take_lost(&self, now: Instant) -> Option<NodeId> {
        let mut silent = self.silent.lock();
        let lost = silent.iter().find(|(_, at)| **at <= now).map(|(node, _)| *node)?;
        silent.remove(&lost);
        Some(lost)
    }

    /// When the next server's people are gone.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.silent.lock().values().min().copied()
    }
}

impl Server {
    /// Asks another server for its people in a room, in its turn.
    pub(super) fn learn_people(&self, room: Arc<str>, of: NodeId) {
        let Some(attachment) = self.attachment() else { return };
        if attachment.learning.add(of, room) {
            let find = Arc::clone(&attachment.learning.find);
            attachment.node().spawn(move |node| learn_all(node, of, Arc::clone(&find)));
        }
    }
}

async fn learn_all(node: Arc<Node>, of: NodeId, find: Find) {
    loop {
        let next = find().and_then(|server| server.attachment()?.learning.next(of));
        let Some(room) = next else { return };
        learn(&node, of, &room, &find).await;
    }
}

/// Asks for all people in one room, page by page, for as long as the other server is there.
async fn learn(node: &Node, of: NodeId, room: &str, find: &Find) {
    let (mut after, mut doubled) = (None, 0);
    loop {
        let (room_name, name) = (ByteString::from(room), after.as_ref().map(name_of));
        let request = NodeRequest::People { room: room_name, after: name };
        let reply = node.request(of, request.encode(), ASKED_WITHIN).await.ok();
        let reply = reply.and_then(|bytes| node.read(NodeReply::decode(bytes)));
        let wait = {
            let Some(server) = find() else { return };
            let Some(group) = server.group(Kind::Room, room) else { return };
            match reply {
                Some(NodeReply::People { stream, number, is_last, listed }) => {
                    let at = At { stream, number };
                    let people = listed.into_iter().filter_map(read);
                    let people = people.filter_map(|(id, record)| Some((id, record?)));
                    let page = Page { at, after: after.clone(), is_last, people: people.collect() };
                    let next = group.take_page(of, page);
                    server.fold_presence();
                    doubled = 0;
                    after = match next {
                        Next::After(id) => Some(id),
                        Next::Again => None,
                        Next::Nothing => return,
                    };
                    None
                }
                Some(_) | None if node.is_lost(of) => {
                    group.stop_asking(of);
                    return;
                }
                Some(_) | None => Some(ASK_AGAIN * 2_u32.pow(doubled)),
            }
        };
        if let Some(wait) = wait {
            sleep(wait).await;
            doubled = (doubled + 1).min(DOUBLED_MAX);
        }
    }
}
