//! What the library logs.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// What was logged on this thread, with its target; `None` where nobody wants to know.
    static LINES: RefCell<Option<Vec<(&'static str, String)>>> = const { RefCell::new(None) };
}

/// Listens to the library on all threads, from now on. The sooner the better: a place in the code
/// that finds no listener at its first event counts as one that nobody hears.
pub(crate) fn listen() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Listener).expect("the only listener");
        // Other tests may have come to such places meanwhile.
        tracing::callsite::rebuild_interest_cache();
    });
}

/// The library's log lines on this thread, each as `LEVEL message field=value …`.
pub(crate) struct Logs(());

impl Logs {
    /// Forgets what was logged before.
    pub(crate) fn capture() -> Self {
        listen();
        LINES.set(Some(Vec::new()));
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
        self.those(|_, line| line.starts_with(level) && line.contains(text))
    }

    /// The lines of this part of the library, as `wspulse::router`.
    pub(crate) fn of(&self, part: &str) -> Vec<String> {
        self.those(|target, _| target.starts_with(part))
    }

    fn those(&self, are_meant: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let Self(()) = self;
        LINES.with_borrow(|lines| {
            let lines = lines.iter().flatten();
            let meant = lines.filter(|(target, line)| are_meant(target, line));
            meant.map(|(_, line)| line.clone()).collect()
        })
    }
}

struct Listener;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("wspulse")
    }

    fn event(&self, event: &Event<'_>) {
        if LINES.with_borrow(Option::is_none) {
            return;
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        let line = (event.metadata().target(), line.0);
        LINES.with_borrow_mut(|lines| lines.get_or_insert_default().push(line));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
