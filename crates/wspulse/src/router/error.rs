//! What can go wrong while a router is built and while it runs.

use std::any::type_name;
use std::error::Error;
use std::fmt;

use wspulse_core::{PanicError, PayloadError};

/// A mistake in the setup of a router, found by
/// [`RouterBuilder::build`](super::RouterBuilder::build).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouterError {
    /// A handler was registered for the empty event. Frames without an event go to the
    /// [fallback](super::RouterBuilder::fallback).
    #[error("wspulse: router: event must not be empty")]
    EmptyEvent,
    /// Two handlers were registered for one event.
    #[error("wspulse: router: duplicate registration for event {event:?}")]
    DuplicateEvent {
        /// The event.
        event: String,
    },
    /// A handler takes [`State<S>`](super::State) as an argument, and the router was given no
    /// [state](super::RouterBuilder::state) of this type.
    #[error(
        "wspulse: router: {} takes State<{type_name}>, and the router was given none; see \
         RouterBuilder::state",
        whose(event.as_deref())
    )]
    MissingState {
        /// The event whose handler it is; `None` for the fallback.
        event: Option<String>,
        /// The type, for people to read.
        type_name: &'static str,
    },
}

fn whose(event: Option<&str>) -> String {
    event.map_or_else(|| "the fallback".into(), |event| format!("the handler of event {event:?}"))
}

/// An argument that a handler asks for and that the frame, the connection or the middleware before
/// it did not provide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The payload does not fit the type that the handler wants.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No middleware put a value of this type into the
    /// [extensions](super::Context::extensions_mut).
    #[error("no extension of type {type_name} in the context")]
    MissingExtension {
        /// The type, for people to read.
        type_name: &'static str,
    },
    /// The router was given no [state](super::RouterBuilder::state) of this type.
    #[error("no state of type {type_name} given to the router; see RouterBuilder::state")]
    MissingState {
        /// The type, for people to read.
        type_name: &'static str,
    },
    /// [`Admission::data`](crate::Admission::data) attached nothing of this type to the connection.
    #[error("no data of type {type_name} attached to the connection")]
    MissingData {
        /// The type, for people to read.
        type_name: &'static str,
    },
}

impl ExtractError {
    pub(super) fn missing_extension<T>() -> Self {
        Self::MissingExtension { type_name: type_name::<T>() }
    }

    pub(super) fn missing_state<T>() -> Self {
        Self::MissingState { type_name: type_name::<T>() }
    }

    pub(super) fn missing_data<T>() -> Self {
        Self::MissingData { type_name: type_name::<T>() }
    }
}

/// Why a handler or a middleware failed. It travels outwards through the middleware and ends in
/// [`RouterBuilder::on_error`](super::RouterBuilder::on_error).
///
/// Every error converts into one, as do strings and `anyhow`'s, so `?` works on all of them.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandlerError {
    /// The handler was not called: one of its arguments could not be had.
    Extract(ExtractError),
    /// An error of the application, from a handler, a middleware or an extractor of its own.
    Application(Box<dyn Error + Send + Sync>),
    /// A panic that [`Recovery`](super::Recovery) caught and logged.
    Panicked(PanicError),
}

impl HandlerError {
    /// The error inside, for its sources and its text.
    pub fn as_error(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Extract(error) => error,
            Self::Application(error) => &**error,
            Self::Panicked(error) => error,
        }
    }

    /// What a client may be told: whether it or the application is to mend something. It holds
    /// nothing of the error's own text, which may tell of the application's inside.
    pub const fn for_client(&self) -> &'static str {
        match self {
            Self::Extract(ExtractError::Payload(_)) => "the payload does not fit the event",
            Self::Extract(
                ExtractError::MissingExtension { .. }
                | ExtractError::MissingState { .. }
                | ExtractError::MissingData { .. },
            )
            | Self::Application(_)
            | Self::Panicked(_) => "internal error",
        }
    }

    /// The error inside, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.as_error().downcast_ref()
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_error(), f)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        match error.into().downcast::<ExtractError>() {
            Ok(error) => Self::Extract(*error),
            Err(error) => Self::Application(error),
        }
    }
}
