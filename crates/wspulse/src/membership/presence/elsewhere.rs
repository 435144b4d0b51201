//! Who is in a room on the other servers, as far as they have told.
//!
//! Each server tells of its own people in a stream of numbered changes, and pages of all of them name
//! the place in that stream that they were made at. So it does not matter in which order the two come.

mod moved;
mod record;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use wspulse_core::clock::after;
use wspulse_core::cluster::NodeId;

use super::person::PersonId;
pub(crate) use record::{At, MarkedMeta, Next, Page, Record};

/// How many people one server may have in one room for others to keep who they are.
const PEOPLE_PER_SERVER_MAX: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Elsewhere {
    own: NodeId,
    /// For how long a session that nobody resumes is kept.
    window: Duration,
    origins: BTreeMap<NodeId, Origin>,
    /// Those who have moved, by when they are looked at again.
    moved: BTreeSet<(Instant, NodeId, PersonId)>,
    /// People who were not taken, as there were too many.
    refused: u64,
    /// Somebody is to be asked, something is due, or somebody was refused.
    has_needs: bool,
}

#[derive(Debug, Default)]
struct Origin {
    people: BTreeMap<PersonId, Kept>,
    heard: At,
    /// What its people were asked for and has come, as far as changes of before may still come.
    pages: Vec<Covered>,
    known: Known,
    is_silent: bool,
    /// It will tell no more; only those who have left it are still kept.
    is_lost: bool,
}

#[derive(Debug)]
struct Kept {
    /// `None` for somebody who is gone, while it is not known who else is there.
    record: Option<Record>,
    at: At,
    /// When it is looked at again, if it has moved.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Covered {
    after: Option<PersonId>,
    to: Option<PersonId>,
    at: At,
}

/// Whether it is known who was there before the changes that were heard.
#[derive(Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Nothing,
    /// It was asked for what comes after this person.
    Asked {
        after: Option<PersonId>,
        has_gap: bool,
    },
    All,
}

impl Covered {
    fn covers(&self, id: &PersonId) -> bool {
        self.after.as_ref().is_none_or(|after| after < id)
            && self.to.as_ref().is_none_or(|to| id <= to)
    }
}

impl Origin {
    /// Whether what it has told here about a person is newer than what is known.
    fn is_new(&self, id: &PersonId, at: At) -> bool {
        at > self.floor(id) && self.people.get(id).is_none_or(|kept| kept.at < at)
    }

    /// Something that it has told is lost.
    fn lack(&mut self) {
        match &mut self.known {
            Known::Asked { has_gap, .. } => *has_gap = true,
            Known::Nothing | Known::All => self.known = Known::Nothing,
        }
    }

    /// All that was told up to here about these is known: what is next?
    fn cover(&mut self, covered: Covered, to: Option<PersonId>) -> Next {
        if covered.at > self.heard {
            self.pages.push(covered);
        }
        let had_gap = matches!(self.known, Known::Asked { has_gap: true, .. });
        if let Some(to) = to {
            self.known = Known::Asked { after: Some(to.clone()), has_gap: had_gap };
            return Next::After(to);
        }
        if had_gap {
            self.known = Known::Asked { after: None, has_gap: false };
            return Next::Again;
        }
        self.known = Known::All;
        self.people.retain(|_, kept| kept.record.is_some());
        Next::Nothing
    }

    /// Changes up to here are in a page, as far as they are about this person.
    fn floor(&self, id: &PersonId) -> At {
        let covering = self.pages.iter().filter(|page| page.covers(id));
        covering.map(|page| page.at).max().unwrap_or_default()
    }
}

impl Elsewhere {
    pub(crate) fn new(own: NodeId, window: Duration) -> Self {
        // Its own people are kept here only once they have moved.
        let origin = Origin { known: Known::All, ..Origin::default() };
        let origins = BTreeMap::from([(own, origin)]);
        Self { own, window, origins, moved: BTreeSet::new(), refused: 0, has_needs: false }
    }

    pub(crate) const fn own(&self) -> NodeId {
        self.own
    }

