//! The callbacks of a server under test: each call is noted before it is made.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;
use wspulse_core::codec::DecodeError;
use wspulse_core::{Disconnect, Frame, TransportLost};

use super::trace::Trace;
use crate::app::builder::ServerBuilder;
use crate::app::connection::Connection;
use crate::app::handler::{Callbacks, Outcome};
use crate::app::room::Room;
use crate::observe::metrics::CallbackKind;

/// A callback and what it was called with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Called {
    /// `on_connect`.
    Connect(Connection),
    /// `on_message`, or the router in its place; only if the application has one.
    Message(Connection, Frame),
    /// `on_undecodable`; only if the application has one.
    Undecodable(Connection, DecodeError),
    /// `on_transport_drop`.
    TransportDrop(Connection, TransportLost),
    /// `on_transport_restore`.
    TransportRestore(Connection),
    /// `on_join`; only if the application has it or `on_leave`.
    Join(Connection, Room),
    /// `on_leave`; only if the application has it or `on_join`.
    Leave(Connection, Room),
    /// `on_expiring`; only if the application has one.
    Expiring(Connection),
    /// `on_disconnect`.
    Disconnect(Connection, Disconnect),
}

impl Called {
    /// Which callback.
    pub const fn kind(&self) -> CallbackKind {
        match self {
            Self::Connect(_) => CallbackKind::Connect,
            Self::Message(..) => CallbackKind::Message,
            Self::Undecodable(..) => CallbackKind::Undecodable,
            Self::TransportDrop(..) => CallbackKind::TransportDrop,
            Self::TransportRestore(_) => CallbackKind::TransportRestore,
            Self::Join(..) => CallbackKind::Join,
            Self::Leave(..) => CallbackKind::Leave,
            Self::Expiring(_) => CallbackKind::Expiring,
            Self::Disconnect(..) => CallbackKind::Disconnect,
        }
    }

    /// For which connection.
    pub const fn connection(&self) -> &Connection {
        match self {
            Self::Connect(connection)
            | Self::Message(connection, _)
            | Self::Undecodable(connection, _)
            | Self::TransportDrop(connection, _)
            | Self::TransportRestore(connection)
            | Self::Join(connection, _)
            | Self::Leave(connection, _)
            | Self::Expiring(connection)
            | Self::Disconnect(connection, _) => connection,
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.connection().id())?;
        match self {
            Self::Connect(_) | Self::TransportRestore(_) | Self::Expiring(_) => Ok(()),
            Self::Message(_, frame) => write!(f, ": {}", super::inbox::shown(frame)),
            Self::Undecodable(_, error) => write!(f, ": {error}"),
            Self::TransportDrop(_, cause) => write!(f, ": {cause}"),
            Self::Join(_, room) | Self::Leave(_, room) => write!(f, ": {}", room.id()),
            Self::Disconnect(_, end) => write!(f, ": {end}"),
        }
    }
}

/// What the server's callbacks were called with and no assertion has taken yet. A handle that is
/// cheap to clone. Get it from [`TestServer::callbacks`](super::TestServer::callbacks).
#[derive(Debug, Clone)]
pub struct CallbackLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    trace: Trace,
    untaken: Mutex<VecDeque<Called>>,
}

impl CallbackLog {
    pub(super) fn new(trace: Trace) -> Self {
        Self(Arc::new(Shared { trace, untaken: Mutex::default() }))
    }

