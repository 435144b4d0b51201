//! Who has heard elsewhere what is still to come here.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use tokio::time::{Duration, Instant};
use wspulse_core::cluster::{NodeId, Position, Said, Target};

use crate::ground::sync::{AtomicBool, Mutex};
use crate::membership::shared::ConnectionShared;

/// How long what was said may take to come here: as long as it is kept by those who have said it.
const OVER_AFTER: Duration = Duration::from_mins(1);

/// How often those are looked for that are over.
const SWEPT_EVERY: Duration = Duration::from_secs(15);

/// How many frames are held for a connection while it is found out what it lacks before them. A gap is told
/// for more.
const HELD_FRAMES_MAX: usize = 16_384;

/// Connections that have come from other servers, and are not to hear twice what these have told them.
#[derive(Default)]
pub(crate) struct Overlaps {
    /// Beside the lock, since nearly always there are none.
    are_some: AtomicBool,
    inner: Mutex<Inner>,
    /// Since when those who have come have listened to their groups, wherever that was; until they go on
    /// or end. Beside the others, as no frame asks for it.
    listening: Mutex<HashMap<Address, Vec<(Target, Instant)>>>,
    /// Those who have come lately to groups that were not listened for here for long before.
    newcomers: Mutex<HashMap<Address, Vec<Newcomer>>>,
}

/// Where a connection is in memory. Nothing else is there as long as it is referred to, even if weakly.
type Address = usize;

/// Somebody who may lack what a server has said that nobody knew here yet.
struct Newcomer {
    connection: Weak<ConnectionShared>,
    target: Target,
    /// Since when it has listened, wherever that was.
    since: Instant,
    /// The servers of which it lacks nothing, or that were asked.
    known: BTreeSet<NodeId>,
    until: Instant,
}

/// What is said to a group, by a server.
type Stream = (Target, NodeId);

#[derive(Default)]
struct Inner {
    /// They do not hear yet what is said to all.
    arriving: HashMap<Address, Weak<ConnectionShared>>,
    /// By what is still to come, as each frame asks for it.
    heard: HashMap<Stream, Vec<Overlap>>,
    /// Of which streams connections have heard something, or had.
    streams: HashMap<Address, Vec<Stream>>,
    /// When those are looked for that are over, though nothing has come that they have heard.
    sweep_at: Option<Instant>,
}

struct Overlap {
    connection: Weak<ConnectionShared>,
    /// Up to where it was heard, if it was.
    heard: Option<Position>,
    /// Nothing more comes of that server.
    has_ended: bool,
    /// What is told meanwhile, while it is found out what is lacking before that.
    held: Option<Held>,
    until: Instant,
}

/// What was told to a group while a connection in it waited for what it lacks.
#[derive(Default)]
pub(super) struct Held {
    pub(super) frames: Vec<HeldFrame>,
    /// How many more there were.
    pub(super) missed: u64,
}

/// A frame of another server, with its place in that server's order.
pub(super) struct HeldFrame {
    at: (u32, u64),
    pub(super) codec: ByteString,
    pub(super) said: Said,
}

/// What a connection has heard of a server, if that is not what was told where it is.
pub(super) struct Ahead {
    pub(super) target: Target,
    pub(super) origin: NodeId,
    /// How far, if it has heard anything.
    pub(super) heard: Option<Position>,
    /// No further than that, although more was told here.
    pub(super) is_behind: bool,
    /// Nothing more comes of that server.
    pub(super) has_ended: bool,
}

impl Overlaps {
    /// A connection is about to come, and must not hear yet what is said to all.
    pub(super) fn begin(&self, connection: &Arc<ConnectionShared>) {
        let mut inner = self.inner.lock();
        inner.arriving.insert(address_of(connection), Arc::downgrade(connection));
        self.are_some.store(true, Ordering::Release);
    }

    /// From now on it hears that.
    pub(super) fn end(&self, connection: &Arc<ConnectionShared>) {
        let mut inner = self.inner.lock();
        inner.arriving.remove(&address_of(connection));
        self.forget_if_none(&mut inner);
    }

    /// It listens to these since then, wherever it was: a server that it has heard nothing of may have said
    /// something that is still on its way.
    pub(super) fn note_listening(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        since: Instant,
    ) {
        self.listening.lock().entry(address_of(connection)).or_default().push((target, since));
    }

