//! What is on its way, and what becomes of it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;
use wspulse_core::cluster::{ASK_WITHIN, Answer, Ask, AskId, Batch, Beat, NodeId, Target};

#[derive(Debug)]
pub(crate) enum Arrival {
    Batch { to: usize, target: Target, batch: Batch },
    Beat { to: usize, beat: Beat },
    Ask { to: usize, from: usize, id: AskId, ask: Ask },
    Answer { to: usize, from: NodeId, id: AskId, answer: Option<Answer> },
}

/// How bad it is.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    pub(crate) loss: f64,
    pub(crate) twice: f64,
    pub(crate) delay_max_ms: u64,
}

pub(crate) struct Network {
    pub(crate) weather: Weather,
    on_its_way: BTreeMap<(Instant, u64), Arrival>,
    sent: u64,
    /// What one says to one topic is heard in its order.
    newest: HashMap<(usize, usize, Option<Target>), Instant>,
    /// Whom no message reaches, and from whom none comes, and until when.
    cut: Vec<Instant>,
}

impl Network {
    pub(crate) fn new(nodes: usize, weather: Weather, now: Instant) -> Self {
        Self {
            weather,
            on_its_way: BTreeMap::new(),
            sent: 0,
            newest: HashMap::new(),
            cut: vec![now; nodes],
        }
    }

    pub(crate) fn cut(&mut self, node: usize, until: Instant) {
        self.cut[node] = self.cut[node].max(until);
    }

    pub(crate) fn is_cut(&self, node: usize, now: Instant) -> bool {
        self.cut[node] > now
    }

    pub(crate) fn publish(
        &mut self,
        (from, to): (usize, usize),
        target: Option<Target>,
        rng: &mut SmallRng,
        now: Instant,
        make: impl Fn() -> Arrival,
    ) {
        let is_cut = self.is_cut(from, now) || self.is_cut(to, now);
        if is_cut || rng.random_bool(self.weather.loss) {
            return;
        }
        let copies = 1 + usize::from(rng.random_bool(self.weather.twice));
        for _ in 0..copies {
            let at = now + self.delay(rng);
            let newest = self.newest.entry((from, to, target)).or_insert(at);
            *newest = at.max(*newest);
            let at = *newest;
            self.put(at, make());
        }
    }

    /// A question or an answer. Whoever asks hears in the end that it was not answered.
    pub(crate) fn carry(
        &mut self,
        (from, to): (usize, usize),
        rng: &mut SmallRng,
        now: Instant,
        arrival: Arrival,
        unheard: Arrival,
    ) {
        let is_cut = self.is_cut(from, now) || self.is_cut(to, now);
        if is_cut || rng.random_bool(self.weather.loss) {
            self.put(now + ASK_WITHIN, unheard);
        } else {
            let at = now + self.delay(rng);
            self.put(at, arrival);
        }
    }

    pub(crate) fn put(&mut self, at: Instant, arrival: Arrival) {
        self.sent += 1;
        self.on_its_way.insert((at, self.sent), arrival);
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.on_its_way.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn take(&mut self, now: Instant) -> Option<Arrival> {
        let entry = self.on_its_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    fn delay(&self, rng: &mut SmallRng) -> Duration {
        Duration::from_millis(rng.random_range(0..=self.weather.delay_max_ms))
    }
}
