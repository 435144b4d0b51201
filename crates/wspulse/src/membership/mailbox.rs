//! Where the rest of the server leaves things for a connection's task: outbound frames, and
//! commands, which outrank them.

mod acknowledge;
mod awaited;
mod expiry;
mod following;
mod history;
mod lending;
mod measures;
mod moving;
mod offer;
mod requests;
mod sending;
mod succession;
mod taps;
mod task;
mod transports;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::task::Waker;

use tokio::time::Instant;
use wspulse_core::outbound::{Batch, OutboundQueue};
use wspulse_core::{Disconnect, OutboundStats, SessionEvent};

use crate::ground::begun::Begun;
use crate::ground::ping_schedule::Mark;
use crate::ground::queued_bytes::QueuedBytes;
use crate::ground::runtimes::Home;
use crate::ground::sync::{AtomicBool, AtomicU32, Mutex};
use crate::membership::Further;
use crate::membership::shared::ConnectionState;
use crate::settings::codecs::CodecId;
use crate::wire::transport::{Transport, Upgrade};
use acknowledge::Rare;
pub(crate) use awaited::Waiter;
use following::Following;
pub(crate) use following::Visit;
pub(crate) use lending::Loan;
pub(crate) use measures::Measures;
pub(crate) use moving::{Leave, LeaveReason, Left, Moving};
pub(crate) use offer::{Offered, Outcome};
pub(crate) use requests::{Answer, Answered, NoPlace, Unanswered};
use succession::Succession;
pub(crate) use task::{Collected, Found};

/// Shared between a connection's task, which alone takes things out, and everybody else.
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    /// An end was posted that keeps received messages from their handler. Beside the lock, since
    /// every message asks for it.
    discards_received: AtomicBool,
    /// How many messages have come, modulo 2^32. Beside the lock, since every message counts; the task
    /// alone writes it.
    received: AtomicU32,
    /// Somebody looks at what passes.
    is_tapped: AtomicBool,
    home: Home,
    /// Beside the others of a byte, since a connection costs no more for it there.
    codec: CodecId,
}

struct Inner {
    queue: OutboundQueue,
    /// `Closed` from the moment that an end was posted: nothing is accepted any more. The other
    /// two are the task's own state, told by it.
    state: ConnectionState,
    /// Boxed, since there is none most of the time.
    mail: Option<Box<Mail>>,
    waker: Option<Waker>,
    attention: Attention,
    pings: Pings,
    /// That of a task that sleeps and has nothing to write, so that others may write with it.
    transport: Option<Box<Transport>>,
    peer_addr: Option<SocketAddr>,
    succession: Succession,
    /// A frame is lost that was promised to be delivered, or for which the connection is to end:
    /// nothing may follow it. The end is on its way.
    has_gap: bool,
    /// That of the newest transport that is attached or on its way; the earliest if there is none.
    newest: Begun,
    next: Next,
    /// Boxed, since there is none most of the time.
    rare: Option<Box<Rare>>,
    memberships: Further,
    /// The log that it follows, instead of having a room's frames in its queue.
    following: Option<Following>,
}

/// What a task finds in its mailbox.
#[derive(Default)]
pub(crate) struct Mail {
    /// The newest transport on its way.
    pub(crate) upgrade: Option<Upgrade>,
    /// Which rooms it has joined and left before its end, folded: of each room there is one event
    /// at the most. Only where a callback wants to hear of them.
    pub(crate) rooms: Vec<SessionEvent>,
    /// The connection's one end.
    pub(crate) end: Option<End>,
    /// The connection that had this id before has finished its last callback.
    pub(crate) predecessor_finished: bool,
    /// The server closes: flushes and callbacks are given up at this time.
    pub(crate) callback_deadline: Option<Instant>,
    /// The connection may go on until then, whatever was said before.
    pub(crate) expires_at: Option<Instant>,
    /// The transport is to be dropped, and the session not.
    pub(crate) is_cut: bool,
    /// The session is on its way to another server. Boxed, as it seldom is.
    pub(crate) moving: Option<Box<Moving>>,
    /// Somebody else who wrote with the transport has found that it takes nothing any more.
    pub(crate) write_error: Option<io::Error>,
}

