//! The server that a session is at, when its client has come to another one.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout};
use wspulse_core::cluster::{
    GroupName, HeardOf, MovedGroup, MovedSession, NodeId, NotGiven, Position, SessionReply,
    SessionRequest, Target,
};
use wspulse_core::protocol::ResumeOffer;
use wspulse_core::{Disconnect, Escaped};

use super::bringing::Wanted;
use super::inheriting::Bequest;
use super::shelf::{Asking, Forgotten, millis};
use crate::app::server::Server;
use crate::cluster::Reply;
use crate::cluster::node::HeardIn;
use crate::cluster::speaker::target_of;
use crate::membership::mailbox::{End, Leave, LeaveReason, Left};
use crate::membership::registry::EndRule;
use crate::membership::shared::ConnectionShared;
use crate::membership::{Group, Kind};
use crate::observe::metrics::{DropReason, FrameDropped};
use crate::settings::options::RoomChange;
use crate::settings::token::{Token, TokenKey};

/// How long a callback may go on before its session is not given, for now.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// How much of a session is told at a time.
const PART_BYTES_MAX: usize = 512 * 1024;

/// Who waits for a session to be ready. It stays once this is dropped, and need not hear of anything else
/// for that.
struct Waiting<'a> {
    session: &'a ConnectionShared,
    ticket: oneshot::Receiver<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.ticket.close();
        self.session.mailbox.call_off_leaving();
    }
}

impl Server {
    /// Another server asks about a session.
    ///
    /// Without a `place` as many are being answered as may be, and it is asked again.
    pub(crate) fn serve_session(
        &self,
        request: SessionRequest,
        reply: Reply,
        place: Option<OwnedSemaphorePermit>,
    ) {
        match request {
            SessionRequest::Take { token, id, room, user, codec } => {
                let offer = ResumeOffer { count: 0, token: token.to_string() };
                if self.find_offered(&offer, id.as_deref()).is_none() {
                    let wanted = Wanted::of((&token, id.as_ref(), &room, user.as_ref(), &codec));
                    reply.send(self.take_reply(self.find_kept(&wanted)).encode());
                    return;
                }
                let server = self.clone();
                // A callback may go on.
                self.serve_in(place, NotGiven::Busy, reply, async move {
                    let wanted = Wanted::of((&token, id.as_ref(), &room, user.as_ref(), &codec));
                    server.take_reply(server.give(&wanted).await)
                });
            }
            SessionRequest::Part { ticket, from } => {
                reply.send(self.session_part(ticket, from as usize).encode());
            }
            SessionRequest::Commit { ticket, node } => {
                reply.send(self.shelf().commit(ticket, node).encode());
            }
            SessionRequest::Claim(claim) => reply.send(self.answer_claim(&claim).encode()),
            SessionRequest::Release(claim) => {
                let server = self.clone();
                self.serve_in(
                    place,
                    NotGiven::Busy,
                    reply,
                    async move { server.release(&claim).await },
                );
            }
            SessionRequest::Twice(twice) => {
                let server = self.clone();
                self.serve_in(place, NotGiven::Busy, reply, async move {
                    server.answer_twice(twice).await
                });
            }
            SessionRequest::Inherit { ticket, from, away_ms, left_ms, bytes, part } => {
                let [away, left] = [away_ms, left_ms].map(|ms| Duration::from_millis(ms.into()));
                let bytes = bytes as usize;
                let bequest = Bequest { ticket, from, away, left, bytes, part };
                let server = self.clone();
                self.serve_in(place, NotGiven::Full, reply, async move {
                    server.inherit(bequest).await
                });
            }
        }
    }

    /// Replies on a task of its own, if there is a place for it.
    fn serve_in(
        &self,
        place: Option<OwnedSemaphorePermit>,
        without_place: NotGiven,
        reply: Reply,
        answer: impl Future<Output = SessionReply> + Send + 'static,
    ) {
        let Some(place) = place else {
            reply.send(SessionReply::NotGiven(without_place).encode());
            return;
        };
        self.spawn(async move {
            let _place = place;
            reply.send(answer.await.encode());
        });
    }

    pub(super) fn take_reply(&self, given: Result<u64, NotGiven>) -> SessionReply {
        match given {
            Ok(ticket) => self.session_part(ticket, 0),
            Err(why) => SessionReply::NotGiven(why),
        }
    }

    pub(super) fn session_part(&self, ticket: u64, from: usize) -> SessionReply {
        self.shelf().part(ticket, from, self.session_part_bytes_max())
    }

