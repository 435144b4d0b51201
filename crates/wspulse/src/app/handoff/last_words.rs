//! What a server that ends has said since a session that it keeps has left its groups: when the
//! session's client comes, there is nobody left to ask.

use tokio::time::{Duration, Instant};
use wspulse_core::EncodedFrame;
use wspulse_core::cluster::{
    ASK_WITHIN, Answer, Ask, GroupName, HeardOf, MovedGroup, MovedSession, Position, Target,
};

use crate::app::server::Server;
use crate::cluster::speaker::{NameSpace, Speaker, target_of};
use crate::settings::codecs::CodecId;

/// A session that is told what this server has said.
struct Listener<'a> {
    server: &'a Server,
    speaker: &'a Speaker,
    codec: CodecId,
    /// The groups that it was in.
    targets: &'a [Target],
    left_at: Instant,
}

/// It is not to be had any more: its ring has no place for it, or no codec for its listener.
struct Lost;

impl Server {
    /// Adds to a session on the shelf what this server has said since, and notes that nothing more comes
    /// of it. What is not to be had any more is told as lost where the session goes on.
    pub(super) fn tell_last_words(&self, ticket: u64) {
        let Some(speaker) = self.speaker() else { return };
        let Some((mut session, left_at)) = self.shelf().peek(ticket) else { return };
        let Some(codec) = self.codec_named(&session.codec) else { return };
        let MovedSession { groups, everybody, queue, .. } = &mut session;
        let targets: Vec<_> = groups.iter().map(|group| target_of_name(&group.name)).collect();
        let listener = Listener { server: self, speaker, codec, targets: &targets, left_at };
        for (target, MovedGroup { heard, .. }) in targets.iter().zip(groups) {
            listener.hear(*target, heard, &mut queue.frames);
        }
        listener.hear(Target::Everybody, everybody, &mut queue.frames);
        self.shelf().replace(ticket, &session);
    }
}

impl Listener<'_> {
    fn hear(&self, target: Target, heard: &mut HeardOf, frames: &mut Vec<EncodedFrame>) {
        let this = self.speaker.node();
        let since = self.left_at.checked_sub(Duration::from_millis(heard.age_ms.into()));
        let since = since.unwrap_or(self.left_at);
        let place = heard.positions.iter().position(|it| it.origin == this);
        let mut reached = place.map(|place| heard.positions[place]);
        if let (Some(before), Some(now)) = (&mut reached, self.speaker.position(target))
            && before.stream != now.stream
        {
            // A stream that is forgotten was heard to its end.
            *before = Position { number: 0, ..now };
        }
        let is_whole = self.hear_from(target, &mut reached, since, frames).is_ok();
        match (place, reached) {
            (Some(place), Some(reached)) => heard.positions[place] = reached,
            (None, Some(reached)) => heard.positions.push(reached),
            (_, None) => {}
        }
        if is_whole {
            heard.ended.push(this);
        }
    }

    fn hear_from(
        &self,
        target: Target,
        reached: &mut Option<Position>,
        since: Instant,
        frames: &mut Vec<EncodedFrame>,
    ) -> Result<(), Lost> {
        loop {
            let ask = if let Some(Position { stream, number, .. }) = *reached {
                Ask::From { target, stream, first: number + 1 }
            } else {
                let age = (since.elapsed() + ASK_WITHIN).as_millis();
                Ask::Since { target, age_ms: u32::try_from(age).unwrap_or(u32::MAX) }
            };
            // Without a stream, nothing was said for long.
            let Answer::Frames { stream, first, newest, is_truncated, codec, said } =
                self.speaker.answer(&ask)
            else {
                return Ok(());
            };
            let expected = reached.map_or(first, |it| it.number + 1);
            if first != expected || is_truncated {
                return Err(Lost);
            }
            let (is_empty, origin) = (said.is_empty(), self.speaker.node());
            for (number, said) in (first..).zip(said) {
                let is_in = |other| self.targets.contains(&other);
                let frame = self.server.frame_as(self.codec, is_in, target, &codec, said);
                frames.extend(frame.map_err(|_| Lost)?);
                *reached = Some(Position { origin, stream, number });
            }
            if is_empty || reached.is_none_or(|it| it.number >= newest) {
                return Ok(());
            }
        }
    }
}

fn target_of_name(name: &GroupName) -> Target {
    match name {
        GroupName::Room(name) => target_of(NameSpace::Rooms, name),
        GroupName::User(name) => target_of(NameSpace::Users, name),
    }
}
