//! The arguments that handlers may take.

use std::any::{Any, type_name};
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use http::Extensions;
use serde::de::DeserializeOwned;
use wspulse_core::Frame;

use super::context::Context;
use super::error::{ExtractError, HandlerError};
use crate::app::connection::Connection;

/// A type that handlers may take as an argument.
///
/// Implement it for types of your own, such as a user looked up in the connection's data:
///
/// ```
/// use wspulse::router::{Context, Data, ExtractError, FromContext};
///
/// struct Session {
///     user: String,
/// }
///
/// struct User(String);
///
/// impl FromContext for User {
///     type Error = ExtractError;
///
///     fn from_context(context: &Context) -> Result<Self, ExtractError> {
///         let session = context.extract::<Data<Session>>()?;
///         Ok(Self(session.user.clone()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot take an argument of type `{Self}`",
    note = "arguments are `Connection`, `Frame`, `Context`, `Event`, `Json<T>`, `MsgPack<T>` with \
            the feature `msgpack`, `State<S>`, `Extension<T>`, `Data<T>`, a `Result` of one of them, or a \
            type that implements `FromContext`",
    note = "`Json<T>` needs `T: serde::de::DeserializeOwned`, as by `#[derive(Deserialize)]`"
)]
pub trait FromContext: Sized {
    /// Why the argument could not be had. It becomes the handler's error.
    type Error: Into<HandlerError>;

    /// Makes the argument.
    ///
    /// # Errors
    ///
    /// If the context does not hold what it is made of.
    fn from_context(context: &Context) -> Result<Self, Self::Error>;

    /// The name of a type of state without which this argument can never be had, if the router was
    /// given none: it is then refused by [`RouterBuilder::build`](super::RouterBuilder::build).
    ///
    /// An extractor of your own that extracts a [`State`] asks that; otherwise what is missing is
    /// an error of each frame.
    ///
    /// ```
    /// # use wspulse::router::{Context, ExtractError, FromContext, State};
    /// # #[derive(Clone)]
    /// # struct Database {}
    /// struct Stock(Database);
    ///
    /// impl FromContext for Stock {
    ///     type Error = ExtractError;
    ///
    ///     fn from_context(context: &Context) -> Result<Self, ExtractError> {
    ///         let State(database) = context.extract()?;
    ///         Ok(Self(database))
    ///     }
    ///
    ///     fn missing_state(state: &http::Extensions) -> Option<&'static str> {
    ///         State::<Database>::missing_state(state)
    ///     }
    /// }
    /// ```
    fn missing_state(state: &Extensions) -> Option<&'static str> {
        let _ = state;
        None
    }
}

impl FromContext for Connection {
    type Error = Infallible;

    fn from_context(context: &Context) -> Result<Self, Infallible> {
        Ok(context.connection().clone())
    }
}

impl FromContext for Frame {
    type Error = Infallible;

    fn from_context(context: &Context) -> Result<Self, Infallible> {
        Ok(context.frame().clone())
    }
}

/// A copy of the whole context. Extensions are cloned, which [`Extension`] does for one only.
impl FromContext for Context {
    type Error = Infallible;

    fn from_context(context: &Context) -> Result<Self, Infallible> {
        Ok(context.clone())
    }
}

/// Hands an extractor's failure to the handler, in place of failing before it.
impl<T: FromContext> FromContext for Result<T, T::Error> {
    type Error = Infallible;

    fn from_context(context: &Context) -> Result<Self, Infallible> {
        Ok(T::from_context(context))
    }
}

/// The payload, read as JSON by [`Frame::to_json`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromContext for Json<T> {
    type Error = ExtractError;

    fn from_context(context: &Context) -> Result<Self, ExtractError> {
        Ok(Self(context.frame().to_json()?))
    }
}

/// The payload, read as MessagePack by [`Frame::to_msgpack`].
#[cfg(feature = "msgpack")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsgPack<T>(pub T);

#[cfg(feature = "msgpack")]
impl<T: DeserializeOwned> FromContext for MsgPack<T> {
    type Error = ExtractError;

    fn from_context(context: &Context) -> Result<Self, ExtractError> {
        Ok(Self(context.frame().to_msgpack()?))
    }
}

/// The frame's event; empty in a fallback that got a frame without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(Frame);

impl Event {
    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.event()
    }
}

impl Deref for Event {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromContext for Event {
    type Error = Infallible;

    fn from_context(context: &Context) -> Result<Self, Infallible> {
        Ok(Self(context.frame().clone()))
    }
}

/// A copy of the value that middleware put into the [extensions](Context::extensions_mut).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromContext for Extension<T> {
    type Error = ExtractError;

    fn from_context(context: &Context) -> Result<Self, ExtractError> {
        let value = context.extensions().get::<T>().cloned();
        value.map(Self).ok_or_else(ExtractError::missing_extension::<T>)
    }
}

/// A copy of the state of this type that the router was
/// [given](super::RouterBuilder::state): a pool of database connections, a configuration.
///
/// [`RouterBuilder::build`](super::RouterBuilder::build) refuses a handler that takes what the
/// router was not given; where middleware asks for it, that is an error of each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<S>(pub S);

impl<S: Clone + Send + Sync + 'static> FromContext for State<S> {
    type Error = ExtractError;

    fn from_context(context: &Context) -> Result<Self, ExtractError> {
        let state = context.state::<S>().cloned();
        state.map(Self).ok_or_else(ExtractError::missing_state::<S>)
    }

    fn missing_state(state: &Extensions) -> Option<&'static str> {
        state.get::<S>().is_none().then(type_name::<S>)
    }
}

/// The data that [`Admission::data`](crate::Admission::data) attached to the connection. It is
/// shared, not copied.
#[derive(Debug)]
pub struct Data<T>(Arc<T>);

impl<T> Deref for Data<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Data<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Any + Send + Sync> FromContext for Data<T> {
    type Error = ExtractError;

    fn from_context(context: &Context) -> Result<Self, ExtractError> {
        let data = context.connection().shared().data.share();
        let data = data.and_then(|data| data.downcast().ok());
        data.map(Self).ok_or_else(ExtractError::missing_data::<T>)
    }
}
