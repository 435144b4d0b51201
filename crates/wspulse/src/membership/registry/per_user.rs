//! How many connections a user has, and which is the oldest, where their number is limited.

use std::collections::HashMap;
use std::sync::Arc;

use wspulse_core::CloseCode;

use super::Refused;
use super::places::ENDING_PER_PLACE_MAX;
use crate::settings::options::UserLimit;
use crate::settings::options::admission::PerUser;

/// Counts the connections of each user, under the registry's lock. Without a limit it keeps nothing.
pub(super) struct UserPlaces {
    per_user: Option<PerUser>,
    by_user: HashMap<Arc<str>, Taken>,
}

#[derive(Default)]
struct Taken {
    /// The keys of the tasks of those that have not ended, the oldest first.
    here: Vec<u32>,
    /// How many have ended while their tasks still run.
    ending: usize,
}

impl UserPlaces {
    pub(super) fn new(per_user: Option<PerUser>) -> Self {
        Self { per_user, by_user: HashMap::new() }
    }

    /// Whether a user who has too many connections gets one more for the oldest.
    pub(super) fn ends_oldest(&self) -> bool {
        match self.per_user.map(|it| it.limit) {
            Some(UserLimit::EndOldest(_)) => true,
            Some(UserLimit::RefuseNew) | None => false,
        }
    }

    /// Whether one more connection of this user, which replaces none with its id, has a place. The
    /// one that is to end for it is returned, by the key of its task, with its close code.
    pub(super) fn check(&self, user: Option<&str>) -> Result<Option<(u32, CloseCode)>, Refused> {
        let (Some(per_user), Some(user)) = (self.per_user, user) else { return Ok(None) };
        let PerUser { connections_max, limit } = per_user;
        let Some(Taken { here, ending }) = self.by_user.get(user) else { return Ok(None) };
        if *ending >= connections_max.saturating_mul(ENDING_PER_PLACE_MAX) {
            return Err(Refused::TooManyEnding);
        }
        match (limit, here.first()) {
            _ if here.len() < connections_max => Ok(None),
            (UserLimit::EndOldest(code), Some(oldest)) => Ok(Some((*oldest, code))),
            (UserLimit::EndOldest(_), None) | (UserLimit::RefuseNew, _) => {
                Err(Refused::TooManyOfUser)
            }
        }
    }

    pub(super) fn take(&mut self, user: Option<&str>, task_key: u32) {
        let (Some(_), Some(user)) = (self.per_user, user) else { return };
        match self.by_user.get_mut(user) {
            Some(taken) => taken.here.push(task_key),
            None => {
                self.by_user.insert(user.into(), Taken { here: vec![task_key], ending: 0 });
            }
        }
    }

    /// A connection has ended: it counts as one that is ending until its task is forgotten.
    pub(super) fn free(&mut self, user: Option<&str>, task_key: u32) {
        if let Some(taken) = user.and_then(|user| self.by_user.get_mut(user)) {
            taken.here.retain(|here| *here != task_key);
            taken.ending += 1;
        }
    }

    /// The task of a connection that has ended is about to return.
    pub(super) fn forget(&mut self, user: Option<&str>) {
        let Some(user) = user else { return };
        let Some(taken) = self.by_user.get_mut(user) else { return };
        taken.ending = taken.ending.saturating_sub(1);
        if taken.ending == 0 && taken.here.is_empty() {
            self.by_user.remove(user);
        }
        if self.by_user.is_empty() {
            self.by_user = HashMap::new();
        }
    }

    /// Frees all places, and the memory.
    pub(super) fn clear(&mut self) {
        self.by_user = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections_max: usize) -> UserPlaces {
        UserPlaces::new(Some(PerUser { connections_max, limit: UserLimit::RefuseNew }))
    }

    #[test]
    fn nothing_is_left_of_users_whose_connections_have_ended() {
        let mut places = places(2);
        for (task_key, user) in (0..).zip(["ann", "ann", "bob"]) {
            places.take(Some(user), task_key);
        }
        assert_eq!(places.check(Some("ann")), Err(Refused::TooManyOfUser));
        places.free(Some("ann"), 0);
        assert_eq!((places.check(Some("ann")), places.check(Some("eve"))), (Ok(None), Ok(None)));
        places.free(Some("ann"), 1);
        places.free(Some("bob"), 2);
        for user in ["ann", "bob", "ann"] {
            assert!(!places.by_user.is_empty());
            places.forget(Some(user));
        }
        assert_eq!(places.by_user.capacity(), 0);
    }

    #[test]
    fn a_user_whose_ended_connections_are_not_done_waits() {
        let mut places = places(1);
        for task_key in 0..4 {
            assert_eq!(places.check(Some("ann")), Ok(None));
            places.take(Some("ann"), task_key);
            places.free(Some("ann"), task_key);
        }
        assert_eq!(places.check(Some("ann")), Err(Refused::TooManyEnding));
        places.forget(Some("ann"));
        assert_eq!(places.check(Some("ann")), Ok(None));
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let mut places = UserPlaces::new(None);
        places.take(Some("ann"), 0);
        assert_eq!((places.check(Some("ann")), places.by_user.capacity()), (Ok(None), 0));
    }
}
