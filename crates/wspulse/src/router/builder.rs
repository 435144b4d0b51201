//! The setup of a router.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use http::Extensions;
use wspulse_core::{Escaped, Frame, PayloadError};

use super::context::Context;
use super::error::{ExtractError, HandlerError, RouterError};
use super::handler::Handler;
use super::middleware::{Chain, Endpoint, Layer, Middleware};
use super::reply::ReplyError;
use super::{Router, Table};
use crate::app::connection::Connection;
use crate::app::handler::{CallbackOutput, Outcome, outcome};
use crate::ground::sync::Mutex;
use crate::ground::throttle::Throttle;
use crate::settings::error::{BroadcastError, SendError};

/// Builds a [`Router`]. Mistakes are told by [`build`](Self::build).
#[must_use = "a builder does nothing until it is built"]
pub struct RouterBuilder {
    layers: Vec<Layer>,
    routes: Vec<Route>,
    state: Extensions,
    fallback: Registered,
    on_error: ErrorHandler,
}

struct Route {
    event: String,
    layers: Vec<Layer>,
    handler: Registered,
}

/// A handler, whose type is known no more.
struct Registered {
    endpoint: Endpoint,
    missing_state: fn(&Extensions) -> Option<&'static str>,
}

/// What clients bring about is a line in a while, and the others are at DEBUG.
type Log = Mutex<Throttle>;

pub(super) type ErrorHandler =
    Box<dyn Fn(Connection, Frame, HandlerError) -> Outcome + Send + Sync>;

impl RouterBuilder {
    pub(super) fn new() -> Self {
        let (unmatched_log, failed_log) = (Log::default(), Log::default());
        Self {
            layers: Vec::new(),
            routes: Vec::new(),
            state: Extensions::new(),
            fallback: registered(move |context: Context| unmatched(&context, &unmatched_log)),
            on_error: Box::new(move |connection, frame, error| {
                tell_failed(&connection, &frame, &error, &failed_log);
                Outcome::Done
            }),
        }
    }

    /// Registers the handler of an event. Events match exactly and in their case.
    ///
    /// See [`Handler`] for the functions that may be given.
    pub fn on<Args>(self, event: impl Into<String>, handler: impl Handler<Args>) -> Self {
        self.on_with(event, [], handler)
    }

    /// Registers the handler of an event together with middleware for this event only. It runs in
    /// the order given, inside the middleware for all events.
    ///
    /// ```
    /// use wspulse::router::{Context, HandlerResult, Layer, Next, Router};
    ///
    /// async fn admins_only(context: Context, next: Next) -> HandlerResult {
    ///     if context.connection().room_id() != "admins" {
    ///         return Err("not allowed".into());
    ///     }
    ///     next.run(context).await
    /// }
    ///
    /// let admin = [Layer::new(admins_only)];
    /// let router = Router::builder()
    ///     .on_with("user.mute", admin.clone(), || {})
    ///     .on_with("user.kick", admin, || {})
    ///     .build()?;
    /// # Ok::<(), wspulse::router::RouterError>(())
    /// ```
    pub fn on_with<Args>(
        mut self,
        event: impl Into<String>,
        layers: impl IntoIterator<Item = Layer>,
        handler: impl Handler<Args>,
    ) -> Self {
        self.routes.push(Route {
            event: event.into(),
            layers: layers.into_iter().collect(),
            handler: registered(handler),
        });
        self
    }

