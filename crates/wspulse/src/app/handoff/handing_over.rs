//! A server that ends: what is left of its sessions is kept by others, until their clients come.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout_at};
use wspulse_core::Disconnect;
use wspulse_core::cluster::{NodeId, NotGiven, SessionReply};

use crate::app::server::Server;
use crate::ground::sync::Mutex;
use crate::membership::mailbox::LeaveReason;
use crate::membership::shared::ConnectionShared;

/// How long it may take to hand over all sessions. A server that ends is waited for by whoever deploys; it
/// takes no longer than it must, and many at once on a busy machine take a while.
const HANDED_OVER_WITHIN: Duration = Duration::from_mins(1);

/// How long none may have been handed over: others take none, or what is left has a callback that goes on.
const NONE_WITHIN: Duration = Duration::from_secs(20);

/// How long a session may take to be ready: no client waits for it, and what was begun is not to be done
/// again because the machine is busy.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// How long another server may take to keep one: it fetches the rest of it, and says that it has it.
pub(super) const KEPT_WITHIN: Duration = Duration::from_secs(1);

/// After how long a session is asked again to leave that was not ready.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How many are handed over at a time. As many are in memory twice.
const AT_ONCE_MAX: usize = 64;

/// How many servers are asked to keep a session.
const HEIRS_MAX: usize = 3;

/// How long nobody may have asked for what was said, once others know that this server ends: those that
/// have just been given a session lack some of it.
const LINGERS_FOR: Duration = Duration::from_secs(1);

/// However many go on to ask, such as one that is in a loop.
const LINGERS_MAX: Duration = Duration::from_secs(15);

/// The servers that take sessions, each with how many connections it has, as far as is known.
struct Heirs(Mutex<Vec<(NodeId, u64)>>);

/// What is to be handed over.
enum Left {
    /// It is at this server.
    Session(Arc<ConnectionShared>),
    /// It is on the shelf.
    Kept(u64),
}

struct Handing {
    heirs: Heirs,
    left: Mutex<VecDeque<Left>>,
    /// It is over then, whatever is left.
    until: Instant,
    /// When the last one was handed over.
    last_at: Mutex<Instant>,
}

impl Handing {
    /// When it is over, unless another one is handed over before.
    fn over_at(&self) -> Instant {
        self.until.min(*self.last_at.lock() + NONE_WITHIN)
    }

    /// Waits for something, for as long as others take sessions.
    async fn wait_for(&self, something: impl Future<Output = ()>) {
        let mut something = pin!(something);
        loop {
            let over_at = self.over_at();
            if timeout_at(over_at, &mut something).await.is_ok() || self.over_at() <= over_at {
                return;
            }
        }
    }
}

impl Heirs {
    /// The one with the fewest connections, which has one more from now on.
    fn next(&self, tried: &[NodeId]) -> Option<NodeId> {
        let mut all = self.0.lock();
        let untried = all.iter_mut().filter(|(node, _)| !tried.contains(node));
        let (node, connections) = untried.min_by_key(|(node, count)| (*count, *node))?;
        *connections += 1;
        Some(*node)
    }
}

impl Server {
    /// Whether a connection's session outlives this server, which is drained: it is closed, and its
    /// client finds it at another one.
    pub(crate) fn outlives(&self, connection: &ConnectionShared) -> bool {
        !self.options().resume_window.is_zero()
            && connection.mailbox.proof().is_some()
            && self.attachment().is_some_and(|it| !it.node().heirs().is_empty())
    }

    /// Hands over the sessions that are left, for a while. Nothing is said from its beginning on. Then all
    /// others are told that this server ends, and have a moment to ask for what they lack.
    pub(crate) async fn hand_over(&self) {
        let Some(attachment) = self.attachment() else { return };
        let heirs = attachment.node().heirs();
        if !heirs.is_empty() && !self.options().resume_window.is_zero() {
            let sessions = self.registry().hand_over();
            let heirs = heirs.into_iter().map(|(node, count)| (node, count.into())).collect();
            let left = sessions.iter().cloned().map(Left::Session).collect();
            let begun_at = Instant::now();
            let handing = Arc::new(Handing {
                heirs: Heirs(Mutex::new(heirs)),
                left: Mutex::new(left),
                until: begun_at + HANDED_OVER_WITHIN,
                last_at: Mutex::new(begun_at),
            });
            self.hand_over_all(&handing).await;
            // No more are about to come.
            attachment.arrivals().close();
            handing.wait_for(attachment.arrivals().wait()).await;
            // Those that were on their way to somebody, and those whose heir has refused them.
            handing.left.lock().extend(self.shelf().here().into_iter().map(Left::Kept));
            self.hand_over_all(&handing).await;
            let still_here = sessions.iter().filter(|it| self.is_still_here(it)).count();
            self.tell_left_behind(still_here + self.shelf().here().len());
            self.registry().begin_to_leave();
            attachment.node().tell_state();
            self.linger().await;
        }
    }

