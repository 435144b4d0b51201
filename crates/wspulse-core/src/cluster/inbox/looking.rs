//! Asking of one's own accord, where somebody keeps what was said before anybody listened.

use std::time::Instant;

use super::Inbox;
use super::node::Followed;
use crate::cluster::ids::{NodeId, Target};
use crate::cluster::incoming::News;

impl Inbox {
    /// Has asked for what was said to these of late, unless it is known already where that is. The
    /// answer says with which frame it begins here.
    pub fn look(&mut self, origin: NodeId, target: Target, now: Instant) {
        let Some(&since) = self.interests.get(&target) else { return };
        if !self.meet(origin, now) {
            return;
        }
        let nothing = News { stream: 0, is_sure: true };
        self.with_stream(origin, target, |streams, out| {
            let followed = streams.entry(target);
            let followed = followed.or_insert_with(|| Followed::new(nothing, since, now, out));
            if followed.incoming.told().is_none() {
                followed.incoming.ask(now, now);
            }
        });
        self.settle(origin, target, now);
    }
}