    /// How many bytes of a session go into one message.
    pub(super) fn session_part_bytes_max(&self) -> usize {
        let message_bytes_max = self.speaker().map_or(0, |speaker| speaker.frame_bytes_max());
        PART_BYTES_MAX.min(message_bytes_max)
    }

    /// Gets a session ready to go: the ticket by which it is found from now on.
    pub(crate) async fn give(&self, wanted: &Wanted<'_>) -> Result<u64, NotGiven> {
        let Wanted { token, id, room, user, codec } = *wanted;
        let offer = ResumeOffer { count: 0, token: token.to_owned() };
        let Some((session, _, token_of)) = self.find_offered(&offer, id) else {
            return self.find_kept(wanted);
        };
        let token = match token_of {
            Token::Worthless => return Err(NotGiven::Outdated),
            Token::Valid(number) => number,
        };
        if session.user_id() != user {
            return Err(NotGiven::OtherUser);
        }
        if self.codecs().of(session.mailbox.codec()).name().unwrap_or_default() != codec {
            return Err(NotGiven::Unknown);
        }
        if session.room() != room && !self.changes_rooms() {
            return Err(NotGiven::OtherRoom);
        }
        let ready = self.get_ready(&session, LeaveReason::ClientIsElsewhere { token }).await;
        ready.ok_or(NotGiven::Busy)
    }

    /// The ticket of a session that is kept here, or where it has gone.
    fn find_kept(&self, wanted: &Wanted<'_>) -> Result<u64, NotGiven> {
        let Wanted { token, id, room, user, codec } = *wanted;
        let carried = TokenKey::id_of(token);
        let id = id.or(carried.as_deref()).ok_or(NotGiven::Unknown)?;
        let changes_rooms = self.changes_rooms();
        self.shelf().find(&Asking { id, token, room, user, codec, changes_rooms })
    }

    fn changes_rooms(&self) -> bool {
        match self.options().returns.room_changes {
            RoomChange::Keep => true,
            RoomChange::Replace | RoomChange::Refuse => false,
        }
    }

    /// Has a session that is here leave for the shelf, unless something is in the way.
    pub(super) async fn get_ready(
        &self,
        session: &ConnectionShared,
        reason: LeaveReason,
    ) -> Option<u64> {
        self.get_ready_within(session, reason, READY_WITHIN).await
    }

    pub(super) async fn get_ready_within(
        &self,
        session: &ConnectionShared,
        reason: LeaveReason,
        within: Duration,
    ) -> Option<u64> {
        let (given, ticket) = oneshot::channel();
        if !self.registry().begin_leaving(session, Leave { given, reason }) {
            return None;
        }
        let mut waiting = Waiting { session, ticket };
        timeout(within, &mut waiting.ticket).await.ok().and_then(Result::ok)
    }

    /// A session is ready to go: takes its connection out of its groups and ends it, at a moment in which
    /// it is known how far it has heard each server.
    pub(crate) fn leave_for_good(&self, connection: &Arc<ConnectionShared>) {
        let Some(attachment) = self.attachment() else { return };
        let groups = connection.rooms().into_iter().chain(connection.user.clone());
        let targets: Vec<_> = groups.map(|group| target_of_group(&group)).collect();
        let mut asked = targets.clone();
        asked.push(Target::Everybody);
        let (server, connection) = (self.clone(), Arc::clone(connection));
        attachment.node().between(&asked, move |heard| {
            server.leave_now(&connection, &targets, heard);
        });
    }

