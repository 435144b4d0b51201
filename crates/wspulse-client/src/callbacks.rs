//! Functions that are called in place of handing events to the stream.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::event::Event;

/// Takes the events that are meant for it, and gives the others back.
type Callback = Box<dyn FnMut(Event) -> Option<Event> + Send>;

#[derive(Default)]
pub(crate) struct Callbacks(Vec<Callback>);

impl Callbacks {
    pub(crate) fn add(&mut self, callback: impl FnMut(Event) -> Option<Event> + Send + 'static) {
        self.0.push(Box::new(callback));
    }

    /// Calls whichever function the event is meant for; gives it back if there is none.
    ///
    /// A callback that panics has had its event: the panic hook has told of it, and it would panic
    /// again.
    pub(crate) fn call(&mut self, event: Event) -> Option<Event> {
        let mut event = Some(event);
        for callback in &mut self.0 {
            let given = event.take()?;
            event = catch_unwind(AssertUnwindSafe(|| callback(given))).unwrap_or(None);
        }
        event
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} callbacks", self.0.len())
    }
}
