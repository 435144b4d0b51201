//! Those whose sessions have left for another server, until they are there.

use std::time::{Duration, Instant};

use wspulse_core::clock::after;
use wspulse_core::cluster::NodeId;

use super::{At, Elsewhere, Kept, Record};
use crate::membership::presence::person::PersonId;

/// How long somebody whose session has left for another server is shown as it was, until it is there.
/// The handover is a matter of milliseconds; then its client is away.
const SHOWN_AS_IT_WAS: Duration = Duration::from_secs(3);

impl Elsewhere {
    /// Those of this server who have left for another one.
    pub(crate) fn left(&self) -> impl Iterator<Item = (&PersonId, &Record)> {
        let own = self.origins.get(&self.own).into_iter();
        own.flat_map(|own| &own.people).filter_map(|(id, kept)| Some((id, kept.record.as_ref()?)))
    }

    /// Somebody of this server has left for another one.
    pub(crate) fn keep_left(&mut self, id: PersonId, record: Record, now: Instant) {
        self.put(self.own, id, (Some(record), At::default()), &|_| false, now);
    }

    /// Somebody is on this server: whoever has left for it has come.
    pub(crate) fn arrive(&mut self, id: &PersonId) {
        self.claim(id, None);
    }

    /// Does what is due for those who have moved. Tells of whom there is something new.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<PersonId> {
        let mut changed = Vec::new();
        while let Some((at, ..)) = self.moved.first()
            && *at <= now
            && let Some((at, of, id)) = self.moved.pop_first()
        {
            let Some(origin) = self.origins.get_mut(&of) else { continue };
            let left = self.window.saturating_sub(SHOWN_AS_IT_WAS);
            match origin.people.get_mut(&id) {
                Some(Kept { record: Some(record), due, .. })
                    if record.is_here && !left.is_zero() =>
                {
                    record.is_here = false;
                    *due = Some(after(at, left));
                    self.moved.insert((after(at, left), of, id.clone()));
                }
                Some(_) | None => drop(origin.people.remove(&id)),
            }
            changed.push(id);
        }
        self.forget_lost();
        changed
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.moved.first().map(|(at, ..)| *at)
    }

    /// For how long one who has moved is shown as it was by then.
    pub(super) fn shown_for(&self, record: &Record) -> Duration {
        if record.is_here { SHOWN_AS_IT_WAS.min(self.window) } else { self.window }
    }

    /// Somebody is on this server: whoever has left another one has come.
    pub(super) fn claim(&mut self, id: &PersonId, on: Option<NodeId>) {
        for (node, origin) in &mut self.origins {
            if on == Some(*node) {
                continue;
            }
            let Some(due) = origin.people.get(id).and_then(|kept| kept.due) else { continue };
            origin.people.remove(id);
            self.moved.remove(&(due, *node, id.clone()));
        }
    }
}
