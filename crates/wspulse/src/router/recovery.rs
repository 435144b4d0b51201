//! Middleware that catches panics.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use wspulse_core::Escaped;

use super::context::Context;
use super::error::HandlerError;
use super::handler::HandlerResult;
use super::middleware::{Middleware, Next};
use crate::ground::panics;
use crate::observe::metrics::{CallbackKind, CallbackPanicked};

/// Catches a panic in anything further in, logs it with its place, the event and the
/// connection's id, counts it, and lets the connection live. Nothing further in runs any more; to what is
/// further out the panic is a [`HandlerError::Panicked`].
///
/// Without it a panic ends the connection's transport with close code 1011.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery;

impl Middleware for Recovery {
    async fn handle(self: Arc<Self>, context: Context, next: Next) -> HandlerResult {
        let connection = context.connection().clone();
        let frame = context.frame().clone();
        let mut rest = pin!(next.run(context));
        let caught = poll_fn(|cx| match panics::catch(|| rest.as_mut().poll(cx)) {
            Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(panic)),
        });
        match caught.await {
            Ok(result) => result,
            Err(panic) => {
                tracing::error!(
                    event = Escaped::new(frame.event()).as_str(),
                    id = Escaped::new(connection.id()).as_str(),
                    panic = Escaped::new(panic.message()).as_str(),
                    location = panic.location(),
                    backtrace = panics::logged_backtrace(&panic),
                    "router: recovered from a panic in a handler"
                );
                let (room, id) = (connection.room_id(), connection.id());
                let panicked = CallbackPanicked { room, id, callback: CallbackKind::Message };
                connection.server().metrics().record(|hooks| hooks.callback_panicked(&panicked));
                Err(HandlerError::Panicked(panic))
            }
        }
    }
}
