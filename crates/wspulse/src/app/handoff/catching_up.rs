//! What a session that has come lacks, as it was in no group for a moment; and what it has heard already
//! that this server is yet to hear.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};
use wspulse_core::EncodedFrame;
use wspulse_core::cluster::{
    GroupName, HeardOf, Missed, MovedGroup, MovedSession, NodeId, Position, Target,
};

use super::lacking::Lacking;
use crate::app::server::Server;
use crate::cluster::node::HeardIn;
use crate::cluster::speaker::{NameSpace, target_of};
use crate::membership::Kind;
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::DropReason;

/// Whoever has listened to a group for so long when a session has left it elsewhere lacks nothing that the
/// session could have heard there: what is not here yet will come.
const LISTENED_BEFORE: Duration = Duration::from_secs(5);

/// How long it may take until a session's groups are listened for: its client waits meanwhile, which is
/// better than to lack something.
const LISTENED_WITHIN: Duration = Duration::from_secs(10);

/// What is known of a group as the session enters it.
struct Entered {
    target: Target,
    /// For how long the session had listened to it when it has left it.
    age: Duration,
    /// What is to be done about each server that speaks to it.
    plans: Vec<(NodeId, Plan)>,
    /// How far it has heard its log, if it has one.
    log: Option<HeardLog>,
}

/// How far a session has heard a log, if it has heard of it.
struct HeardLog(Option<Position>);

/// What to do about a server that speaks to a group.
enum Plan {
    /// What it has said from behind this place up to that one is lacking. Without a place to begin, it is
    /// what was said since the session was asked for.
    Fetch { after: Option<Position>, up_to: Position },
    /// Where it is by now is not known here. What is told of it is held until what is lacking is here.
    Block { after: Option<Position> },
}

/// How far a session has heard servers in a group elsewhere, and how far they were heard here.
struct Compared<'a> {
    target: Target,
    elsewhere: &'a HeardOf,
    here: &'a HeardIn,
    /// How far this server has spoken to the group itself.
    own: Option<Position>,
    /// When the session has left it elsewhere.
    left_at: Instant,
}

impl Compared<'_> {
    /// How far a server was heard there and here.
    fn of(&self, origin: NodeId) -> (Option<Position>, Option<Position>) {
        let find = |all: &[Position]| all.iter().find(|it| it.origin == origin).copied();
        let own = self.own.filter(|own| own.origin == origin);
        (find(&self.elsewhere.positions), own.or_else(|| find(&self.here.positions)))
    }

    /// Whether all is heard here that was said since the session has left, or a while before.
    fn is_listened_to(&self) -> bool {
        let listened = |since| self.left_at.saturating_duration_since(Instant::from_std(since));
        self.here.since.is_some_and(|since| listened(since) >= LISTENED_BEFORE)
    }

    /// The servers of which anything is known.
    fn origins(&self) -> BTreeSet<NodeId> {
        let known = self.elsewhere.positions.iter().chain(&self.here.positions).chain(&self.own);
        known.map(|it| it.origin).collect()
    }
}

impl Server {
    /// Enters the groups of a session that has come, and puts what it has brought and what it lacks in
    /// front of what is said from then on.
    pub(super) async fn catch_up(
        &self,
        connection: &Arc<ConnectionShared>,
        session: &MovedSession,
        left_at: Instant,
    ) {
        let groups: Vec<_> = session.groups.iter().map(|group| named(&group.name)).collect();
        self.listen_for_all(connection, &groups).await;
        let entered = self.enter_groups(connection, session, groups, left_at).await;
        let mut frames = Vec::new();
        for Entered { target, age, plans, log } in entered {
            let since = left_at.checked_sub(age).unwrap_or(left_at);
            if let Some(HeardLog(after)) = log {
                self.catch_up_log(connection, target, (after, since), &mut frames).await;
            }
            for (origin, plan) in plans {
                let lacking = Lacking::new(self, connection, target, origin, since);
                self.carry_out(lacking, plan, &mut frames).await;
            }
        }
        let queue = session.queue.clone();
        let dropped = connection.mailbox.put_moved(queue, frames, self.queued_bytes());
        connection.count_dropped(dropped, DropReason::Evicted);
    }

    /// What is said before its groups are listened for here can be asked for afterwards; what is said while
    /// that is on its way would be lacking, and nobody would know.
    async fn listen_for_all(
        &self,
        connection: &Arc<ConnectionShared>,
        groups: &[(NameSpace, Arc<str>)],
    ) {
        let Some(attachment) = self.attachment() else { return };
        let node = attachment.node();
        if node.living().is_empty() || node.speaker().listen_ahead(groups, LISTENED_WITHIN).await {
            return;
        }
        for other in node.living() {
            self.tell_gap_of(connection, other, Missed::Unknown);
        }
    }