    /// Gives all handlers and middleware something to share, such as a pool of database
    /// connections; they take a copy of it as [`State<S>`](super::State). There is one value for
    /// each type: the last one given counts. [`build`](Self::build) refuses a handler that takes
    /// state which was not given.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use wspulse::router::{Router, State};
    ///
    /// struct Database {}
    ///
    /// let router = Router::builder()
    ///     .state(Arc::new(Database {}))
    ///     .on("save", |State(database): State<Arc<Database>>| drop(database))
    ///     .build()?;
    /// # Ok::<(), wspulse::router::RouterError>(())
    /// ```
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.state.insert(state);
        self
    }

    /// Adds middleware around the handlers of all events and around the fallback, wherever in the
    /// setup they are registered. The first one added is the outermost.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.push(Layer::new(middleware));
        self
    }

    /// Sets the handler of frames whose event has no other, or that have none. Default: a warning
    /// in the log. The last one given is the one that counts.
    pub fn fallback<Args>(mut self, handler: impl Handler<Args>) -> Self {
        self.fallback = registered(handler);
        self
    }

    /// Called with what a chain failed with, after all its middleware, such as to tell the client:
    /// async or plain. Default: a warning in the log, with the event and the connection's id. The
    /// last one given is the one that counts.
    ///
    /// No middleware is around it: a panic in it ends the transport.
    pub fn on_error<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, Frame, HandlerError) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.on_error =
            Box::new(move |connection, frame, error| outcome(callback(connection, frame, error)));
        self
    }

    /// Checks the setup and makes the router.
    ///
    /// # Errors
    ///
    /// [`RouterError`] for the first handler that was registered for the empty event, or for an
    /// event that has one already, or that takes [`State`](super::State) that the router was not
    /// given.
    pub fn build(self) -> Result<Router, RouterError> {
        let Self { layers, routes, state, fallback, on_error } = self;
        let mut chains = HashMap::with_capacity(routes.len());
        for Route { event, layers: inner, handler } in routes {
            if event.is_empty() {
                return Err(RouterError::EmptyEvent);
            }
            let endpoint = handler.checked(&state, Some(&event))?;
            match chains.entry(event) {
                Entry::Occupied(taken) => {
                    return Err(RouterError::DuplicateEvent { event: taken.key().clone() });
                }
                Entry::Vacant(free) => {
                    let layers = layers.iter().cloned().chain(inner).collect();
                    free.insert(Arc::new(Chain { layers, endpoint }));
                }
            }
        }
        let endpoint = fallback.checked(&state, None)?;
        let fallback = Arc::new(Chain { layers: layers.into(), endpoint });
        Ok(Router { table: Arc::new(Table { chains, state: Arc::new(state), fallback, on_error }) })
    }
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.routes.iter().map(|route| &route.event);
        f.debug_struct("RouterBuilder")
            .field("layers", &self.layers.len())
            .field("events", &events.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Registered {
    /// The handler, if the router has the state that it takes.
    fn checked(self, state: &Extensions, event: Option<&str>) -> Result<Endpoint, RouterError> {
        match (self.missing_state)(state) {
            None => Ok(self.endpoint),
            Some(type_name) => {
                Err(RouterError::MissingState { event: event.map(String::from), type_name })
            }
        }
    }
}

fn registered<Args, H: Handler<Args>>(handler: H) -> Registered {
    Registered {
        endpoint: Box::new(move |context| handler.call(context)),
        missing_state: H::missing_state,
    }
}

/// A client that may hear of it makes no line in the log.
fn unmatched(context: &Context, log: &Log) -> Result<(), ReplyError> {
    if context.connection().server().options().requests.answers_failure_of(context.frame()) {
        let text = "there is no handler for this event";
        return Err(ReplyError::new(ReplyError::UNKNOWN_EVENT, text));
    }
    let (event, id) = (Escaped::new(context.event()), Escaped::new(context.connection().id()));
    let (event, id) = (event.as_str(), id.as_str());
    let due = log.lock().due();
    if let Some(before) = due {
        let not_logged = (before > 0).then_some(before);
        tracing::warn!(event, id, not_logged, "router: unmatched event");
    } else {
        tracing::debug!(event, id, "router: unmatched event");
    }
    Ok(())
}

/// What the log may hold of an error: where a payload is what it is about, no value out of it.
fn loggable(error: &HandlerError) -> Escaped<'static> {
    if let HandlerError::Extract(ExtractError::Payload(payload)) = error {
        return Escaped::display(&payload.summary());
    }
    let mut inner = Some(error.as_error());
    while let Some(cause) = inner {
        if let Some(payload) = cause.downcast_ref::<PayloadError>() {
            return Escaped::display(&payload.summary());
        }
        inner = cause.source();
    }
    Escaped::error(error.as_error())
}

/// Whether it says that the connection or the server has ended to which something was to be said.
fn is_of_an_end(error: &HandlerError) -> bool {
    let error = error.as_error();
    matches!(error.downcast_ref(), Some(SendError::Closed { .. } | SendError::NotFound { .. }))
        || matches!(error.downcast_ref(), Some(BroadcastError::ServerClosed { .. }))
}

fn tell_failed(connection: &Connection, frame: &Frame, error: &HandlerError, log: &Log) {
    match error {
        HandlerError::Extract(_) | HandlerError::Application(_) => {}
        // Whoever caught it has logged it.
        HandlerError::Panicked(_) => return,
    }
    let is_told_to_nobody = is_of_an_end(error);
    let (event, id) = (Escaped::new(frame.event()), Escaped::new(connection.id()));
    let (event, id, error) = (event.as_str(), id.as_str(), loggable(error));
    // That somebody goes while a handler runs is no fault of the handler's.
    let due = if is_told_to_nobody { None } else { log.lock().due() };
    if let Some(before) = due {
        let not_logged = (before > 0).then_some(before);
        tracing::warn!(event, id, %error, not_logged, "router: handler failed");
    } else {
        tracing::debug!(event, id, %error, "router: handler failed");
    }
}
