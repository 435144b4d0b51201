//! Streams of the application: one that panics is one that fails.

use std::io;
use std::pin::Pin;
use std::task::Poll;

use wspulse_core::{Escaped, PanicError};

use super::ByteStream;
use crate::ground::panics;

/// A stream whose panics are errors of its own: they cost the transport, not the session.
pub(crate) struct CaughtStream {
    /// `None` only while it is dropped.
    inner: Option<Pin<Box<dyn ByteStream>>>,
}

impl CaughtStream {
    pub(super) fn new(stream: impl ByteStream + 'static) -> Self {
        Self { inner: Some(Box::pin(stream)) }
    }

    pub(super) fn poll<R>(
        &mut self,
        poll: impl FnOnce(Pin<&mut dyn ByteStream>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let Some(stream) = &mut self.inner else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        panics::catch(|| poll(stream.as_mut())).unwrap_or_else(|panic| {
            report(&panic);
            Poll::Ready(Err(io::Error::other(format!("the stream panicked: {}", panic.message()))))
        })
    }

    pub(super) fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(|stream| stream.is_write_vectored())
    }
}

impl Drop for CaughtStream {
    fn drop(&mut self) {
        let stream = self.inner.take();
        if let Err(panic) = panics::catch(|| drop(stream)) {
            report(&panic);
        }
    }
}

#[cold]
fn report(panic: &PanicError) {
    let message = Escaped::new(panic.message());
    tracing::error!(
        location = panic.location(),
        backtrace = panics::logged_backtrace(panic),
        "a transport's stream panicked: {message}"
    );
}
