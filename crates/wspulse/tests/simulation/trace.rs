//! All that happens in a life, with its virtual time: what two runs of one seed have in common.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Who was told something, or did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The callbacks of the connection that was admitted as this one.
    Connection(usize),
    /// The client at this transport.
    Transport(usize),
    /// A metrics hook.
    Hook,
    /// The scenario.
    World,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    at: Duration,
    who: Who,
    what: Cow<'static, str>,
    number: usize,
}

/// The events of one life, in order.
#[derive(Debug)]
pub(crate) struct Trace {
    begun_at: Instant,
    events: Mutex<Vec<Event>>,
}

impl Trace {
    pub(crate) fn begin() -> Self {
        Self { begun_at: Instant::now(), events: Mutex::default() }
    }

    pub(crate) fn note(&self, who: Who, what: impl Into<Cow<'static, str>>, number: usize) {
        let event = Event { at: self.begun_at.elapsed(), who, what: what.into(), number };
        self.events.lock().unwrap().push(event);
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

/// The same for equal traces, also in another process.
pub(crate) fn digest(events: &[Event]) -> u64 {
    let mut hasher = DefaultHasher::new();
    events.hash(&mut hasher);
    hasher.finish()
}
