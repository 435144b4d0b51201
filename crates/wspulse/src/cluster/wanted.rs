//! Whom a server listens for: by one subscription for each group, or, in a part of all groups in which
//! it has many, by one for all of that part.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use wspulse_core::clock::after;
use wspulse_core::cluster::{GroupKey, Target};

use super::speaker::{LISTENED_AFTER, NameSpace};
use super::{Topic, TopicFilter};

/// A part with more groups than this is listened to as a whole: what is said to groups of it that
/// nobody is in here takes one look-up, and a client of a broker takes kilobytes for a subscription.
const EXACT_MAX: usize = 4;

/// A part with fewer is listened to group by group again. Less than the other, or one who comes and
/// goes would change it each time.
const WHOLE_MIN: usize = 2;

/// Which groups there are here, and what is subscribed to for them.
#[derive(Default)]
pub(super) struct Wanted {
    groups: HashMap<Target, Group>,
    shards: HashMap<u16, Shard>,
    /// Those to look at.
    changed: HashSet<u16>,
    /// Groups that nobody is in, by when they are listened for no more.
    lingering: VecDeque<(Instant, Target)>,
}

struct Group {
    space: NameSpace,
    name: Arc<str>,
    /// How many groups of this name there are: one that ends may be there beside one that begins.
    count: usize,
    hearing: Hearing,
    lingers_until: Option<Instant>,
}

/// Whether what is said to a group comes, and is heeded.
enum Hearing {
    /// Those who wait for that wake as this is dropped.
    NotYet(Option<watch::Sender<()>>),
    Begun,
}

#[derive(Default)]
struct Shard {
    targets: HashSet<GroupKey>,
    /// Those of them that are not heard yet.
    unheard: HashSet<GroupKey>,
    /// What is in force.
    exact: HashSet<GroupKey>,
    is_whole: bool,
}

/// What to do next about subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Subscribe(TopicFilter),
    Unsubscribe(TopicFilter),
}

impl Wanted {
    pub(super) fn begin(&mut self, target: Target, space: NameSpace, name: &Arc<str>) {
        let Target::Group(key) = target else { return };
        let group = self.groups.entry(target).or_insert_with(|| {
            let shard = self.shards.entry(key.shard()).or_default();
            shard.targets.insert(key);
            shard.unheard.insert(key);
            self.changed.insert(key.shard());
            let (name, hearing) = (Arc::clone(name), Hearing::NotYet(None));
            Group { space, name, count: 0, hearing, lingers_until: None }
        });
        group.count += 1;
        group.lingers_until = None;
    }

    pub(super) fn end(&mut self, target: Target, now: Instant) {
        let Some(group) = self.groups.get_mut(&target) else { return };
        group.count = group.count.saturating_sub(1);
        if group.count == 0 {
            let until = after(now, LISTENED_AFTER);
            group.lingers_until = Some(until);
            self.lingering.push_back((until, target));
        }
    }

    pub(super) fn name_of(&self, target: Target) -> Option<(NameSpace, Arc<str>)> {
        self.groups.get(&target).map(|group| (group.space, Arc::clone(&group.name)))
    }

    /// Whether what is said to these comes, and is heeded.
    pub(super) fn is_heard(&self, target: Target) -> bool {
        match target {
            Target::Group(_) => {
                let group = self.groups.get(&target);
                group.is_some_and(|group| matches!(group.hearing, Hearing::Begun))
            }
            Target::Everybody => true,
        }
    }

    /// What is said to these is heeded from now on.
    pub(super) fn note_heard(&mut self, targets: &[Target]) {
        for target in targets {
            let (Target::Group(key), Some(group)) = (target, self.groups.get_mut(target)) else {
                continue;
            };
            group.hearing = Hearing::Begun;
            if let Some(shard) = self.shards.get_mut(&key.shard()) {
                shard.unheard.remove(key);
            }
        }
    }

    /// What closes once a group is heard, or is forgotten; nothing if it is heard.
    pub(super) fn until_heard(&mut self, target: Target) -> Option<watch::Receiver<()>> {
        match &mut self.groups.get_mut(&target)?.hearing {
            Hearing::NotYet(waking) => {
                Some(waking.get_or_insert_with(|| watch::Sender::new(())).subscribe())
            }
            Hearing::Begun => None,
        }
    }

