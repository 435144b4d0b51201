//! Which members of a large room follow its log, and telling those and the others.

use std::sync::Arc;

use wspulse_core::EncodedFrame;

use super::addressing::is_same;
use super::addressing::{Addressed, Terms};
use super::group::{Group, Inner, Pushed};
use super::log::{Log, NotAppended, Offset};
use super::shared::ConnectionShared;
use super::turn_writes::TurnWrites;
use crate::ground::runtimes::Home;
use crate::membership::mailbox::Notice;

/// A group's followers, under its lock.
pub(super) struct Followers {
    log: Arc<Log>,
    /// Who follows, by the places in the group's list. The log tells who has stopped since.
    follows: Vec<bool>,
    /// Where the log ended when the waves last began at the front of the list: by the time that they
    /// do so again, all followers have what was before.
    round: Offset,
}

impl Followers {
    /// For a group with so many members. `None` if its members cannot follow: what all queues
    /// together hold is counted frame by frame, and members of several codecs hear different frames.
    pub(super) fn new(of: &ConnectionShared, members: usize) -> Option<Self> {
        let server = &of.server;
        if server.queued_bytes().is_some() || server.codecs().are_several() {
            return None;
        }
        let options = server.options();
        let queue = options.outbound_queue();
        let bytes_max = queue.capacity_bytes().min(options.write_bytes_max);
        let log = Arc::new(Log::new(queue.capacity_frames(), bytes_max));
        Some(Self { round: log.end(), log, follows: vec![false; members] })
    }

    pub(super) const fn log(&self) -> &Arc<Log> {
        &self.log
    }

    pub(super) fn join(&mut self) {
        self.follows.push(false);
    }

    /// The member at this place leaves, and the last one takes it.
    pub(super) fn leave(&mut self, place: usize, list: &[Arc<ConnectionShared>]) {
        // Places that the log has noted mean what they did until then.
        for member in list.get(place).into_iter().chain(list.last()) {
            member.mailbox.stop_following();
        }
        self.hear_of_stopped();
        self.follows.swap_remove(place);
    }

    /// These have nothing left to be written: they follow from now on, if they sleep.
    pub(super) fn add(&mut self, group: &Arc<Group>, members: &[Arc<ConnectionShared>]) {
        self.hear_of_stopped();
        for member in members {
            if let Some(place) = member.place_in(group)
                && let Some(follows) = self.follows.get_mut(place)
            {
                *follows = *follows || member.mailbox.follow(&self.log, place);
            }
        }
    }

    /// The waves have been at the front of the list again, and have written what is before `end`.
    pub(super) fn begin_round(&mut self, end: Offset) {
        self.log.forget_before(self.round);
        self.round = end;
    }

    /// All members have all.
    pub(super) fn rest(&mut self) {
        self.begin_round(self.log.end());
        self.log.forget_before(self.round);
    }

    fn hear_of_stopped(&mut self) {
        for place in self.log.take_stopped() {
            self.note_stopped(place);
        }
    }

    fn note_stopped(&mut self, place: u32) -> usize {
        let place = place as usize;
        if let Some(follows) = self.follows.get_mut(place) {
            *follows = false;
        }
        place
    }
}

impl Inner {
    /// Says a frame to the followers by the log and to the others one by one; `None`, and nobody has
    /// heard it, if there is no log, or if the frame is not for one.
    pub(super) fn say(&mut self, frame: &EncodedFrame, addressed: Addressed<'_>) -> Option<Pushed> {
        let Addressed { excluded, queueing, .. } = addressed;
        match queueing.terms {
            Terms::Plain => {}
            Terms::Marked(_) => return None,
        }
        let home = self.waves.home()?;
        let followers = self.followers.as_mut()?;
        if let Some(excluded) = excluded {
            excluded.mailbox.stop_following();
        }
        followers.hear_of_stopped();
        let mut telling = Telling { frame, addressed, home, pushed: Pushed::default() };
        let others = self.list.iter().zip(&followers.follows).filter(|(_, follows)| !**follows);
        others.for_each(|(member, _)| telling.tell(member));
        loop {
            match followers.log.append(frame) {
                Ok(heard) => {
                    telling.pushed.members += heard;
                    break;
                }
                Err(NotAppended::Stopped(places)) => {
                    for place in places {
                        let place = followers.note_stopped(place);
                        self.list.get(place).into_iter().for_each(|member| telling.tell(member));
                    }
                }
                Err(NotAppended::Full) => {
                    for (member, follows) in self.list.iter().zip(&mut followers.follows) {
                        if std::mem::take(follows) {
                            telling.tell(member);
                        }
                    }
                    followers.log.clear();
                    break;
                }
            }
        }
        Some(telling.pushed)
    }
}

/// A broadcast to those who do not follow.
struct Telling<'a> {
    frame: &'a EncodedFrame,
    addressed: Addressed<'a>,
    /// Where the waves are that look after most of them.
    home: Home,
    pushed: Pushed,
}

impl Telling<'_> {
    fn tell(&mut self, member: &Arc<ConnectionShared>) {
        let Addressed { excluded, queueing, .. } = self.addressed;
        if is_same(excluded, member) {
            return;
        }
        let home = member.mailbox.home();
        let notice = if self.home == home { Notice::Later } else { TurnWrites::notice_for(home) };
        let frame = self.frame.clone();
        if let Ok(offered) = member.mailbox.broadcast(frame, notice, queueing.queued_bytes) {
            self.pushed.count(member, offered, queueing.overflow);
        }
    }
}
