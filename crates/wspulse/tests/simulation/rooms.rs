//! What rooms have beside their members, in this life.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use wspulse::RoomOptions;

use super::histories::Bounds;

/// What one room has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomPlan {
    pub(crate) history: Option<Bounds>,
    pub(crate) presence: Presence,
}

/// Who hears who is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    None,
    Application,
    Told,
}

impl RoomPlan {
    pub(crate) const NOTHING: Self = Self { history: None, presence: Presence::None };

    /// `may_keep` says whether rooms may have histories.
    pub(crate) fn draw(may_keep: bool, rng: &mut SmallRng) -> Self {
        let history = may_keep.then(|| Bounds {
            frames: *[1, 5, 40].choose(rng).unwrap(),
            age: Duration::from_millis(*[100, 600_000].choose(rng).unwrap()),
        });
        Self {
            history: history.filter(|_| rng.random_bool(0.6)),
            presence: *[Presence::None, Presence::Application, Presence::Told].choose(rng).unwrap(),
        }
    }

    pub(crate) const fn options(self) -> RoomOptions {
        let options = match self.presence {
            Presence::None => RoomOptions::new(),
            Presence::Application => RoomOptions::new().presence(),
            Presence::Told => RoomOptions::new().tell_presence(),
        };
        match self.history {
            Some(bounds) => bounds.apply(options),
            None => options,
        }
    }
}