/// What a connection's task must be woken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attention {
    /// Nothing: it runs, or is about to, and looks at everything before it sleeps.
    Awake,
    /// Commands: it has nowhere to write to, or the socket takes nothing and will say when it does.
    Mail,
    MailAndFrames,
    /// Nothing until its transport is back, with which somebody else writes. Tells whether it must
    /// be woken then whatever there is, as it has looked meanwhile.
    Lent {
        was_missed: bool,
    },
}

/// Which transport is the next one to be attached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    First,
    /// That of a plain client whose session has come from another server.
    FirstHere,
    Another,
}

/// What others do for its heartbeat while its task sleeps.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pings {
    /// The beat at which they may ping with its transport.
    open_at: Option<Mark>,
    /// They have.
    pub(crate) was_pinged: bool,
    /// It was a beat at which they could not, and the task must.
    pub(crate) is_due: bool,
}

/// When a connection's task hears of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    Now,
    /// Somebody will look at it without being told.
    Later,
    /// Whoever queues it writes it, or wakes the task, if nobody else is going to:
    /// [`Offered::is_left`] tells.
    InTurn,
}

pub(crate) struct End {
    pub(crate) disconnect: Disconnect,
    /// Until when what was accepted may be written.
    pub(crate) deadline: Instant,
}

/// What a batch has come back to.
#[derive(Clone, Copy)]
pub(crate) struct GivenBack {
    /// How many frames were dropped for newer ones.
    pub(crate) evicted: usize,
    /// How many made way for newer ones of their keys.
    pub(crate) conflated: usize,
    /// More waits that may be written.
    pub(crate) has_more: bool,
}

/// The connection has ended before.
pub(crate) struct HasEnded;

impl Mailbox {
    /// For a connection whose first transport is on its way.
    pub(crate) fn new(
        queue: OutboundQueue,
        peer_addr: Option<SocketAddr>,
        begun: Begun,
        codec: CodecId,
    ) -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue,
                state: ConnectionState::Connected,
                mail: None,
                waker: None,
                attention: Attention::Awake,
                pings: Pings::default(),
                transport: None,
                peer_addr,
                succession: Succession::Nobody,
                has_gap: false,
                newest: begun,
                next: Next::First,
                rare: None,
                memberships: Further::default(),
                following: None,
            }),
            discards_received: AtomicBool::new(false),
            received: AtomicU32::new(0),
            is_tapped: AtomicBool::new(false),
            home: Home::current(),
            codec,
        }
    }

    /// What its frames are encoded with.
    #[inline]
    pub(crate) const fn codec(&self) -> CodecId {
        self.codec
    }

    /// Where its task is.
    pub(crate) const fn home(&self) -> Home {
        self.home
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.inner.lock().state
    }

    /// As [`memberships`](Self::memberships), and tells the task what that returns beside.
    pub(crate) fn change_memberships<R>(
        &self,
        change: impl FnOnce(ConnectionState, &mut Further) -> (R, Option<SessionEvent>),
    ) -> R {
        let inner = &mut *self.inner.lock();
        let (changed, event) = change(inner.state, &mut inner.memberships);
        if let Some(event) = event.filter(|_| inner.state != ConnectionState::Closed) {
            inner.post(|mail| mail.add_room(event));
        }
        changed
    }

    /// Looks at which groups it is in, or notes another place in one.
    pub(crate) fn memberships<R>(
        &self,
        with: impl FnOnce(ConnectionState, &mut Further) -> R,
    ) -> R {
        let inner = &mut *self.inner.lock();
        with(inner.state, &mut inner.memberships)
    }

    pub(crate) fn stats(&self) -> OutboundStats {
        self.lock().queue.stats()
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.lock().peer_addr
    }

    /// Wakes the task if it sleeps although frames wait that it could write. Tells whether it did.
    pub(crate) fn wake_for_frames(&self) -> bool {
        let mut inner = self.lock();
        inner.wake_for_frames()
    }

    /// Ends the connection, unless it has ended already, and returns what it was before. To be
    /// called under the locks of the registry and of the id's shard, so that a connection that has
    /// ended is never found. It leaves its rooms with that; those of which the task is to hear are
    /// `told`, in the same moment: whoever sees that it has ended may take it out of them.
    pub(crate) fn end(
        &self,
        end: End,
        told: impl FnOnce(ConnectionState, &Further) -> Vec<SessionEvent>,
    ) -> Result<ConnectionState, HasEnded> {
        self.post_end(&mut self.lock(), end, told)
    }

    fn post_end(
        &self,
        inner: &mut Inner,
        end: End,
        told: impl FnOnce(ConnectionState, &Further) -> Vec<SessionEvent>,
    ) -> Result<ConnectionState, HasEnded> {
        let before = inner.state;
        if before == ConnectionState::Closed {
            return Err(HasEnded);
        }
        inner.state = ConnectionState::Closed;
        if !end.disconnect.delivers_received() {
            self.discards_received.store(true, Ordering::Relaxed);
        }
        let left = told(before, &inner.memberships);
        inner.post(|mail| {
            for event in left {
                mail.add_room(event);
            }
            mail.end = Some(end);
        });
        Ok(before)
    }

    /// Has flushes and callbacks given up at `deadline`.
    pub(crate) fn limit_callbacks(&self, deadline: Instant) {
        self.inner.lock().post(|mail| mail.callback_deadline = Some(deadline));
    }
}

