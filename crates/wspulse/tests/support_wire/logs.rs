//! What the library logs.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Listens to the library on all threads, from now on. It must come before anything is logged: a
/// place in the code that finds no listener at its first event may be taken for uninteresting.
pub(crate) fn listen() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Listener).expect("the only listener");
    });
}

/// The library's log lines on this thread.
pub(crate) struct Logs(());

impl Logs {
    /// Forgets what was logged before.
    pub(crate) fn capture() -> Self {
        listen();
        LINES.take();
        Self(())
    }

    /// The one line of this level that contains this text.
    #[track_caller]
    pub(crate) fn one(&self, level: &str, text: &str) -> String {
        let mut found = self.all(level, text);
        if found.len() != 1 {
            let lines = LINES.take();
            panic!("one line {level} … {text} was expected in {lines:#?}");
        }
        found.remove(0)
    }

    /// The lines of this level that contain this text.
    pub(crate) fn all(&self, level: &str, text: &str) -> Vec<String> {
        let Self(()) = self;
        let matches = |line: &&String| line.starts_with(level) && line.contains(text);
        LINES.with_borrow(|lines| lines.iter().filter(matches).cloned().collect())
    }
}

struct Listener;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wspulse")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