    /// A person on all of them: whether it is here on one, and its metadata.
    pub(crate) fn of(&self, id: &PersonId) -> Option<(bool, MarkedMeta)> {
        let mut merged: Option<(bool, MarkedMeta)> = None;
        for origin in self.origins.values() {
            let Some(record) = origin.people.get(id).and_then(|kept| kept.record.as_ref()) else {
                continue;
            };
            let is_here = record.is_here && !origin.is_silent;
            match &mut merged {
                Some((any_here, meta)) => {
                    *any_here |= is_here;
                    meta.merge(&record.meta);
                }
                None => merged = Some((is_here, record.meta.clone())),
            }
        }
        merged
    }

    /// All who are known.
    pub(crate) fn ids(&self) -> Vec<PersonId> {
        self.origins.values().flat_map(|origin| origin.people.keys().cloned()).collect()
    }

    /// Whether it is to be looked after; then somebody does.
    pub(crate) const fn take_needs(&mut self) -> bool {
        std::mem::replace(&mut self.has_needs, false)
    }

    /// How many were not taken since the last time.
    pub(crate) const fn take_refused(&mut self) -> u64 {
        std::mem::replace(&mut self.refused, 0)
    }

    /// A server has told what has changed among its people: of each how it is now, or that it is gone.
    /// Tells of whom there is something new.
    pub(crate) fn hear(
        &mut self,
        origin: NodeId,
        at: At,
        told: Vec<(PersonId, Option<Record>)>,
        is_here: impl Fn(&PersonId) -> bool,
        now: Instant,
    ) -> Vec<PersonId> {
        let known = self.origins.entry(origin).or_default();
        known.is_lost = false;
        self.has_needs |= known.known == Known::Nothing;
        let mut changed = Vec::new();
        for (id, record) in told {
            if self.origins.get(&origin).is_some_and(|origin| origin.is_new(&id, at)) {
                self.put(origin, id.clone(), (record, at), &is_here, now);
                changed.push(id);
            }
        }
        if let Some(origin) = self.origins.get_mut(&origin) {
            origin.heard = origin.heard.max(at);
            origin.pages.retain(|page| page.at > origin.heard);
        }
        changed
    }

    /// A page of a server's people has come. Tells of whom there is something new.
    pub(crate) fn take_page(
        &mut self,
        origin: NodeId,
        page: Page,
        is_here: impl Fn(&PersonId) -> bool,
        now: Instant,
    ) -> (Vec<PersonId>, Next) {
        let Page { at, after, is_last, mut people } = page;
        let Some(known) = self.origins.get_mut(&origin) else { return (Vec::new(), Next::Nothing) };
        match &known.known {
            Known::Asked { after: asked, .. } if *asked == after => {}
            Known::Asked { .. } | Known::Nothing | Known::All => {
                return (Vec::new(), Next::Nothing);
            }
        }
        // What comes out of its order is no good.
        let mut last = after.clone();
        people.retain(|(id, _)| {
            let is_next = last.as_ref().is_none_or(|last| last < id);
            if is_next {
                last = Some(id.clone());
            }
            is_next
        });
        let is_full = known.people.len() >= PEOPLE_PER_SERVER_MAX;
        let to = if is_last || is_full || people.is_empty() { None } else { last };
        let covered = Covered { after, to: to.clone(), at };
        let told: BTreeSet<_> = people.iter().map(|(id, _)| id).collect();
        let is_gone =
            |id: &PersonId, kept: &Kept| kept.at <= at && covered.covers(id) && !told.contains(id);
        let gone = known.people.iter().filter(|(id, kept)| is_gone(id, kept));
        let gone: Vec<_> = gone.map(|(id, _)| (id.clone(), None)).collect();
        let told = people.into_iter().filter(|(id, _)| known.is_new(id, at));
        let told: Vec<_> = told.map(|(id, record)| (id, Some(record))).collect();
        let mut changed = Vec::new();
        for (id, record) in gone.into_iter().chain(told) {
            self.put(origin, id.clone(), (record, at), &is_here, now);
            changed.push(id);
        }
        let next = self.origins.get_mut(&origin).map(|origin| origin.cover(covered, to));
        (changed, next.unwrap_or(Next::Nothing))
    }