    fn leave_now(
        &self,
        connection: &Arc<ConnectionShared>,
        targets: &[Target],
        mut heard: Vec<HeardIn>,
    ) {
        // It may be ahead of what was told here.
        let ahead = self.overlaps().take(connection);
        let listening = self.overlaps().take_listening(connection);
        let age_in = |target| {
            let since = listening.iter().find(|(of, _)| *of == target);
            since.map(|(_, since)| since.elapsed())
        };
        for (target, heard) in targets.iter().chain([&Target::Everybody]).zip(&mut heard) {
            for it in ahead.iter().filter(|it| it.target == *target) {
                if it.is_behind {
                    heard.positions.retain(|position| position.origin != it.origin);
                }
                it.heard.into_iter().for_each(|position| advance(&mut heard.positions, position));
                if it.has_ended && !heard.ended.contains(&it.origin) {
                    heard.ended.push(it.origin);
                }
            }
        }
        let age = connection.age();
        let everybody = heard.pop().unwrap_or_default();
        let mut everybody = heard_of(everybody, age, age_in(Target::Everybody));
        let left = self.registry().groups().leave_all_noting(connection, self.metrics());
        let groups = left.into_iter().map(|(group, own)| {
            let target = target_of_group(&group);
            let place = targets.iter().position(|it| *it == target);
            let others = place.map(|place| std::mem::take(&mut heard[place]));
            let mut heard = heard_of(others.unwrap_or_default(), age, age_in(target));
            if !group.hears_log() {
                heard.positions.retain(|it| it.origin != NodeId::LOG);
            }
            note_own(&mut heard, own);
            MovedGroup { name: name_of(&group), heard }
        });
        let groups = groups.collect();
        {
            // What is said to all reaches it until it has ended.
            let _one_order = self.everybody().lock();
            let own = self.speaker().and_then(|speaker| speaker.position(Target::Everybody));
            note_own(&mut everybody, own);
            connection.mailbox.tell_left(Left { groups, everybody });
            // Somebody else may have ended it.
            let end = End { disconnect: Disconnect::Moved, deadline: Instant::now() };
            self.shelf().expect(&connection.id);
            let ended = self.registry().end(connection, end, EndRule::Always, self.metrics());
            if ended.is_err() {
                self.shelf().expect_no_more(&connection.id);
            }
        }
        self.leave_all(connection);
    }

    /// Keeps a session until then for whoever comes for it.
    pub(crate) fn keep_moved(
        &self,
        connection: &ConnectionShared,
        session: MovedSession,
        until: Instant,
    ) -> u64 {
        let ConnectionShared { id, home, user, mailbox, .. } = connection;
        let name = |group: &Arc<Group>| ByteString::from(&**group.name());
        let codec = self.codecs().of(mailbox.codec()).name().unwrap_or_default();
        let proof = mailbox.proof().map(|proof| self.token_key().moved(id, proof));
        let session = MovedSession {
            id: (&**id).into(),
            codec: codec.into(),
            home: home.as_ref().map(name),
            user: user.as_ref().map(name),
            proof: proof.unwrap_or_default(),
            age_ms: millis(connection.age_anywhere()),
            ..session
        };
        self.shelf().keep(&session, Instant::now(), until)
    }

    pub(crate) fn forgotten_at(&self) -> Instant {
        Instant::now() + self.options().resume_window
    }

    /// Forgets sessions that nobody has come for.
    pub(crate) fn sweep_shelf(&self) {
        self.tell_forgotten(self.shelf().sweep());
    }

    pub(super) fn tell_forgotten(&self, forgotten: Vec<Forgotten>) {
        for Forgotten { id, home, waiting } in forgotten {
            tracing::debug!(
                id = Escaped::new(&id).as_str(),
                frames = waiting,
                "a session was on its way to another server, and nobody has come for it"
            );
            let dropped = FrameDropped { room: &home, id: &id, reason: DropReason::Ended };
            for _ in 0..waiting {
                self.metrics().record(|hooks| hooks.frame_dropped(&dropped));
            }
        }
    }
}

/// How far a connection of this age has heard the servers in a group. If it has come from another one, it
/// may have listened for longer than it is here.
fn heard_of(heard: HeardIn, age: Duration, elsewhere: Option<Duration>) -> HeardOf {
    let HeardIn { positions, since, ended } = heard;
    let listening = since.map(|since| Instant::from_std(since).elapsed());
    let here = listening.unwrap_or_default().min(age);
    let age = elsewhere.unwrap_or_default().max(here).as_millis();
    HeardOf { positions, age_ms: u32::try_from(age).unwrap_or(u32::MAX), ended }
}

/// It has heard all that this server has said. It may have come from elsewhere knowing less of it.
fn note_own(heard: &mut HeardOf, own: Option<Position>) {
    if let Some(own) = own {
        advance(&mut heard.positions, own);
    }
}

/// A server was heard so far, at the least.
fn advance(positions: &mut Vec<Position>, to: Position) {
    match positions.iter_mut().find(|it| it.origin == to.origin) {
        Some(known) if known.is_behind(&to) => *known = to,
        Some(_) => {}
        None => positions.push(to),
    }
}

pub(super) fn target_of_group(group: &Group) -> Target {
    target_of(group.kind().space(), group.name())
}

fn name_of(group: &Group) -> GroupName {
    let name = ByteString::from(&**group.name());
    match group.kind() {
        Kind::Room => GroupName::Room(name),
        Kind::User => GroupName::User(name),
    }
}