    /// Since when it listens to its groups, if it has come from elsewhere. It goes on, or ends.
    pub(crate) fn take_listening(&self, connection: &ConnectionShared) -> Vec<(Target, Instant)> {
        self.listening.lock().remove(&address_of(connection)).unwrap_or_default()
    }

    /// It may lack what others have said than these, which are not known here yet.
    pub(super) fn note_newcomer(
        &self,
        connection: &Arc<ConnectionShared>,
        (target, since): (Target, Instant),
        known: BTreeSet<NodeId>,
    ) {
        let (address, until) = (address_of(connection), Instant::now() + OVER_AFTER);
        let connection = Arc::downgrade(connection);
        let newcomer = Newcomer { connection, target, since, known, until };
        self.newcomers.lock().entry(address).or_default().push(newcomer);
    }

    /// Those who may lack something of a server that was not known here as they came, with since when they
    /// have listened. They are told once.
    pub(super) fn newcomers_to(
        &self,
        node: NodeId,
    ) -> Vec<(Arc<ConnectionShared>, Target, Instant)> {
        let now = Instant::now();
        let mut newcomers = self.newcomers.lock();
        newcomers.retain(|_, all| {
            all.retain(|it| it.connection.strong_count() > 0 && now < it.until);
            !all.is_empty()
        });
        let those = newcomers.values_mut().flatten().filter_map(|it| {
            let is_news = it.known.insert(node);
            Some((it.connection.upgrade().filter(|_| is_news)?, it.target, it.since))
        });
        those.collect()
    }

    /// It has heard elsewhere what is said to these, up to there.
    pub(super) fn note(&self, connection: &Arc<ConnectionShared>, target: Target, heard: Position) {
        self.add(connection, target, heard, false);
    }

    /// As [`note`](Self::note), of a server that has ended.
    pub(super) fn note_ended(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        heard: Position,
    ) {
        self.add(connection, target, heard, true);
    }

    fn add(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        heard: Position,
        has_ended: bool,
    ) {
        self.put(connection, (target, heard.origin), (Some(heard), has_ended), None);
    }

    fn put(
        &self,
        connection: &Arc<ConnectionShared>,
        stream: Stream,
        (heard, has_ended): (Option<Position>, bool),
        held: Option<Held>,
    ) {
        let (address, now) = (address_of(connection), Instant::now());
        let (connection, until) = (Arc::downgrade(connection), now + OVER_AFTER);
        let mut inner = self.inner.lock();
        let overlap = Overlap { connection, heard, has_ended, held, until };
        inner.heard.entry(stream).or_default().push(overlap);
        inner.streams.entry(address).or_default().push(stream);
        inner.sweep_at.get_or_insert(until);
        self.are_some.store(true, Ordering::Release);
    }

    /// It lacks what a server has said behind this: what is told of it from now on is held until that is here.
    pub(super) fn block(
        &self,
        connection: &Arc<ConnectionShared>,
        stream: Stream,
        after: Option<Position>,
    ) {
        self.put(connection, stream, (after, false), Some(Held::default()));
    }

    /// What it has lacked is here, up to this position: what the server says is told from now on, and what
    /// was held of that is returned. `None` if it was not blocked, or has gone on meanwhile. The server
    /// may have ended: then nobody looks for it any more.
    pub(super) fn unblock(
        &self,
        connection: &Arc<ConnectionShared>,
        stream: Stream,
        reached: Option<Position>,
        has_ended: bool,
    ) -> Option<Held> {
        let mut inner = self.inner.lock();
        let all = inner.heard.get_mut(&stream)?;
        let is_it = |it: &Overlap| it.held.is_some() && is_of(&it.connection, connection);
        let place = all.iter().position(is_it)?;
        let mut held = all[place].held.take()?;
        if let Some(Position { stream, number, .. }) = reached {
            held.frames.retain(|frame| frame.at > (stream, number));
            let it = &mut all[place];
            (it.heard, it.has_ended) = (reached, has_ended);
            it.until = Instant::now() + OVER_AFTER;
        } else {
            all.remove(place);
            if all.is_empty() {
                inner.heard.remove(&stream);
            }
        }
        self.forget_if_none(&mut inner);
        Some(held)
    }

