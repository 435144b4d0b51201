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
    backtrace: Option<Arc<Backtrace>>,
}

impl PanicError {
    /// Keeps the text of a caught panic and where it happened, if that is known.
    pub fn new(payload: &(dyn Any + Send), backtrace: Option<Backtrace>) -> Self {
        let message = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("panic with a value that is not text");
        Self { message: message.into(), backtrace: backtrace.map(Arc::new) }
    }

    /// The panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The stack at the panic.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.backtrace.as_deref()
    }
}

impl fmt::Display for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handler panicked: {}", Escaped::new(&self.message))
    }
}

impl Error for PanicError {}