    /// Waits for this callback for the connection of this id, and takes it; others stay for other
    /// assertions.
    ///
    /// # Panics
    ///
    /// If it is not called within [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn expect(&self, kind: CallbackKind, id: &str) -> impl Future<Output = Called> {
        let (at, wanted) = (Location::caller(), format!("{kind} for {id}"));
        self.take(at, wanted, move |called| called.kind() == kind && called.connection().id() == id)
    }

    /// Waits for `on_connect` for this id, and takes it.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn expect_connect(&self, id: &str) -> impl Future<Output = Connection> {
        let called = self.expect(CallbackKind::Connect, id);
        async { called.await.connection().clone() }
    }

    /// Waits for `on_transport_drop` for this id, and takes it.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn expect_transport_drop(&self, id: &str) -> impl Future<Output = TransportLost> {
        let called = self.expect(CallbackKind::TransportDrop, id);
        async {
            let Called::TransportDrop(_, cause) = called.await else { unreachable!("its kind") };
            cause
        }
    }

    /// Waits for `on_transport_restore` for this id, and takes it.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn expect_transport_restore(&self, id: &str) -> impl Future<Output = Connection> {
        let called = self.expect(CallbackKind::TransportRestore, id);
        async { called.await.connection().clone() }
    }

    /// Waits for `on_disconnect` for this id, and takes it.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn expect_disconnect(&self, id: &str) -> impl Future<Output = Disconnect> {
        let called = self.expect(CallbackKind::Disconnect, id);
        async {
            let Called::Disconnect(_, end) = called.await else { unreachable!("its kind") };
            end
        }
    }

    /// Waits for the next callback, whichever it is, and takes it.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn next(&self) -> impl Future<Output = Called> {
        self.take(Location::caller(), "any callback".to_owned(), |_| true)
    }

    /// Those that have been called and were not taken, in their order; takes them.
    pub fn take_all(&self) -> Vec<Called> {
        self.0.untaken.lock().drain(..).collect()
    }

    /// Asserts that this callback was not called for this id, or was taken, and is not called
    /// within the next 100 ms.
    ///
    /// # Panics
    ///
    /// If it was, or is.
    #[track_caller]
    pub fn refute(&self, kind: CallbackKind, id: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let is_it = |called: &Called| called.kind() == kind && called.connection().id() == id;
            let look = || self.0.untaken.lock().iter().find(|called| is_it(called)).cloned();
            if let Some(called) = self.0.trace.find_soon(look).await {
                self.0.trace.fail(at, format_args!("this was not to be called: {called}"));
            }
        }
    }

    async fn take(
        &self,
        at: &'static Location<'static>,
        wanted: String,
        is_it: impl Fn(&Called) -> bool,
    ) -> Called {
        let look = || {
            let mut untaken = self.0.untaken.lock();
            let place = untaken.iter().position(&is_it)?;
            untaken.remove(place)
        };
        let trace = &self.0.trace;
        let found = trace.find(look).await;
        found.unwrap_or_else(|| {
            trace.fail(at, format_args!("{wanted} was not called within {:?}", trace.patience()))
        })
    }

    fn note(&self, called: Called) {
        let text = called.to_string();
        self.0.untaken.lock().push_back(called);
        self.0.trace.note("callback", text);
    }

    /// Has a server's callbacks noted here, each before the application's own is called.
    pub(super) fn watch(&self, builder: &mut ServerBuilder) {
        let callbacks = builder.callbacks_mut();
        self.watch_lives(callbacks);
        self.watch_what_is_there(callbacks);
    }

    /// Those that cost and change nothing where the application has none.
    fn watch_lives(&self, callbacks: &mut Callbacks) {
        let (log, own) = (self.clone(), callbacks.connect.take());
        callbacks.connect = Some(Box::new(move |connection| {
            log.note(Called::Connect(connection.clone()));
            own.as_ref().map_or(Outcome::Done, |own| own(connection))
        }));
        let (log, own) = (self.clone(), callbacks.transport_drop.take());
        callbacks.transport_drop = Some(Box::new(move |connection, cause| {
            log.note(Called::TransportDrop(connection.clone(), cause.clone()));
            own.as_ref().map_or(Outcome::Done, |own| own(connection, cause))
        }));
        let (log, own) = (self.clone(), callbacks.transport_restore.take());
        callbacks.transport_restore = Some(Box::new(move |connection, restored| {
            log.note(Called::TransportRestore(connection.clone()));
            own.as_ref().map_or(Outcome::Done, |own| own(connection, restored))
        }));
        let (log, own) = (self.clone(), callbacks.disconnect.take());
        callbacks.disconnect = Some(Box::new(move |connection, end| {
            log.note(Called::Disconnect(connection.clone(), end.clone()));
            own.as_ref().map_or(Outcome::Done, |own| own(connection, end))
        }));
    }

    /// Those by which a server does something that it else would not.
    fn watch_what_is_there(&self, callbacks: &mut Callbacks) {
        if let Some(own) = callbacks.message.take() {
            let log = self.clone();
            callbacks.message = Some(Box::new(move |connection, frame| {
                log.note(Called::Message(connection.clone(), frame.clone()));
                own(connection, frame)
            }));
        }
        if let Some(own) = callbacks.undecodable.take() {
            let log = self.clone();
            callbacks.undecodable = Some(Box::new(move |connection, error| {
                log.note(Called::Undecodable(connection.clone(), error.clone()));
                own(connection, error)
            }));
        }
        if let Some(own) = callbacks.expiring.take() {
            let log = self.clone();
            callbacks.expiring = Some(Box::new(move |connection| {
                log.note(Called::Expiring(connection.clone()));
                own(connection)
            }));
        }
        if callbacks.hear_of_rooms() {
            let (log, own) = (self.clone(), callbacks.join.take());
            callbacks.join = Some(Box::new(move |connection, room| {
                log.note(Called::Join(connection.clone(), room.clone()));
                own.as_ref().map_or(Outcome::Done, |own| own(connection, room))
            }));
            let (log, own) = (self.clone(), callbacks.leave.take());
            callbacks.leave = Some(Box::new(move |connection, room| {
                log.note(Called::Leave(connection.clone(), room.clone()));
                own.as_ref().map_or(Outcome::Done, |own| own(connection, room))
            }));
        }
    }
}
