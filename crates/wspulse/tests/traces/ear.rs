//! A subscriber that remembers all that it is told.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::{LookupSpan, Scope};

pub(crate) type Fields = BTreeMap<&'static str, String>;

/// An event or a span, with the names of the spans around it, outermost first.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    /// The name of a span; the message of an event is among its fields.
    pub(crate) name: &'static str,
    pub(crate) is_span: bool,
    pub(crate) is_closed: bool,
    pub(crate) inside: Vec<&'static str>,
    pub(crate) fields: Fields,
}

/// All that was told on this thread.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<Vec<Told>>>);

/// Where a span's account is.
struct Place(usize);

struct Taken<'a>(&'a mut Fields);

impl Visit for Taken<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Ear {
    fn tell(
        &self,
        metadata: &'static Metadata<'static>,
        is_span: bool,
        told: (Vec<&'static str>, Fields),
    ) -> usize {
        let (inside, fields) = told;
        let (level, target, name) = (*metadata.level(), metadata.target(), metadata.name());
        let mut all = self.0.lock().unwrap();
        all.push(Told { level, target, name, is_span, is_closed: false, inside, fields });
        all.len() - 1
    }

    pub(crate) fn all(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn spans(&self, name: &str) -> Vec<Told> {
        self.all().into_iter().filter(|it| it.is_span && it.name == name).collect()
    }

    /// The one event with this message.
    #[track_caller]
    pub(crate) fn event(&self, message: &str) -> Told {
        let all = self.all();
        let mut found =
            all.iter().filter(|it| it.fields.get("message").is_some_and(|it| it == message));
        let event = found.next().unwrap_or_else(|| panic!("{message}: {all:#?}"));
        assert!(found.next().is_none(), "{message} is there twice: {all:#?}");
        event.clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Taken(&mut fields));
        let span = context.span(id).unwrap();
        let inside = span.scope().from_root().map(|it| it.name()).collect();
        let place = self.tell(attributes.metadata(), true, (inside, fields));
        span.extensions_mut().insert(Place(place));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let place = span.extensions().get::<Place>().unwrap().0;
        record.record(&mut Taken(&mut self.0.lock().unwrap()[place].fields));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Taken(&mut fields));
        let scope = context.event_scope(event);
        let inside = scope.into_iter().flat_map(Scope::from_root).map(|it| it.name()).collect();
        self.tell(event.metadata(), false, (inside, fields));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let place = context.span(&id).unwrap().extensions().get::<Place>().unwrap().0;
        self.0.lock().unwrap()[place].is_closed = true;
    }
}

/// Listens on this thread. Elsewhere in the process nobody does, and a place in the code that is
/// first come to there must not count as one that nobody hears.
pub(crate) fn listen(max: Level) -> (Ear, tracing::subscriber::DefaultGuard) {
    static ELSEWHERE: OnceLock<()> = OnceLock::new();
    ELSEWHERE.get_or_init(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    });
    let ear = Ear::default();
    let filter = tracing_subscriber::filter::LevelFilter::from_level(max);
    let subscriber = tracing_subscriber::registry().with(filter).with(ear.clone());
    (ear, tracing::subscriber::set_default(subscriber))
}