    /// Until nobody has asked for a while for what this server has said.
    async fn linger(&self) {
        let Some(attachment) = self.attachment() else { return };
        let told_at = Instant::now();
        loop {
            let asked_at = attachment.node().asked_at().map_or(told_at, |at| at.max(told_at));
            let over_at = (asked_at + LINGERS_FOR).min(told_at + LINGERS_MAX);
            if Instant::now() >= over_at {
                return;
            }
            sleep_until(over_at).await;
        }
    }

    fn is_still_here(&self, connection: &Arc<ConnectionShared>) -> bool {
        self.registry().find(&connection.id).is_some_and(|it| Arc::ptr_eq(&it, connection))
    }

    fn tell_left_behind(&self, sessions: usize) {
        let Some(attachment) = self.attachment() else { return };
        if sessions > 0 {
            let counts = attachment.node().counts();
            counts.sessions_left_behind.fetch_add(sessions as u64, Ordering::Relaxed);
            tracing::warn!(
                sessions,
                "no other server has taken these sessions in time: their clients begin anew"
            );
        }
    }

    async fn hand_over_all(&self, handing: &Arc<Handing>) {
        let mut all = JoinSet::new();
        for _ in 0..AT_ONCE_MAX.min(handing.left.lock().len()) {
            let (server, handing) = (self.clone(), Arc::clone(handing));
            all.spawn(async move { server.hand_over_one_by_one(&handing).await });
        }
        // What is not done by then is dropped.
        handing.wait_for(async { while all.join_next().await.is_some() {} }).await;
    }

    async fn hand_over_one_by_one(&self, handing: &Handing) {
        let next = || handing.left.lock().pop_front();
        while let Some(left) = next() {
            match left {
                Left::Kept(ticket) => self.bequeath(ticket, handing).await,
                Left::Session(session) => match self.send_off(&session).await {
                    Some(ticket) => self.bequeath(ticket, handing).await,
                    None if self.is_still_here(&session) => {
                        // A callback goes on, or its client has just come.
                        sleep(TRIED_AGAIN_AFTER).await;
                        handing.left.lock().push_back(Left::Session(session));
                    }
                    None => {}
                },
            }
        }
    }

    /// Has a session leave for the shelf, and its client come back to another server.
    async fn send_off(&self, session: &Arc<ConnectionShared>) -> Option<u64> {
        let drained = Disconnect::Drained { retry: self.options().drain_retry };
        session.mailbox.send_away(drained.close_frame());
        self.get_ready_within(session, LeaveReason::ServerEnds, READY_WITHIN).await
    }

    /// Has a session that is on the shelf kept by another server.
    async fn bequeath(&self, ticket: u64, handing: &Handing) {
        let Some(attachment) = self.attachment() else { return };
        let node = attachment.node();
        self.tell_last_words(ticket);
        let mut tried = Vec::new();
        while let Some(heir) = handing.heirs.next(&tried).filter(|_| tried.len() < HEIRS_MAX) {
            let part_bytes_max = self.session_part_bytes_max();
            let bequest = self.shelf().bequest(ticket, node.speaker().node(), part_bytes_max);
            // Somebody else has it by now.
            let Some(bequest) = bequest else { return };
            let reply = self.ask_node(heir, &bequest, KEPT_WITHIN).await;
            // It is not the reply that counts, which may be lost.
            if !self.shelf().is_here(ticket) {
                *handing.last_at.lock() = Instant::now();
                node.counts().sessions_handed_over.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if let Ok(Some(SessionReply::NotGiven(why))) = reply {
                tracing::debug!(%heir, full = why == NotGiven::Full, "it keeps no session of ours");
            }
            tried.push(heir);
        }
    }
}
