//! What this server says to the others, and whom it listens for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::timeout;
use wspulse_core::cluster::{
    Answer, Ask, GroupKey, NodeId, Outbox, OutboxConfig, Position, Said, Target,
};
use wspulse_core::{EncodedFrame, Overflow};

use super::attention::Attention;
use super::node::now;
use super::wanted::Wanted;
use crate::ground::sync::{AtomicBool, Mutex, RwLock};

/// How long a server goes on to listen for a group that nobody is in any more: who comes back, or
/// looks at rooms one after the other, takes no subscription anew.
pub(crate) const LISTENED_AFTER: Duration = Duration::from_secs(5);

/// What a message between servers holds beside its frame, at the most: its header, and names of codecs.
const AROUND_BYTES: usize = 512;

/// What kind of group a name is of: a room and a user may have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NameSpace {
    Rooms,
    Users,
    /// Rooms again: what servers tell each other of the people in them, which no member hears as it is.
    Presence,
}

/// The one end of the cluster that groups know: it takes what is said to them, in the order in which
/// they decide on it. Its locks are taken under those of groups and directories, and none under them.
pub(crate) struct Speaker {
    node: NodeId,
    outbox: Mutex<Outbox>,
    /// There is something to send.
    has_news: Notify,
    /// Whether any other server is known that has not left.
    has_peers: AtomicBool,
    wanted: Mutex<Wanted>,
    /// What is wanted has changed.
    has_wishes: Notify,
    frame_bytes_max: usize,
    arrivals: RwLock<()>,
    attention: Attention,
    /// Groups that have begun, since when, and whose log, if they have one, is not followed yet; `None`
    /// where no room has one.
    begun: Option<Mutex<HashMap<Target, Instant>>>,
}

/// A group's way to its members on other servers.
pub(crate) struct Uplink {
    speaker: Arc<Speaker>,
    target: Target,
    /// Its people are told of in a stream beside its own.
    has_presence: bool,
}

impl Speaker {
    pub(crate) fn new(
        node: NodeId,
        config: OutboxConfig,
        message_bytes_max: usize,
        has_logs: bool,
    ) -> Self {
        Self {
            node,
            outbox: Mutex::new(Outbox::new(node, config)),
            has_news: Notify::new(),
            has_peers: AtomicBool::new(false),
            wanted: Mutex::default(),
            has_wishes: Notify::new(),
            frame_bytes_max: message_bytes_max.saturating_sub(AROUND_BYTES),
            arrivals: RwLock::default(),
            attention: Attention::default(),
            begun: has_logs.then(Mutex::default),
        }
    }

    pub(crate) const fn node(&self) -> NodeId {
        self.node
    }

    /// The most bytes that a frame may have to be said to others.
    pub(crate) const fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// The rooms whose presence is to be looked after.
    pub(crate) const fn attention(&self) -> &Attention {
        &self.attention
    }

    /// Takes a frame that is said to these. Where there is an order of what is said to them, it is
    /// called under the lock that decides it.
    pub(crate) fn say(
        &self,
        target: Target,
        frame: &EncodedFrame,
        overflow: Option<Overflow>,
        beside: Bytes,
    ) {
        let said = Said { frame: frame.clone(), overflow, beside };
        // A server that has begun and is not known yet will ask.
        if !self.has_peers() {
            return self.outbox.lock().say_alone(target, said, now());
        }
        self.outbox.lock().say(target, said, now());
        self.has_news.notify_one();
    }

    pub(super) fn has_peers(&self) -> bool {
        self.has_peers.load(Ordering::Acquire)
    }

    pub(super) fn set_has_peers(&self, has_peers: bool) {
        self.has_peers.store(has_peers, Ordering::Release);
    }

    /// Speaks to a group of which it is not sure that it is the one that its members are in: it has none
    /// here, or is one of several. Meanwhile no session joins it that comes from another server, and to
    /// which nothing of this server would come twice. The group is looked up anew in `speak`. It is taken
    /// before all locks of groups.
    pub(crate) fn before_arrivals<R>(&self, speak: impl FnOnce() -> R) -> R {
        let _none_arrives = self.arrivals.read();
        speak()
    }

    /// Has a session join a group that comes from another server.
    pub(crate) fn arrive<R>(&self, join: impl FnOnce() -> R) -> R {
        let _nothing_is_said = self.arrivals.write();
        join()
    }

    pub(super) fn outbox<R>(&self, with: impl FnOnce(&mut Outbox) -> R) -> R {
        with(&mut self.outbox.lock())
    }

