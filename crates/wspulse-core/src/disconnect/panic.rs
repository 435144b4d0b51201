//! A panic as the cause of a loss.

use std::any::Any;
use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::escaped::Escaped;

/// A panic in a callback, caught.
#[derive(Debug, Clone)]
pub struct PanicError {
    message: Arc<str>,
    origin: Option<Arc<Origin>>,
}

/// Where a panic began.
#[derive(Debug)]
struct Origin {
    location: String,
    backtrace: Backtrace,
}

impl PanicError {
    /// Keeps the text of a caught panic.
    pub fn new(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("panic with a value that is not text");
        Self { message: message.into(), origin: None }
    }

    /// Keeps where it happened as well: the place in the source, and the stack there.
    #[must_use]
    pub fn at(self, location: String, backtrace: Backtrace) -> Self {
        Self { origin: Some(Arc::new(Origin { location, backtrace })), ..self }
    }

    /// The panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place in the source, as `file:line:column`.
    pub fn location(&self) -> Option<&str> {
        self.origin.as_ref().map(|origin| &*origin.location)
    }

    /// The stack at the panic, also where no variable of the environment asks for stacks. To display it
    /// takes long for the first time, since symbols are read then.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.origin.as_ref().map(|origin| &origin.backtrace)
    }
}

impl fmt::Display for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handler panicked: {}", Escaped::new(&self.message))
    }
}

impl Error for PanicError {}
