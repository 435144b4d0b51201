//! Which ids clients are about to get at this server: of several that come under one, one at a time; and
//! of several servers at which they come, one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wspulse_core::cluster::NodeId;

use crate::ground::sync::Mutex;

/// How many ids clients may be about to get at a time. A client of one more comes again.
const COMING_MAX: usize = 65_536;

/// Those ids.
#[derive(Default)]
pub(crate) struct Coming(Mutex<HashMap<Arc<str>, Place>>);

struct Place {
    stage: Stage,
    /// Another server comes first.
    yielded: CancellationToken,
    /// The id is nobody's any more here.
    done: CancellationToken,
}

/// How far it is with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The others are asked: another server that asks as well may come first.
    Asking,
    /// Nobody comes first any more.
    Certain,
    /// Another server came first.
    Yielded,
    /// What is here is given up, for a client of another server.
    Releasing,
}

/// Another client of this id comes first.
#[derive(Debug)]
pub(crate) struct Overtaken;

/// Too many are coming.
#[derive(Debug)]
pub(crate) struct TooManyComing;

/// The turn of one id: no other client gets it here, until this is dropped.
pub(crate) struct Turn {
    coming: Arc<Coming>,
    id: Arc<str>,
    yielded: CancellationToken,
}

impl Coming {
    /// Waits until no other client is about to get this id here, and is about to ask for it.
    pub(crate) async fn enter(self: &Arc<Self>, id: &Arc<str>) -> Result<Turn, TooManyComing> {
        loop {
            let done = {
                let all = &mut *self.0.lock();
                let is_full = all.len() >= COMING_MAX;
                match all.entry(Arc::clone(id)) {
                    Entry::Occupied(place) => place.get().done.clone(),
                    Entry::Vacant(_) if is_full => return Err(TooManyComing),
                    Entry::Vacant(place) => {
                        let place = place.insert(Place::new(Stage::Asking));
                        return Ok(self.turn(id, place));
                    }
                }
            };
            done.cancelled().await;
        }
    }

    /// Waits until what is here under this id can be given up, for a client of another server that nobody
    /// else keeps from it.
    pub(crate) async fn enter_to_release(self: &Arc<Self>, id: &str) -> Result<Turn, Overtaken> {
        loop {
            let done = {
                let all = &mut *self.0.lock();
                match all.get_mut(id) {
                    None => {
                        let id: Arc<str> = id.into();
                        let place = Place::new(Stage::Releasing);
                        let turn = self.turn(&id, &place);
                        all.insert(id, place);
                        return Ok(turn);
                    }
                    Some(place) => match place.stage {
                        Stage::Certain => return Err(Overtaken),
                        Stage::Asking => place.make_way(),
                        Stage::Yielded | Stage::Releasing => place.done.clone(),
                    },
                }
            };
            done.cancelled().await;
        }
    }

    /// Whether somebody is about to get an id here, or what is here is given up.
    pub(crate) fn is_coming(&self, id: &str) -> bool {
        self.0.lock().contains_key(id)
    }

    /// Another server asks for an id, of which this one may be about to ask as well: both see alike which
    /// of them comes first.
    pub(crate) fn meet(&self, id: &str, this: NodeId, other: NodeId) -> Result<(), Overtaken> {
        let all = &mut *self.0.lock();
        let Some(place) = all.get_mut(id) else { return Ok(()) };
        match place.stage {
            Stage::Certain => Err(Overtaken),
            Stage::Asking if this < other => Err(Overtaken),
            Stage::Asking => {
                place.make_way();
                Ok(())
            }
            Stage::Yielded | Stage::Releasing => Ok(()),
        }
    }

    fn turn(self: &Arc<Self>, id: &Arc<str>, place: &Place) -> Turn {
        let (coming, id) = (Arc::clone(self), Arc::clone(id));
        Turn { coming, id, yielded: place.yielded.clone() }
    }
}

impl Place {
    fn new(stage: Stage) -> Self {
        Self { stage, yielded: CancellationToken::new(), done: CancellationToken::new() }
    }

    fn make_way(&mut self) -> CancellationToken {
        self.stage = Stage::Yielded;
        self.yielded.cancel();
        self.done.clone()
    }
}

impl Turn {
    /// From now on nobody comes first, unless somebody has already.
    pub(crate) fn make_certain(&self) -> Result<(), Overtaken> {
        self.enter_stage(Stage::Certain)
    }

    /// The others are asked, of which one may come first.
    pub(crate) fn make_uncertain(&self) -> Result<(), Overtaken> {
        self.enter_stage(Stage::Asking)
    }

    fn enter_stage(&self, next: Stage) -> Result<(), Overtaken> {
        let all = &mut *self.coming.0.lock();
        let Some(place) = all.get_mut(&self.id) else { return Err(Overtaken) };
        match place.stage {
            Stage::Yielded => Err(Overtaken),
            Stage::Asking | Stage::Certain | Stage::Releasing => {
                place.stage = next;
                Ok(())
            }
        }
    }

    /// Cancelled once somebody comes first.
    pub(crate) const fn yielded(&self) -> &CancellationToken {
        &self.yielded
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let place = self.coming.0.lock().remove(&self.id);
        if let Some(place) = place {
            place.done.cancel();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LOW: NodeId = NodeId::new([1; 16]);
    const HIGH: NodeId = NodeId::new([2; 16]);

    fn ann() -> Arc<str> {
        "ann".into()
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_servers_that_ask_the_one_with_the_lower_id_comes_first() {
        let coming = Arc::new(Coming::default());
        let turn = coming.enter(&ann()).await.unwrap();
        assert!(coming.meet("ann", LOW, HIGH).is_err(), "this one comes first");
        assert!(coming.meet("bob", LOW, HIGH).is_ok(), "another id");
        assert!(!turn.yielded().is_cancelled());
        assert!(coming.meet("ann", HIGH, LOW).is_ok(), "the other one comes first");
        assert!(turn.yielded().is_cancelled());
        assert!(turn.make_certain().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn once_it_is_certain_nobody_comes_first() {
        let coming = Arc::new(Coming::default());
        let turn = coming.enter(&ann()).await.unwrap();
        turn.make_certain().unwrap();
        assert!(coming.meet("ann", HIGH, LOW).is_err());
        assert!(coming.enter_to_release("ann").await.is_err());
        turn.make_uncertain().unwrap();
        assert!(coming.meet("ann", HIGH, LOW).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_client_of_an_id_waits_for_the_one_before() {
        let coming = Arc::new(Coming::default());
        let turn = coming.enter(&ann()).await.unwrap();
        let id = ann();
        let mut next = Box::pin(coming.enter(&id));
        assert!(timeout(Duration::from_secs(1), &mut next).await.is_err());
        drop(turn);
        assert!(next.await.is_ok());
        assert!(coming.0.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_bound_to_how_many_are_coming() {
        let coming = Arc::new(Coming::default());
        let mut turns = Vec::new();
        for number in 0..COMING_MAX {
            turns.push(coming.enter(&number.to_string().into()).await.unwrap());
        }
        assert!(coming.enter(&ann()).await.is_err());
        turns.pop();
        assert!(coming.enter(&ann()).await.is_ok());
    }
}