    /// Takes what a connection has heard elsewhere that was not told here, for where it goes on.
    pub(super) fn take(&self, connection: &Arc<ConnectionShared>) -> Vec<Ahead> {
        if !self.are_some.load(Ordering::Acquire) {
            return Vec::new();
        }
        let address = address_of(connection);
        let mut inner = self.inner.lock();
        let mut taken = Vec::new();
        for stream @ (target, origin) in inner.streams.remove(&address).unwrap_or_default() {
            // It may be there twice, or over.
            let Some(all) = inner.heard.get_mut(&stream) else { continue };
            let own = all.extract_if(.., |it| is_of(&it.connection, connection));
            taken.extend(own.map(|Overlap { heard, has_ended, held, .. }| Ahead {
                target,
                origin,
                heard,
                is_behind: held.is_some(),
                has_ended,
            }));
            if all.is_empty() {
                inner.heard.remove(&stream);
            }
        }
        self.newcomers.lock().remove(&address);
        self.forget_if_none(&mut inner);
        taken
    }

    /// Those who are not to hear what is said to all.
    pub(crate) fn retain_present(&self, all: &mut Vec<Arc<ConnectionShared>>) {
        if self.are_some.load(Ordering::Acquire) {
            let inner = self.inner.lock();
            all.retain(|connection| !inner.arriving.contains_key(&address_of(connection)));
        }
    }

    /// Those who have heard this frame, of the stream with this number of this server, elsewhere; and those
    /// for whom it is held.
    pub(crate) fn who_has_heard(
        &self,
        target: Target,
        (origin, stream, number): (NodeId, u32, u64),
        (codec, said): (&ByteString, &Said),
    ) -> Vec<Arc<ConnectionShared>> {
        if !self.are_some.load(Ordering::Acquire) {
            return Vec::new();
        }
        let now = Instant::now();
        let mut who = Vec::new();
        let mut inner = self.inner.lock();
        inner.sweep(now);
        let Some(all) = inner.heard.get_mut(&(target, origin)) else {
            self.forget_if_none(&mut inner);
            return who;
        };
        all.retain_mut(|it| {
            if it.is_over(now) {
                return false;
            }
            if let Some(held) = &mut it.held {
                held.hold((stream, number), codec, said);
                who.extend(it.connection.upgrade());
                return true;
            }
            let heard = it.heard.map(|heard| (heard.stream, heard.number));
            let has_heard = Some((stream, number)) <= heard;
            if has_heard {
                who.extend(it.connection.upgrade());
            }
            // They come in order: what follows it has not heard.
            has_heard
        });
        if all.is_empty() {
            inner.heard.remove(&(target, origin));
        }
        self.forget_if_none(&mut inner);
        who
    }

    fn forget_if_none(&self, inner: &mut Inner) {
        if inner.heard.is_empty() {
            inner.streams.clear();
            inner.sweep_at = None;
        }
        if inner.arriving.is_empty() && inner.heard.is_empty() {
            self.are_some.store(false, Ordering::Release);
        }
    }
}

impl Inner {
    /// Forgets all that is over, if it is time for that.
    fn sweep(&mut self, now: Instant) {
        let Self { heard, streams, sweep_at, .. } = self;
        if sweep_at.is_none_or(|at| now < at) {
            return;
        }
        heard.retain(|_, all| {
            all.retain(|it| !it.is_over(now));
            !all.is_empty()
        });
        streams.retain(|address, of| {
            let is_own = |it: &Overlap| it.connection.as_ptr().addr() == *address;
            of.retain(|stream| heard.get(stream).is_some_and(|all| all.iter().any(is_own)));
            !of.is_empty()
        });
        *sweep_at = (!heard.is_empty()).then(|| now + SWEPT_EVERY);
    }
}

impl Overlap {
    fn is_over(&self, now: Instant) -> bool {
        self.connection.strong_count() == 0 || (now >= self.until && self.held.is_none())
    }
}

impl Held {
    fn hold(&mut self, at: (u32, u64), codec: &ByteString, said: &Said) {
        if self.frames.len() < HELD_FRAMES_MAX {
            self.frames.push(HeldFrame { at, codec: codec.clone(), said: said.clone() });
        } else {
            self.missed += 1;
        }
    }
}

fn address_of(connection: &ConnectionShared) -> Address {
    std::ptr::from_ref(connection).addr()
}

fn is_of(weak: &Weak<ConnectionShared>, connection: &Arc<ConnectionShared>) -> bool {
    std::ptr::eq(weak.as_ptr(), Arc::as_ptr(connection))
}