    async fn enter_groups(
        &self,
        connection: &Arc<ConnectionShared>,
        session: &MovedSession,
        groups: Vec<(NameSpace, Arc<str>)>,
        left_at: Instant,
    ) -> Vec<Entered> {
        let Some(attachment) = self.attachment() else { return Vec::new() };
        let mut targets: Vec<_> =
            groups.iter().map(|(space, name)| target_of(*space, name)).collect();
        targets.push(Target::Everybody);
        let heard = session.groups.iter().map(|MovedGroup { heard, .. }| heard.clone());
        let elsewhere: Vec<_> = heard.chain([session.everybody.clone()]).collect();
        let (done, entered) = oneshot::channel();
        let (server, connection, known) = (self.clone(), Arc::clone(connection), targets.clone());
        attachment.node().between(&targets, move |here| {
            let mut own: Vec<_> = groups
                .iter()
                .map(|(space, name)| server.join_moved(&connection, Kind::of(*space)?, name))
                .collect();
            own.push(server.hear_all(&connection));
            let all = known.iter().zip(&elsewhere).zip(here.iter().zip(own)).map(
                |((target, elsewhere), (here, own))| {
                    let compared = Compared { target: *target, elsewhere, here, own, left_at };
                    server.plan(&connection, &compared)
                },
            );
            // It is so whether somebody waits or not.
            let _ = done.send(all.collect());
        });
        entered.await.unwrap_or_default()
    }

    /// From now on a connection hears what is said to all; tells how far this server has spoken to all.
    fn hear_all(&self, connection: &Arc<ConnectionShared>) -> Option<Position> {
        let _one_order = self.everybody().lock();
        self.overlaps().end(connection);
        self.speaker().and_then(|speaker| speaker.position(Target::Everybody))
    }

    /// What is to be done, at a moment in which nothing is heard.
    fn plan(&self, connection: &Arc<ConnectionShared>, compared: &Compared<'_>) -> Entered {
        let Compared { target, elsewhere, .. } = *compared;
        let this = self.speaker().map(|speaker| speaker.node());
        let mut origins = compared.origins();
        // Of what one says that was never heard before, something may be on its way.
        origins.extend(self.attachment().into_iter().flat_map(|it| it.node().living()));
        origins.remove(&NodeId::LOG);
        let is_logged = self.find_group(target).is_some_and(|group| self.is_logged(group.name()));
        let log = is_logged.then(|| {
            let heard = elsewhere.positions.iter().find(|it| it.origin == NodeId::LOG).copied();
            self.overlaps().block(connection, (target, NodeId::LOG), heard);
            HeardLog(heard)
        });
        let plan = |origin| match compared.of(origin) {
            (Some(before), Some(now)) if before.is_behind(&now) => {
                // A stream that is forgotten was heard to its end.
                let begins = Position { number: 0, ..now };
                let after = if before.stream == now.stream { before } else { begins };
                Some(Plan::Fetch { after: Some(after), up_to: now })
            }
            // What it has said itself is not still to come here; or it has forgotten it.
            (Some(_), Some(_)) | (_, None) if Some(origin) == this => None,
            // Nothing more comes of it, but for what may be on its way to here.
            (before, _) if elsewhere.ended.contains(&origin) => {
                if let Some(before) = before {
                    self.overlaps().note_ended(connection, target, before);
                }
                None
            }
            (Some(before), Some(_)) => {
                self.overlaps().note(connection, target, before);
                None
            }
            (None, Some(now)) => Some(Plan::Fetch { after: None, up_to: now }),
            // It has said nothing since then, or nothing that has come yet.
            (before, None) if compared.is_listened_to() => {
                if let Some(before) = before {
                    self.overlaps().note(connection, target, before);
                }
                None
            }
            (after, None) => {
                self.overlaps().block(connection, (target, origin), after);
                Some(Plan::Block { after })
            }
        };
        let known = origins.clone();
        let plans = origins.into_iter().filter_map(|origin| Some((origin, plan(origin)?)));
        let age = Duration::from_millis(elsewhere.age_ms.into());
        let since = compared.left_at.checked_sub(age).unwrap_or(compared.left_at);
        self.overlaps().note_listening(connection, target, since);
        if !compared.is_listened_to() {
            self.overlaps().note_newcomer(connection, (target, since), known);
        }
        Entered { target, age, plans: plans.collect(), log }
    }

    /// A server is there that was not known. Who has come lately may lack what it has said before it was
    /// listened to here.
    pub(crate) fn catch_up_with(&self, node: NodeId) {
        for (connection, target, since) in self.overlaps().newcomers_to(node) {
            self.overlaps().block(&connection, (target, node), None);
            let server = self.clone();
            self.spawn(async move {
                let mut lacking = Lacking::new(&server, &connection, target, node, since);
                let mut frames = Vec::new();
                let reached = lacking.fetch(None, None, &mut frames).await;
                lacking.unblock(reached, frames).await;
            });
        }
    }

    async fn carry_out(
        &self,
        mut lacking: Lacking<'_>,
        plan: Plan,
        frames: &mut Vec<EncodedFrame>,
    ) {
        match plan {
            Plan::Fetch { after, up_to } => {
                lacking.fetch(after, Some(up_to), frames).await;
            }
            Plan::Block { after } => {
                let reached = lacking.fetch(after, None, frames).await;
                lacking.unblock(reached, Vec::new()).await;
            }
        }
    }
}

fn named(group: &GroupName) -> (NameSpace, Arc<str>) {
    match group {
        GroupName::Room(name) => (NameSpace::Rooms, Arc::from(&**name)),
        GroupName::User(name) => (NameSpace::Users, Arc::from(&**name)),
    }
}