impl Mail {
    fn add_room(&mut self, event: SessionEvent) {
        match self.rooms.iter().rposition(|untold| event.undoes(untold)) {
            Some(place) => {
                self.rooms.remove(place);
            }
            None => self.rooms.push(event),
        }
    }
}

impl Inner {
    /// Whether its first transport is on its way. It may be for a while, if it has come from another server.
    fn is_opening(&self) -> bool {
        self.state == ConnectionState::Connected && self.next != Next::Another
    }

    /// Whether there is a frame to be written. Once the end is posted, none waits for an
    /// acknowledgement any more.
    fn may_write(&self) -> bool {
        let is_over = self.state == ConnectionState::Closed;
        self.queue.is_writable() || (is_over && self.queue.has_waiting())
    }

    /// Wakes the task if it sleeps and has somewhere to write. Tells whether it did.
    fn wake_for_frames(&mut self) -> bool {
        match self.attention {
            // While the window is full there is nothing that it could write.
            Attention::MailAndFrames if self.queue.is_writable() => {
                self.wake();
                true
            }
            Attention::MailAndFrames
            | Attention::Awake
            | Attention::Mail
            | Attention::Lent { .. } => false,
        }
    }

    fn post(&mut self, write: impl FnOnce(&mut Mail)) {
        write(self.mail.get_or_insert_default());
        match self.attention {
            Attention::Mail | Attention::MailAndFrames => self.wake(),
            Attention::Awake | Attention::Lent { .. } => {}
        }
    }

    fn give_back(&mut self, batch: Batch, queued_bytes: Option<&QueuedBytes>) -> GivenBack {
        let bytes_before = self.queue.held_bytes();
        let returned = self.queue.give_back(batch);
        if returned.conflated > 0 {
            self.limit_receipts();
        }
        if let Some(queued_bytes) = queued_bytes {
            queued_bytes.release(bytes_before - self.queue.held_bytes());
        }
        GivenBack {
            evicted: returned.evicted as usize,
            conflated: returned.conflated as usize,
            has_more: self.may_write(),
        }
    }

    fn set_state(&mut self, state: ConnectionState) {
        if self.state != ConnectionState::Closed {
            self.state = state;
        }
    }

    /// The waker is the runtime's own, of a task that this crate spawned: no foreign code runs
    /// under the lock.
    fn wake(&mut self) {
        self.attention = Attention::Awake;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
