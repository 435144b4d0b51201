//! What other servers tell of their people, and what becomes of those whose server tells nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use wspulse_core::Escaped;
use wspulse_core::clock::after;
use wspulse_core::cluster::{NodeId, NodeState, Output, PeopleChanges, Said, Target};

use super::read;
use crate::app::server::Server;
use crate::cluster::node::now;
use crate::cluster::speaker::{NameSpace, target_of};
use crate::membership::presence::elsewhere::At;
use crate::membership::{Group, Kind};

impl Server {
    /// Takes what others say of who is in a room; all else is returned.
    pub(in crate::app::cluster) fn hear_people(&self, output: Output) -> Option<Output> {
        if !self.outfit().has_rule() {
            return Some(output);
        }
        match output {
            Output::Said { origin, target, stream, first, codec, said } => {
                let Some(room) = self.room_of_presence(target) else {
                    return Some(Output::Said { origin, target, stream, first, codec, said });
                };
                for (number, said) in (first..).zip(said) {
                    self.hear_changes(&room, origin, At { stream, number }, &said);
                }
            }
            Output::Gap { origin, target, missed } => {
                let Some(room) = self.room_of_presence(target) else {
                    return Some(Output::Gap { origin, target, missed });
                };
                // Nobody has missed anything: it is asked who is there.
                if let Some(group) = self.group(Kind::Room, &room) {
                    group.note_presence_gap(origin);
                }
            }
            Output::Present(node) => {
                self.meet(node);
                return Some(output);
            }
            Output::Silent(node) => {
                self.silence(node);
                return Some(output);
            }
            Output::Gone(_) => return Some(output),
        }
        self.fold_presence();
        None
    }

    fn room_of_presence(&self, target: Target) -> Option<Arc<str>> {
        match self.speaker()?.name_of(target)? {
            (NameSpace::Presence, room) => Some(room),
            (NameSpace::Rooms | NameSpace::Users, _) => None,
        }
    }

    fn hear_changes(&self, room: &str, origin: NodeId, at: At, said: &Said) {
        let Some(group) = self.group(Kind::Room, room) else { return };
        let Some(attachment) = self.attachment() else { return };
        let payload = Bytes::copy_from_slice(said.frame.payload());
        match attachment.node().read(PeopleChanges::decode(payload)) {
            Some(PeopleChanges(listed)) => {
                group.hear_presence(origin, at, listed.into_iter().filter_map(read).collect());
            }
            None => group.note_presence_gap(origin),
        }
    }

    fn meet(&self, node: NodeId) {
        let Some(attachment) = self.attachment() else { return };
        let known =
            attachment.node().with_inbox(|inbox| inbox.nodes().map(|(id, ..)| id).collect());
        // Of one that was lost nothing is kept.
        let is_new = attachment.learning.meet(node, &known);
        for group in self.rooms_with_extras() {
            let target = target_of(NameSpace::Presence, group.name());
            let is_heard_from_start =
                is_new && attachment.node().with_inbox(|it| it.is_heard_from_start(node, target));
            group.meet_in_presence(node, is_heard_from_start);
        }
        self.fold_presence();
    }

    /// Whoever is at a server that is silent is away; gone if the server has said that it ends.
    fn silence(&self, node: NodeId) {
        let Some(attachment) = self.attachment() else { return };
        let has_left = attachment.node().with_inbox(|inbox| {
            inbox.nodes().any(|(id, state, ..)| id == node && state == NodeState::Leaving)
        });
        if has_left {
            return self.lose(node);
        }
        attachment.learning.silence(node, after(now(), self.options().resume_window));
        for group in self.rooms_with_extras() {
            group.silence_in_presence(node);
        }
        attachment.node().speaker().attention().tell();
        self.fold_presence();
    }

    fn lose(&self, node: NodeId) {
        for group in self.rooms_with_extras() {
            group.lose_in_presence(node);
        }
        self.fold_presence();
    }

    fn rooms_with_extras(&self) -> Vec<Arc<Group>> {
        self.registry().groups().occupied(Kind::Room)
    }

    /// Does what is due about people of other servers, and tells when something will be.
    pub(in crate::app::cluster) fn look_after_people(&self) -> Option<Instant> {
        let attachment = self.attachment()?;
        while let Some(lost) = attachment.learning.take_lost(now()) {
            self.lose(lost);
        }
        let attention = attachment.node().speaker().attention();
        while let Some(room) = attention.take_due(now()) {
            if let Some(group) = self.group(Kind::Room, &room) {
                self.look_after_room(&group);
            }
        }
        self.fold_presence();
        [attachment.learning.next_at(), attention.next_at()].into_iter().flatten().min()
    }

    fn look_after_room(&self, group: &Arc<Group>) {
        let (Some(attachment), Some(refused)) = (self.attachment(), group.look_after_presence())
        else {
            return;
        };
        let node = attachment.node();
        if refused > 0 {
            node.counts().people_refused.fetch_add(refused, Ordering::Relaxed);
            if let Some(not_logged) = self.presence_failures().lock().due() {
                let room = Escaped::new(group.name());
                let room = room.as_str();
                tracing::warn!(
                    room,
                    refused,
                    not_logged,
                    "another server has too many people there"
                );
            }
        }
        let target = target_of(NameSpace::Presence, group.name());
        // Before that, changes would be lost.
        if node.with_inbox(|inbox| inbox.listens_since(target)).is_none() {
            return;
        }
        for other in node.living() {
            if group.begin_asking(other) {
                self.learn_people(Arc::clone(group.name()), other);
            }
        }
    }
}
