//! Fetching what a session lacks from the server that has said it.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use wspulse_core::EncodedFrame;
use wspulse_core::cluster::{
    ASK_WITHIN, Answer, Ask, LogPosition, Missed, NodeId, Position, Said, Target,
};

use super::overlaps::{Held, HeldFrame};
use crate::app::server::Server;
use crate::cluster::RequestFailed;
use crate::membership::shared::ConnectionShared;

/// How often a server is asked that does not answer, and is not taken for dead: the client waits
/// meanwhile, which is better than to lack something.
const ASKS_MAX: usize = 20;

/// How long after it did not.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What a session lacks of what one server says to one group.
pub(super) struct Lacking<'a> {
    server: &'a Server,
    connection: &'a Arc<ConnectionShared>,
    target: Target,
    origin: NodeId,
    /// Since when what was said may be lacking, where nothing of the server was heard before.
    since: Instant,
    /// It is taken for dead, and what is lacking of it was told as lost.
    has_ended: bool,
}

impl<'a> Lacking<'a> {
    pub(super) const fn new(
        server: &'a Server,
        connection: &'a Arc<ConnectionShared>,
        target: Target,
        origin: NodeId,
        since: Instant,
    ) -> Self {
        Self { server, connection, target, origin, since, has_ended: false }
    }

    /// Fetches what was said behind `after`, or lately, up to `up_to`, or to the newest there is. Tells
    /// how far that is.
    pub(super) async fn fetch(
        &mut self,
        mut after: Option<Position>,
        up_to: Option<Position>,
        frames: &mut Vec<EncodedFrame>,
    ) -> Option<Position> {
        loop {
            let Some(answer) = self.ask(after).await else {
                self.tell_unanswered(after, up_to);
                return after;
            };
            let Answer::Frames { stream, first, newest, codec, said, .. } = answer else {
                // It has forgotten the stream, and nothing was said in it for long.
                return after;
            };
            let last = up_to.filter(|it| it.stream == stream).map_or(newest, |it| it.number);
            let expected = after.filter(|it| it.stream == stream).map(|it| it.number + 1);
            if let Some(missed) = expected.and_then(|it| first.checked_sub(it)).filter(|it| *it > 0)
            {
                self.tell(Missed::Frames(missed));
            }
            let is_empty = said.is_empty();
            let mut number = first.saturating_sub(1);
            for said in said {
                number += 1;
                if number <= last && expected.is_none_or(|expected| number >= expected) {
                    self.add(&codec, said, frames);
                }
            }
            after = Some(Position { origin: self.origin, stream, number });
            if is_empty || number >= last {
                return after;
            }
        }
    }

    async fn ask(&self, after: Option<Position>) -> Option<Answer> {
        let target = self.target;
        let ask = || {
            if let Some(Position { stream, number, .. }) = after {
                return Ask::From { target, stream, first: number + 1 };
            }
            // Who is asked counts from when it hears of it.
            let age = (self.since.elapsed() + ASK_WITHIN).as_millis();
            Ask::Since { target, age_ms: u32::try_from(age).unwrap_or(u32::MAX) }
        };
        let node = self.server.attachment()?.node();
        if self.origin == NodeId::LOG {
            return self.ask_log(after).await;
        }
        if self.origin == node.speaker().node() {
            return Some(node.speaker().answer(&ask()));
        }
        for _ in 0..ASKS_MAX {
            let asked = node.ask_for(self.origin, &ask()).await;
            if let Ok(Some(answer)) = asked {
                return Some(answer);
            }
            let is_gone = matches!(asked, Err(RequestFailed::NoNode { .. }));
            if node.is_lost(self.origin) && (is_gone || !node.has_left(self.origin)) {
                break;
            }
            sleep(ASK_AGAIN).await;
        }
        None
    }

    async fn ask_log(&self, after: Option<Position>) -> Option<Answer> {
        let node = self.server.attachment()?.node();
        let after = after.map(|it| LogPosition { epoch: it.stream, number: it.number });
        for _ in 0..ASKS_MAX {
            let answer = node.ask_log_for(self.target, after, self.since.elapsed()).await;
            if answer.is_some() {
                return answer;
            }
            sleep(ASK_AGAIN).await;
        }
        None
    }

    /// Has it told again what the server says, behind what is here by now: first these frames, then those
    /// that were told to others meanwhile. None of them if it has gone on.
    pub(super) async fn unblock(&self, reached: Option<Position>, fetched: Vec<EncodedFrame>) {
        let Some(attachment) = self.server.attachment() else { return };
        let (server, connection) = (self.server.clone(), Arc::clone(self.connection));
        let (target, origin, has_ended) = (self.target, self.origin, self.has_ended);
        let (done, unblocked) = oneshot::channel();
        // It is at a place in the order of what is told, whether somebody waits or not.
        attachment.node().between(&[], move |_| {
            let overlaps = server.overlaps();
            let held = overlaps.unblock(&connection, (target, origin), reached, has_ended);
            if let Some(Held { frames, missed }) = held {
                for frame in fetched {
                    server.push_lacking(&connection, frame);
                }
                for HeldFrame { codec, said, .. } in frames {
                    match server.frame_for(&connection, target, &codec, said) {
                        Ok(Some(frame)) => server.push_lacking(&connection, frame),
                        Ok(None) => {}
                        Err(_) => server.tell_gap_of(&connection, origin, Missed::Frames(1)),
                    }
                }
                if missed > 0 {
                    server.tell_gap_of(&connection, origin, Missed::Frames(missed));
                }
            }
            let _ = done.send(());
        });
        let _ = unblocked.await;
    }

    /// What the session's client gets of a frame.
    fn add(&self, codec: &ByteString, said: Said, frames: &mut Vec<EncodedFrame>) {
        match self.server.frame_for(self.connection, self.target, codec, said) {
            Ok(frame) => frames.extend(frame),
            Err(_) => self.tell(Missed::Frames(1)),
        }
    }

    fn tell_unanswered(&mut self, after: Option<Position>, up_to: Option<Position>) {
        let Some(attachment) = self.server.attachment() else { return };
        let node = attachment.node();
        self.has_ended = node.is_lost(self.origin);
        // Whoever is silent has said nothing for a while; what was heard of it may be older than that.
        let may_lack = up_to.is_some() && node.was_heard_since(self.origin, self.since);
        if after.is_none() && self.has_ended && !may_lack {
            return;
        }
        let lacking =
            after.zip(up_to).map(|(after, up_to)| up_to.number.saturating_sub(after.number));
        self.tell(lacking.map_or(Missed::Unknown, Missed::Frames));
    }

    pub(super) fn tell_unknown(&self) {
        self.tell(Missed::Unknown);
    }

    fn tell(&self, missed: Missed) {
        self.server.tell_gap_of(self.connection, self.origin, missed);
    }
}
