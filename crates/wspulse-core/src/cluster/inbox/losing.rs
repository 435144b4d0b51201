//! What becomes of streams whose origin has forgotten them, or is gone.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Inbox;
use super::output::Output;
use crate::clock::after;
use crate::cluster::ids::{NodeId, Target};
use crate::cluster::incoming::{FORGOTTEN_AFTER, Heard, Missed};
use crate::cluster::message::Moved;

impl Inbox {
    /// Where the streams of a server are is forgotten, but for these.
    pub(super) fn lose_others(&mut self, origin: NodeId, known: &[Moved], now: Instant) {
        let known: BTreeSet<_> = known.iter().map(|moved| moved.target).collect();
        // Of what was said before somebody listened nothing is lacking.
        let is_lost = |target: &Target, since: Instant| {
            !known.contains(target) && after(since, FORGOTTEN_AFTER) <= now
        };
        let lost = self.interests.iter().filter(|(target, since)| is_lost(target, **since));
        let lost: BTreeSet<_> = lost.map(|(target, _)| *target).collect();
        for target in lost {
            self.with_stream(origin, target, |streams, out| {
                // Where it was is kept, so that nothing is heard twice that is still on its way.
                if let Some(followed) = streams.get_mut(&target) {
                    followed.incoming.finish(out);
                }
                out.push(Heard::Missed(Missed::Unknown));
            });
            self.settle(origin, target, now);
        }
    }

    /// A server is gone: what it has said and what did not come is given up. Where its streams were is
    /// kept, as it may be back.
    pub(super) fn lose_node(&mut self, origin: NodeId, now: Instant) {
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        node.is_gone = true;
        self.outputs.push_back(Output::Gone(origin));
        let targets: BTreeSet<_> = node.streams.keys().copied().collect();
        for target in targets {
            self.with_stream(origin, target, |streams, out| {
                if let Some(followed) = streams.get_mut(&target) {
                    followed.incoming.finish(out);
                }
            });
            self.settle(origin, target, now);
        }
    }

    /// Forgets the server that has been gone for longest; tells whether there was one.
    pub(super) fn forget_gone(&mut self) -> bool {
        let gone = self.nodes.iter().filter(|(_, node)| node.is_gone);
        let Some(oldest) = gone.min_by_key(|(_, node)| node.heard_at).map(|(id, _)| *id) else {
            return false;
        };
        // Nothing is held of one that is gone.
        self.nodes.remove(&oldest);
        self.asks.retain(|_, (asked, _)| *asked != oldest);
        true
    }
}