    /// How many bytes are kept for those who lack them.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.outbox.lock().kept_bytes()
    }

    /// How many subscriptions to groups, and to parts of all groups, are in force.
    pub(crate) fn subscriptions(&self) -> usize {
        self.wanted.lock().in_force()
    }

    pub(super) fn wanted<R>(&self, with: impl FnOnce(&mut Wanted) -> R) -> R {
        with(&mut self.wanted.lock())
    }

    pub(super) async fn news(&self) {
        self.has_news.notified().await;
    }

    pub(super) async fn wishes(&self) {
        self.has_wishes.notified().await;
    }

    /// What is said to these is heeded from now on.
    pub(super) fn note_heard(&self, targets: &[Target]) {
        self.wanted.lock().note_heard(targets);
    }

    /// How far this server has spoken to these. Under the lock that decides the order of what is said
    /// to them, it is where those are who hear it.
    pub(crate) fn position(&self, target: Target) -> Option<Position> {
        self.outbox.lock().position(target)
    }

    /// As [`position`](Self::position), also where nothing was said for long, or ever.
    pub(crate) fn spoken_up_to(&self, target: Target) -> Position {
        self.outbox.lock().spoken_up_to(target)
    }

    /// What another server would be answered.
    pub(crate) fn answer(&self, ask: &Ask) -> Answer {
        self.outbox.lock().answer(ask, now())
    }

    /// Groups that have begun since.
    pub(super) fn take_begun(&self) -> HashMap<Target, Instant> {
        self.begun.as_ref().map(|begun| std::mem::take(&mut *begun.lock())).unwrap_or_default()
    }

    /// It is not the time yet for a group that has begun at this time.
    pub(super) fn put_back_begun(&self, target: Target, at: Instant) {
        if let Some(begun) = &self.begun {
            // One that has begun once more meanwhile has none of its members of before.
            begun.lock().entry(target).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
    }

    /// The name by which a group is listened for, if it is.
    pub(crate) fn name_of(&self, target: Target) -> Option<(NameSpace, Arc<str>)> {
        self.wanted.lock().name_of(target)
    }

    /// Somebody is about to be in these groups: waits for so long until what is said to them comes, and tells
    /// whether it does.
    pub(crate) async fn listen_ahead(
        &self,
        groups: &[(NameSpace, Arc<str>)],
        within: Duration,
    ) -> bool {
        let targets: Vec<_> = groups.iter().map(|(space, name)| target_of(*space, name)).collect();
        let mut not_yet = Vec::new();
        {
            let mut wanted = self.wanted.lock();
            for (target, (space, name)) in targets.iter().zip(groups) {
                // From now on it lingers, until the client is in.
                wanted.begin(*target, *space, name);
                wanted.end(*target, now());
                not_yet.extend(wanted.until_heard(*target));
            }
        }
        if not_yet.is_empty() {
            return true;
        }
        self.has_wishes.notify_one();
        let all_told = async {
            for mut heard in not_yet {
                // It closes.
                let _ = heard.changed().await;
            }
        };
        let _ = timeout(within, all_told).await;
        let wanted = self.wanted.lock();
        targets.iter().all(|target| wanted.is_heard(*target))
    }
}

impl Uplink {
    pub(crate) fn new(
        speaker: &Arc<Speaker>,
        space: NameSpace,
        name: &str,
        has_presence: bool,
    ) -> Self {
        let (speaker, target) = (Arc::clone(speaker), target_of(space, name));
        Self { speaker, target, has_presence }
    }

    /// The group begins.
    pub(crate) fn begin(&self, space: NameSpace, name: &Arc<str>) {
        let mut wanted = self.speaker.wanted.lock();
        wanted.begin(self.target, space, name);
        if self.has_presence {
            let space = NameSpace::Presence;
            wanted.begin(target_of(space, name), space, name);
        }
        drop(wanted);
        self.speaker.put_back_begun(self.target, now());
        self.speaker.has_wishes.notify_one();
    }

    /// The group has ended: there may be another one of its name.
    pub(crate) fn end(&self, name: &str) {
        let mut wanted = self.speaker.wanted.lock();
        wanted.end(self.target, now());
        if self.has_presence {
            wanted.end(target_of(NameSpace::Presence, name), now());
        }
        drop(wanted);
        self.speaker.has_wishes.notify_one();
    }

    /// Has the presence of a room looked after at this time.
    pub(crate) fn attend(&self, at: Instant, room: &Arc<str>) {
        self.speaker.attention.add(at, room);
    }

    /// The most bytes that a frame may have.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        self.speaker.frame_bytes_max
    }

    pub(crate) fn position(&self) -> Option<Position> {
        self.speaker.position(self.target)
    }

    pub(crate) fn spoken_up_to(&self) -> Position {
        self.speaker.spoken_up_to(self.target)
    }

    pub(crate) fn say(&self, frame: &EncodedFrame, overflow: Option<Overflow>, beside: Bytes) {
        self.speaker.say(self.target, frame, overflow, beside);
    }
}

/// How a group is called between servers.
pub(crate) fn target_of(space: NameSpace, name: &str) -> Target {
    let space: &[u8] = match space {
        NameSpace::Rooms => b"room:",
        NameSpace::Users => b"user:",
        NameSpace::Presence => b"presence:",
    };
    let hash = Sha256::new().chain_update(space).chain_update(name.as_bytes()).finalize();
    let mut key = [0; GroupKey::BYTES];
    key.copy_from_slice(&hash[..GroupKey::BYTES]);
    Target::Group(GroupKey::new(key))
}
