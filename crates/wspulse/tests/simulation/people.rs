//! Who is in a room by what was told of it, change by change, and whether that is so.

use std::collections::BTreeMap;
use std::sync::Mutex;

use wspulse::{Connection, ConnectionState, PersonId, PresenceChanges, PresenceState};

use super::crowd::user_of;
use super::heard::{Telling, TellingKind};

pub(crate) type Names = BTreeMap<Name, PresenceState>;

/// A person, by its id; in the order in which people are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    User(String),
    Connection(String),
}

/// What was told of one room.
#[derive(Debug, Default)]
pub(crate) struct People(Mutex<Vec<Epoch>>);

/// From a room's beginning to its end, which is told after it.
#[derive(Debug)]
struct Epoch {
    /// What the changes with the sequences 1, 2, … said.
    changes: Vec<Vec<(Name, PresenceState)>>,
    /// Who was there after so many changes.
    names: Vec<Names>,
    is_over: bool,
}

/// Where a listener is among what was told of one room.
#[derive(Debug, Default)]
struct Place {
    epoch: usize,
    /// The last that it has heard in that.
    sequence: Option<u64>,
}

/// Whether somebody has heard all that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    Complete,
    WithGaps,
}

impl Epoch {
    fn new() -> Self {
        Self { changes: Vec::new(), names: vec![Names::new()], is_over: false }
    }

    fn says(&self, telling: &Telling) -> bool {
        let Ok(place) = usize::try_from(telling.sequence) else { return false };
        match telling.kind {
            TellingKind::Snapshot => self.names.get(place).is_some_and(|names| {
                names.iter().eq(telling.people.iter().map(|(name, state)| (name, state)))
            }),
            TellingKind::Changes => {
                place > 0 && self.changes.get(place - 1) == Some(&telling.people)
            }
        }
    }
}

impl People {
    /// The members of the room that is there now are told of it; returns its epoch.
    pub(crate) fn tell(&self) -> usize {
        let mut epochs = self.0.lock().unwrap();
        if epochs.last().is_none_or(|last| last.is_over) {
            epochs.push(Epoch::new());
        }
        epochs.len() - 1
    }

    /// The application hears of changes, while these are in the room, or were when its members were
    /// told, in this epoch, if there are any. Tells whether the room is still there.
    pub(crate) fn change(
        &self,
        changes: &PresenceChanges,
        here: &[Names],
        told_in: Option<usize>,
    ) -> bool {
        let mut epochs = self.0.lock().unwrap();
        let before = usize::try_from(changes.sequence - 1).unwrap();
        let goes_on = |epoch: &Epoch| before > 0 && epoch.changes.len() == before;
        let has_people = |epoch: &Epoch| epoch.names.last().is_some_and(|last| !last.is_empty());
        let ends = |epoch: &Epoch| goes_on(epoch) && epoch.is_over && has_people(epoch);
        let told_in = told_in.filter(|epoch| epochs[*epoch].changes.len() == before);
        let place = told_in.or_else(|| epochs.iter().rposition(ends));
        let place = place.or_else(|| epochs.iter().rposition(goes_on)).unwrap_or_else(|| {
            epochs.push(Epoch::new());
            epochs.len() - 1
        });
        assert_eq!(epochs[place].changes.len(), before, "changes are missing: {epochs:?}");
        let epoch = &mut epochs[place];
        let mut names = epoch.names.last().expect("it begins with none").clone();
        let told: Vec<_> = changes.people.iter().map(|it| (name_of(&it.id), it.state)).collect();
        assert!(told.is_sorted_by(|a, b| a.0 < b.0), "once each, in order: {told:?}");
        for (name, state) in &told {
            let known = match state {
                PresenceState::Gone => names.remove(name),
                PresenceState::Here | PresenceState::Away | _ => names.insert(name.clone(), *state),
            };
            assert_ne!(known.unwrap_or(PresenceState::Gone), *state, "{name:?} is so already");
        }
        if epoch.is_over && told_in.is_none() {
            assert!(names.is_empty(), "of a room that is over: {names:?}");
        } else {
            assert!(here.contains(&names), "{here:?} after {changes:?}");
        }
        epoch.changes.push(told);
        epoch.names.push(names);
        !epoch.is_over
    }

    /// The room is over, and what becomes of those who were there is still to be told.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap().iter_mut().for_each(|epoch| epoch.is_over = true);
    }

    /// Everybody has gone and that was told.
    pub(crate) fn check_over(&self) {
        for epoch in &*self.0.lock().unwrap() {
            let names = epoch.names.last().expect("it begins with none");
            assert!(names.is_empty(), "ghosts: {names:?}");
        }
    }
}

/// What one connection was told of the people in all rooms is what was true, in its order.
pub(crate) fn check_heard(people: &[People], told: &[(usize, Telling)], hearing: Hearing) {
    let mut places: BTreeMap<usize, Place> = BTreeMap::new();
    for (least_epoch, telling) in told {
        let place = places.entry(telling.room).or_default();
        let epochs = people[telling.room].0.lock().unwrap();
        let candidates = match hearing {
            Hearing::Complete => *least_epoch..*least_epoch + 1,
            Hearing::WithGaps => place.epoch.max(*least_epoch)..epochs.len(),
        };
        let is_said = |epoch: &usize| {
            // Before anything is told of a room nobody is in it.
            let is_first = telling.sequence == 0 && telling.people.is_empty();
            let is_true = epochs.get(*epoch).map_or(is_first, |epoch| epoch.says(telling));
            is_true && place.is_followed_by(*epoch, telling, hearing)
        };
        match candidates.clone().find(is_said) {
            Some(epoch) => *place = Place { epoch, sequence: Some(telling.sequence) },
            None => assert!(
                hearing == Hearing::WithGaps && telling.sequence == 0,
                "{telling:?} after {place:?}, in {candidates:?} of {epochs:?}"
            ),
        }
    }
}

impl Place {
    fn is_followed_by(&self, epoch: usize, telling: &Telling, hearing: Hearing) -> bool {
        let Some(last) = self.sequence.filter(|_| epoch == self.epoch) else {
            // An epoch begins with a snapshot for whoever joins.
            return telling.kind == TellingKind::Snapshot || hearing == Hearing::WithGaps;
        };
        match (telling.kind, hearing) {
            (TellingKind::Snapshot, Hearing::Complete | Hearing::WithGaps) => {
                telling.sequence >= last
            }
            (TellingKind::Changes, Hearing::Complete) => telling.sequence == last + 1,
            (TellingKind::Changes, Hearing::WithGaps) => telling.sequence > last,
        }
    }
}

/// Who these members are, and whether they are there.
pub(crate) fn names_of(members: &[Connection]) -> Names {
    let mut names = Names::new();
    for member in members {
        let name = user_of(member.id()).map_or_else(
            || Name::Connection(member.id().to_owned()),
            |user| Name::User(user.to_string()),
        );
        match member.state() {
            ConnectionState::Connected => {
                names.insert(name, PresenceState::Here);
            }
            ConnectionState::Suspended => {
                names.entry(name).or_insert(PresenceState::Away);
            }
            ConnectionState::Closed | _ => {}
        }
    }
    names
}

pub(crate) fn name_of(id: &PersonId) -> Name {
    match id {
        PersonId::User(user) => Name::User(user.to_string()),
        PersonId::Connection(connection) => Name::Connection(connection.to_string()),
        _ => panic!("a person that this test does not know"),
    }
}
