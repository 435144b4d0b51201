//! What servers have at the moment, which they are asked at each scrape.

use parking_lot::Mutex;
use wspulse::metrics::{Gauges, Readings};

/// The servers that count here.
#[derive(Debug, Default)]
pub(crate) struct Servers(Mutex<Vec<Gauges>>);

impl Servers {
    pub(crate) fn add(&self, gauges: &Gauges) {
        let mut all = self.0.lock();
        all.retain(|gauges| !gauges.is_gone());
        all.push(gauges.clone());
    }

    /// What they have together. No lock is held while they look: the last handle of one may go with
    /// that, and what the application kept there.
    pub(crate) fn read(&self) -> Readings {
        let all = self.0.lock().clone();
        all.iter().filter_map(Gauges::read).sum()
    }
}
