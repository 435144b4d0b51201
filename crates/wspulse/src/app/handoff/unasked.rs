//! Since when other servers may not have been asked about the ids of clients that came here.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use wspulse_core::cluster::NodeId;

use crate::cluster::node::Node;
use crate::ground::sync::Mutex;

/// How long a client may be on its way, from when others are asked about its id until it is let in: six
/// seconds for what another server has, and its codec's work.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(10);

/// How often a server beats.
const BEAT: Duration = Duration::from_secs(1);

/// Those servers that are to be asked once they can be.
pub(crate) struct Unasked {
    /// Nobody came here before.
    begun: Instant,
    nodes: Mutex<HashMap<NodeId, Since>>,
    /// The ids about which a server is asked by themselves, once it is known what is here: no more than
    /// clients may be coming, or sessions going, at a time.
    later: Mutex<HashSet<(NodeId, Box<str>)>>,
}

struct Since {
    /// Who has come before was asked about. Not known of a server of which no beat was heard yet: then it
    /// follows from the first one.
    from: Option<Instant>,
    /// Who has come until then may not have been asked about.
    until: Instant,
    /// When it is asked.
    due: Instant,
    is_being_asked: bool,
}

impl Unasked {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), nodes: Mutex::default(), later: Mutex::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.lock().is_empty()
    }

    /// A server was not asked about somebody who came at this time, or has not been heard since.
    pub(crate) fn note(&self, node: NodeId, from: Instant) {
        self.put(node, Some(from));
    }

    /// A server is to be asked about an id by itself; tells whether that is news.
    pub(crate) fn begin_later(&self, node: NodeId, id: &str) -> bool {
        self.later.lock().insert((node, id.into()))
    }

    /// It is asked now.
    pub(crate) fn end_later(&self, node: NodeId, id: &str) {
        self.later.lock().remove(&(node, id.into()));
    }

    /// A server is there, which may not have been known until now.
    pub(crate) fn note_present(&self, node: NodeId) {
        self.put(node, None);
    }

    fn put(&self, node: NodeId, from: Option<Instant>) {
        let now = Instant::now();
        let all = &mut *self.nodes.lock();
        let fresh = Since { from, until: now, due: now, is_being_asked: false };
        let since = all.entry(node).or_insert(fresh);
        since.from = since.from.map(|before| from.map_or(before, |from| before.min(from)));
        (since.until, since.due) = (now, now);
    }

    /// The servers that are to be asked now and answer, with whom to ask about: those that have come since.
    pub(crate) fn take_due(&self, node: &Node) -> Vec<(NodeId, Instant)> {
        let now = Instant::now();
        let living = node.living();
        let all = &mut *self.nodes.lock();
        // Of one that is forgotten, or has left, nothing is to be had.
        all.retain(|it, _| node.may_be_heard(*it));
        let mut due = Vec::new();
        for (it, since) in all.iter_mut().filter(|(it, _)| living.contains(it)) {
            if since.is_being_asked || since.due > now {
                continue;
            }
            // Nobody has come there before it began.
            let met = || {
                let age = age_max(node.beats_of(*it))?;
                Some(now.checked_sub(age).map_or(self.begun, |begun| begun.max(self.begun)))
            };
            let Some(from) = since.from.or_else(met) else { continue };
            (since.from, since.is_being_asked) = (Some(from), true);
            due.push((*it, from));
        }
        due
    }

    /// A server was asked, or did not answer.
    pub(crate) fn note_asked(&self, node: NodeId, began: Instant, is_done: bool) {
        let all = &mut *self.nodes.lock();
        let Some(since) = all.get_mut(&node) else { return };
        since.is_being_asked = false;
        // Else it is asked again, with the next beat.
        if !is_done || since.until > began {
            return;
        }
        let last = since.until + ON_ITS_WAY_MAX;
        if began >= last {
            all.remove(&node);
        } else {
            (since.from, since.due) = (Some(began), last);
        }
    }
}

/// For how long a server has been there that has beaten so often, if it has. Twice what beats take, as a
/// busy server beats less often.
fn age_max(beats: u64) -> Option<Duration> {
    let beats = u32::try_from(beats).unwrap_or(u32::MAX);
    (beats > 0).then(|| BEAT.saturating_mul(beats.saturating_mul(2).saturating_add(3)))
}
