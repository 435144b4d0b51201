//! The application's callbacks, async or plain, and the panics in them.

use std::fmt;

use wspulse_core::codec::DecodeError;
use wspulse_core::{Disconnect, Frame, TransportLost};

use crate::app::cluster::Gap;
use crate::app::connection::Connection;
use crate::app::restored::Restored;
use crate::app::returning::ReauthorizeFn;
use crate::app::room::Room;
use crate::app::server::spans::ConnectionSpanFn;
use crate::ground::BoxFuture;
use crate::membership::presence::person::PresenceChanges;
use crate::settings::connect::{Admission, ConnectRequest, Rejection};
use crate::settings::error::ConfigError;

/// What a callback may return: a future, if it is async, or nothing, if it is plain.
///
/// Implemented for every `Future<Output = ()> + Send`, for `()`, and for `!`, which is what a closure
/// that only panics returns; the parameter only tells the kinds apart and is inferred.
#[diagnostic::on_unimplemented(
    message = "a callback returns nothing: handle the error or drop the result",
    label = "this returns `{Self}`",
    note = "for instance `let _ = conn.send(frame);`, with the semicolon; an async callback is a \
            `Future<Output = ()>` that is `Send`"
)]
pub trait CallbackOutput<Kind>: sealed::Sealed<Kind> {}

/// What an async connect function returns: a future of an admission or a rejection.
///
/// Implemented for all of them; it is there for the compiler's message to whoever passes a plain
/// function.
#[diagnostic::on_unimplemented(
    message = "the connect function of `Server::builder` must be async",
    label = "this function returns no future",
    note = "give a plain function to `Server::builder_sync`, or have it return an `async` block"
)]
pub trait ConnectFuture: Future<Output = Result<Admission, Rejection>> + Send + 'static {}

impl<F: Future<Output = Result<Admission, Rejection>> + Send + 'static> ConnectFuture for F {}

/// Marks callbacks that return a future.
#[derive(Debug)]
pub enum Async {}

/// Marks callbacks that are finished when they return.
#[derive(Debug)]
pub enum Plain {}

mod sealed {
    pub trait Sealed<Kind> {
        fn into_outcome(self) -> super::Outcome;
    }
}

impl<F: Future<Output = ()> + Send + 'static> CallbackOutput<Async> for F {}

impl<F: Future<Output = ()> + Send + 'static> sealed::Sealed<Async> for F {
    fn into_outcome(self) -> Outcome {
        Outcome::Pending(Box::pin(self))
    }
}

impl CallbackOutput<Plain> for () {}

impl sealed::Sealed<Plain> for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

/// `!`, which has no other name in stable Rust.
type Never = <fn() -> ! as Returns>::Output;

/// A function's output, by a name.
pub trait Returns {
    /// What it returns.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

// What the compiler would call it in its messages helps nobody.
#[diagnostic::do_not_recommend]
impl CallbackOutput<Plain> for Never {}

impl sealed::Sealed<Plain> for Never {
    fn into_outcome(self) -> Outcome {
        self
    }
}

/// What is left of a callback after its call.
pub enum Outcome {
    /// Nothing.
    Done,
    /// A future to poll.
    Pending(BoxFuture<()>),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Pending(_) => "Pending",
        })
    }
}

pub(crate) fn outcome<Kind, R: CallbackOutput<Kind>>(output: R) -> Outcome {
    sealed::Sealed::into_outcome(output)
}

type Callback<T> = Box<dyn Fn(Connection, T) -> Outcome + Send + Sync>;

pub(crate) type ConnectFn = Box<dyn Fn(ConnectRequest) -> ConnectOutcome + Send + Sync>;

/// What calling a connect function has come to.
pub(crate) enum ConnectOutcome {
    /// A plain one has answered.
    Answered(Result<Admission, Rejection>),
    /// An async one will.
    Pending(BoxFuture<Result<Admission, Rejection>>),
}

/// All callbacks of a server but the connect function; absent ones cost nothing.
#[derive(Default)]
pub(crate) struct Callbacks {
    pub(crate) connect: Option<Box<dyn Fn(Connection) -> Outcome + Send + Sync>>,
    pub(crate) message: Option<Callback<Frame>>,
    pub(crate) undecodable: Option<Callback<DecodeError>>,
    pub(crate) transport_drop: Option<Callback<TransportLost>>,
    pub(crate) transport_restore: Option<Callback<Restored>>,
    pub(crate) join: Option<Callback<Room>>,
    pub(crate) leave: Option<Callback<Room>>,
    pub(crate) expiring: Option<Box<dyn Fn(Connection) -> Outcome + Send + Sync>>,
    pub(crate) reauthorize: Option<ReauthorizeFn>,
    pub(crate) disconnect: Option<Callback<Disconnect>>,
    pub(crate) presence: Option<Box<dyn Fn(Room, PresenceChanges) + Send + Sync>>,
    pub(crate) connection_span: Option<ConnectionSpanFn>,
    pub(crate) gap: Option<Box<dyn Fn(Gap) + Send + Sync>>,
}

impl Callbacks {
    /// Whether anybody wants to hear of rooms.
    pub(crate) const fn hear_of_rooms(&self) -> bool {
        self.join.is_some() || self.leave.is_some()
    }

    /// # Errors
    ///
    /// [`ConfigError`] for a callback that would never be called.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.undecodable.is_some() && self.message.is_none() {
            let rule = "must come with on_message or router, without which nothing is decoded";
            return Err(ConfigError::new("on_undecodable", format_args!("alone"), rule));
        }
        Ok(())
    }
}