    /// How many subscriptions to groups, and to parts of all groups, are in force.
    pub(super) fn in_force(&self) -> usize {
        let of_shard = |shard: &Shard| shard.exact.len() + usize::from(shard.is_whole);
        self.shards.values().map(of_shard).sum()
    }

    /// When [`forget`](Self::forget) has something to do.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.lingering.front().map(|(at, _)| *at)
    }

    /// Ends the interest in groups that have lingered; returns which they are.
    pub(super) fn forget(&mut self, now: Instant) -> Vec<Target> {
        let over = self.lingering.partition_point(|(at, _)| *at <= now);
        let mut forgotten = Vec::new();
        for (at, target) in self.lingering.drain(..over) {
            let is_over =
                self.groups.get(&target).is_some_and(|group| group.lingers_until == Some(at));
            let Target::Group(key) = target else { continue };
            if is_over {
                self.groups.remove(&target);
                if let Some(shard) = self.shards.get_mut(&key.shard()) {
                    shard.targets.remove(&key);
                    shard.unheard.remove(&key);
                    self.changed.insert(key.shard());
                }
                forgotten.push(target);
            }
        }
        forgotten
    }

    /// What is lacking, and, once that is in force, what is needed no more.
    pub(super) fn take_wishes(&mut self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut changed: Vec<_> = self.changed.drain().collect();
        changed.sort_unstable();
        for number in changed {
            let Some(shard) = self.shards.get_mut(&number) else { continue };
            shard.wish(number, &mut wishes);
            if shard.targets.is_empty() && shard.exact.is_empty() && !shard.is_whole {
                self.shards.remove(&number);
            }
        }
        wishes
    }

    /// This is in force; tells which groups are listened for by it that were not before.
    pub(super) fn note(&mut self, filter: TopicFilter) -> Vec<Target> {
        let (number, begun) = match filter {
            TopicFilter::Topic(Topic::Group(key)) => {
                let shard = self.shards.entry(key.shard()).or_default();
                let is_new = shard.exact.insert(key) && !shard.is_whole;
                let is_wanted = shard.targets.contains(&key);
                (key.shard(), Vec::from_iter((is_new && is_wanted).then_some(Target::Group(key))))
            }
            TopicFilter::Shard(number) => {
                let shard = self.shards.entry(number).or_default();
                shard.is_whole = true;
                let new = shard.targets.iter().filter(|key| !shard.exact.contains(*key));
                (number, new.map(|key| Target::Group(*key)).collect())
            }
            TopicFilter::Topic(Topic::Everybody | Topic::Beats) => return Vec::new(),
        };
        // What it is in the place of is needed no more.
        self.changed.insert(number);
        begun
    }

    /// Those of which what is said comes already, though nobody had to subscribe for them.
    pub(super) fn covered(&self) -> Vec<Target> {
        let whole = self.changed.iter().filter_map(|number| self.shards.get(number));
        let whole = whole.filter(|shard| shard.is_whole);
        whole.flat_map(|shard| shard.unheard.iter().map(|key| Target::Group(*key))).collect()
    }

    /// It could not be subscribed to: it is tried again.
    pub(super) fn fail(&mut self, filter: TopicFilter) {
        match filter {
            TopicFilter::Topic(Topic::Group(key)) => self.changed.insert(key.shard()),
            TopicFilter::Shard(number) => self.changed.insert(number),
            TopicFilter::Topic(Topic::Everybody | Topic::Beats) => false,
        };
    }
}