    /// A server tells nothing, or tells something again. Tells of whom there is something new.
    pub(crate) fn silence(&mut self, origin: NodeId, is_silent: bool) -> Vec<PersonId> {
        match self.origins.get_mut(&origin) {
            Some(origin) if origin.is_silent != is_silent => {
                origin.is_silent = is_silent;
                origin.people.keys().cloned().collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// A server will tell no more: nobody is there, but for those who have left it for another one.
    /// Tells of whom there is something new.
    pub(crate) fn lose(&mut self, origin: NodeId) -> Vec<PersonId> {
        let Some(lost) = self.origins.get_mut(&origin) else { return Vec::new() };
        let changed = lost.people.keys().cloned().collect();
        lost.people.retain(|_, kept| kept.record.as_ref().is_some_and(|it| it.has_moved));
        lost.pages.clear();
        lost.is_lost = true;
        lost.lack();
        self.forget_lost();
        changed
    }

    /// A server is there that was not, and whether it was heard from its start on: then nothing is
    /// lacking.
    pub(crate) fn meet(&mut self, origin: NodeId, is_heard_from_start: bool) {
        if is_heard_from_start {
            let all = || Origin { known: Known::All, ..Origin::default() };
            self.origins.entry(origin).or_insert_with(all);
        }
        let known = self.origins.get(&origin).map(|origin| &origin.known);
        self.has_needs |= known.is_none_or(|known| *known == Known::Nothing);
    }

    /// Changes of a server are lost.
    pub(crate) fn note_gap(&mut self, origin: NodeId) {
        let origin = self.origins.entry(origin).or_default();
        origin.lack();
        self.has_needs |= origin.known == Known::Nothing;
    }

    /// Whether a server is to be asked for its people now; then it counts as asked.
    pub(crate) fn begin_asking(&mut self, origin: NodeId) -> bool {
        let origin = self.origins.entry(origin).or_default();
        let must_ask = origin.known == Known::Nothing;
        origin.is_lost &= !must_ask;
        if must_ask {
            origin.known = Known::Asked { after: None, has_gap: false };
        }
        must_ask
    }

    /// A server does not answer, and is not asked any more for now.
    pub(crate) fn stop_asking(&mut self, origin: NodeId) {
        if let Some(origin) = self.origins.get_mut(&origin)
            && origin.known != Known::All
        {
            origin.known = Known::Nothing;
        }
    }

    fn put(
        &mut self,
        of: NodeId,
        id: PersonId,
        (record, at): (Option<Record>, At),
        is_here: &impl Fn(&PersonId) -> bool,
        now: Instant,
    ) {
        // Whoever is here already elsewhere is not waited for.
        let is_needless = |it: &Record| it.has_moved && (is_here(&id) || self.is_here(&id, of));
        let record = record.filter(|record| !is_needless(record));
        if record.as_ref().is_some_and(|record| !record.has_moved) {
            self.claim(&id, Some(of));
        }
        let due = record
            .as_ref()
            .filter(|record| record.has_moved)
            .map(|record| after(now, self.shown_for(record)));
        let Some(origin) = self.origins.get_mut(&of) else { return };
        let is_full = origin.people.len() >= PEOPLE_PER_SERVER_MAX;
        if is_full && !origin.people.contains_key(&id) {
            self.refused += u64::from(record.is_some());
            self.has_needs |= record.is_some();
            return;
        }
        let before = if record.is_some() || origin.known != Known::All {
            origin.people.insert(id.clone(), Kept { record, at, due })
        } else {
            origin.people.remove(&id)
        };
        if let Some(due) = before.and_then(|before| before.due) {
            self.moved.remove(&(due, of, id.clone()));
        }
        if let Some(due) = due {
            self.moved.insert((due, of, id));
            self.has_needs = true;
        }
    }

    /// Whether a person is here on another server than this one.
    fn is_here(&self, id: &PersonId, but: NodeId) -> bool {
        self.origins.iter().any(|(node, origin)| {
            let record = origin.people.get(id).and_then(|kept| kept.record.as_ref());
            *node != but
                && !origin.is_silent
                && record.is_some_and(|it| it.is_here && !it.has_moved)
        })
    }

    /// Servers that tell no more are forgotten once nobody is kept who has left them.
    fn forget_lost(&mut self) {
        self.origins.retain(|_, origin| {
            let is_asked = matches!(origin.known, Known::Asked { .. });
            !origin.is_lost || !origin.people.is_empty() || is_asked
        });
    }
}
