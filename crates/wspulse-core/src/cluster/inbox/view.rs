//! What an inbox tells of itself and of the other servers, without changing.

use std::time::Instant;

use super::{Inbox, Presence};
use crate::cluster::ids::{NodeId, Position, Target};
use crate::cluster::incoming::Lacks;
use crate::cluster::message::NodeState;

impl Inbox {
    /// The servers that are known: each with how it is, how many connections it has, and whether it is
    /// silent.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, NodeState, u32, bool)> {
        self.nodes.iter().map(|(id, it)| (*id, it.state, it.connections, it.is_silent))
    }

    /// The servers that may have connections: those that are known, but for those that have left, or
    /// have said nothing for [`InboxConfig::gone_after`](super::InboxConfig::gone_after).
    pub fn present(&self) -> impl Iterator<Item = NodeId> {
        let present =
            self.nodes.iter().filter(|(_, it)| !it.is_gone && it.state != NodeState::Leaving);
        present.map(|(id, _)| *id)
    }

    /// When something has come of a server last, if it is known.
    pub fn heard_at(&self, node: NodeId) -> Option<Instant> {
        self.nodes.get(&node).map(|node| node.heard_at)
    }

    /// The number of the newest beat of a server; 0 if none was heard.
    pub fn beats_of(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |node| node.newest_beat)
    }

    /// How far those who are in this group here have heard each server. What was
    /// [put out](Self::poll_output), or is about to be, counts as heard.
    pub fn positions(&self, target: Target) -> impl Iterator<Item = Position> {
        self.nodes.iter().filter_map(move |(origin, node)| {
            let (stream, number) = node.streams.get(&target)?.incoming.told()?;
            Some(Position { origin: *origin, stream, number })
        })
    }

    /// Whether this server has listened for these since before another one has begun, so that it has
    /// said nothing to them that was not heard.
    pub fn is_heard_from_start(&self, node: NodeId, target: Target) -> bool {
        let begun = self.nodes.get(&node).and_then(|node| node.first_beat_at);
        let since = self.interests.get(&target);
        begun.zip(since).is_some_and(|(begun, since)| *since <= begun)
    }

    /// Whom this server listens for.
    pub fn interests(&self) -> impl Iterator<Item = Target> {
        self.interests.keys().copied()
    }

    /// The servers that have taken their leave and of which all that they have said to this group since
    /// this server listens for it, or that they have said nothing, is known and counts as heard, or was
    /// told as lost.
    pub fn ended(&self, target: Target) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter_map(move |(origin, node)| {
            let is_over = node.state == NodeState::Leaving && node.beat >= node.newest_beat;
            let stream = node.streams.get(&target);
            let is_whole = stream.is_none_or(|it| it.incoming.lacks() == Lacks::Nothing);
            (is_over && is_whole).then_some(*origin)
        })
    }

    /// Since when this server has listened for these, if it does.
    pub fn listens_since(&self, target: Target) -> Option<Instant> {
        self.interests.get(&target).copied()
    }

    /// How many servers are heard, how many are silent and not gone yet, and for how long the one that
    /// was heard least lately has said nothing.
    pub fn presence(&self, now: Instant) -> Presence {
        let mut presence = Presence::default();
        for node in self.nodes.values().filter(|node| !node.is_gone) {
            let silence = now.saturating_duration_since(node.heard_at);
            presence.longest_silence = presence.longest_silence.max(silence);
            *(if node.is_silent { &mut presence.silent } else { &mut presence.heard }) += 1;
        }
        presence
    }

    /// How many bytes of frames are held for what lies before them.
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// How many frames have come for groups that nobody is in here.
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}