impl Shard {
    fn wish(&mut self, number: u16, wishes: &mut Vec<Wish>) {
        let (whole, count) = (TopicFilter::Shard(number), self.targets.len());
        let exact = |key| TopicFilter::Topic(Topic::Group(key));
        let wants_whole = count > EXACT_MAX || (self.is_whole && count >= WHOLE_MIN);
        if wants_whole {
            if self.is_whole {
                wishes.extend(self.exact.drain().map(|key| Wish::Unsubscribe(exact(key))));
            } else {
                wishes.push(Wish::Subscribe(whole));
            }
            return;
        }
        let lacking: Vec<_> = self.targets.difference(&self.exact).copied().collect();
        let is_complete = lacking.is_empty();
        wishes.extend(lacking.into_iter().map(|key| Wish::Subscribe(exact(key))));
        let idle: Vec<_> = self.exact.difference(&self.targets).copied().collect();
        for key in idle {
            self.exact.remove(&key);
            wishes.push(Wish::Unsubscribe(exact(key)));
        }
        // Only once all are in force that it was in the place of.
        if is_complete && std::mem::take(&mut self.is_whole) {
            wishes.push(Wish::Unsubscribe(whole));
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(number: u8) -> GroupKey {
        let mut hash = [0; GroupKey::BYTES];
        hash[15] = number;
        GroupKey::new(hash)
    }

    fn begin(wanted: &mut Wanted, number: u8) {
        wanted.begin(Target::Group(key(number)), NameSpace::Rooms, &"room".into());
    }

    /// Does what it wishes, and returns that.
    fn settle(wanted: &mut Wanted) -> Vec<Wish> {
        let mut done = Vec::new();
        loop {
            let covered = wanted.covered();
            wanted.note_heard(&covered);
            let wishes = wanted.take_wishes();
            if wishes.is_empty() {
                return done;
            }
            for wish in wishes {
                if let Wish::Subscribe(filter) = wish {
                    let begun = wanted.note(filter);
                    wanted.note_heard(&begun);
                }
                done.push(wish);
            }
        }
    }

    fn topic(number: u8) -> TopicFilter {
        TopicFilter::Topic(Topic::Group(key(number)))
    }

    #[test]
    fn the_fifth_group_of_a_part_has_all_of_it_listened_to() {
        let mut wanted = Wanted::default();
        for number in 0..4 {
            begin(&mut wanted, number);
            assert_eq!(settle(&mut wanted), [Wish::Subscribe(topic(number))]);
        }
        begin(&mut wanted, 4);
        let wishes = settle(&mut wanted);
        assert_eq!(wishes[0], Wish::Subscribe(TopicFilter::Shard(0)));
        assert_eq!(wishes.len(), 5, "then the four are needed no more: {wishes:?}");
        begin(&mut wanted, 5);
        let sixth = Target::Group(key(5));
        assert!(!wanted.is_heard(sixth), "what is said to it comes, and is not heeded yet");
        assert_eq!(settle(&mut wanted), []);
        assert!(wanted.is_heard(sixth));
    }

    #[test]
    fn a_group_that_nobody_is_in_is_listened_for_a_while() {
        let mut wanted = Wanted::default();
        let now = Instant::now();
        begin(&mut wanted, 1);
        settle(&mut wanted);
        wanted.end(Target::Group(key(1)), now);
        assert_eq!(wanted.forget(now), []);
        assert_eq!(wanted.forget(now + LISTENED_AFTER), [Target::Group(key(1))]);
        assert_eq!(settle(&mut wanted), [Wish::Unsubscribe(topic(1))]);
    }

    #[test]
    fn a_group_that_begins_anew_is_not_forgotten_for_the_one_before() {
        let mut wanted = Wanted::default();
        let now = Instant::now();
        begin(&mut wanted, 1);
        settle(&mut wanted);
        wanted.end(Target::Group(key(1)), now);
        begin(&mut wanted, 1);
        assert_eq!(wanted.forget(now + LISTENED_AFTER + Duration::from_secs(1)), []);
        assert_eq!(settle(&mut wanted), []);
    }

    #[test]
    fn the_last_groups_of_a_part_are_listened_to_before_the_whole_is_not() {
        let mut wanted = Wanted::default();
        let now = Instant::now();
        for number in 0..6 {
            begin(&mut wanted, number);
        }
        settle(&mut wanted);
        for number in 0..5 {
            wanted.end(Target::Group(key(number)), now);
        }
        wanted.forget(now + LISTENED_AFTER);
        let whole = TopicFilter::Shard(0);
        assert_eq!(settle(&mut wanted), [Wish::Subscribe(topic(5)), Wish::Unsubscribe(whole)]);
        assert!(wanted.is_heard(Target::Group(key(5))));
    }
}
