//! What runs around the handlers.

use std::fmt;
use std::sync::Arc;

use super::context::Context;
use super::handler::{HandlerFuture, HandlerResult, IntoHandlerResult, handler_result};

/// What runs around the rest of a chain: code before [`Next::run`], code after it. Middleware that
/// does not call it ends the chain there.
///
/// Implemented for functions and closures `async fn(Context, Next)` that return
/// [`HandlerResult`], another `Result<(), E>`, or nothing, which swallows the errors of what runs
/// inside. Implement it for a struct to give the middleware a state:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use wspulse::router::{Context, HandlerResult, Middleware, Next};
///
/// #[derive(Default)]
/// struct FailureCount {
///     failures: AtomicU64,
/// }
///
/// impl Middleware for FailureCount {
///     async fn handle(self: Arc<Self>, context: Context, next: Next) -> HandlerResult {
///         let result = next.run(context).await;
///         if result.is_err() {
///             self.failures.fetch_add(1, Ordering::Relaxed);
///         }
///         result
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not middleware",
    note = "middleware is an `async fn(Context, Next) -> HandlerResult`, a closure of that shape \
            with its argument types written out, or a type that implements `Middleware`"
)]
pub trait Middleware: Send + Sync + 'static {
    /// Runs the middleware and, through `next`, the rest of the chain.
    ///
    /// The error is one of the middleware itself or of what ran inside it. Whatever is returned
    /// is what the middleware around this one sees.
    fn handle(
        self: Arc<Self>,
        context: Context,
        next: Next,
    ) -> impl Future<Output = HandlerResult> + Send;
}

impl<F, Fut> Middleware for F
where
    F: Fn(Context, Next) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoHandlerResult,
{
    async fn handle(self: Arc<Self>, context: Context, next: Next) -> HandlerResult {
        handler_result(self(context, next).await)
    }
}

/// Middleware to be shared: a cheap handle, so that one list of layers serves several events.
#[derive(Clone)]
pub struct Layer {
    middleware: Arc<dyn Erased>,
}

impl Layer {
    /// Wraps middleware of any type.
    pub fn new(middleware: impl Middleware) -> Self {
        Self { middleware: Arc::new(middleware) }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

/// [`Middleware`] whose future has one type for all.
trait Erased: Send + Sync {
    fn handle_boxed(self: Arc<Self>, context: Context, next: Next) -> HandlerFuture;
}

impl<M: Middleware> Erased for M {
    fn handle_boxed(self: Arc<Self>, context: Context, next: Next) -> HandlerFuture {
        HandlerFuture::new(self.handle(context, next))
    }
}

/// A whole chain: its middleware from the outside in, and the handler at its end.
pub(super) struct Chain {
    pub(super) layers: Box<[Layer]>,
    pub(super) endpoint: Endpoint,
}

pub(super) type Endpoint = Box<dyn Fn(Context) -> HandlerFuture + Send + Sync>;

/// The rest of a chain, for middleware to run.
pub struct Next {
    chain: Arc<Chain>,
    /// The first layer that has not run yet; beyond the last one it is the endpoint's turn.
    position: usize,
}

impl Next {
    pub(super) const fn all_of(chain: Arc<Chain>) -> Self {
        Self { chain, position: 0 }
    }

    /// Runs the rest of the chain to its end.
    ///
    /// # Errors
    ///
    /// The error of the handler or of the middleware further in, including
    /// [`HandlerError::Extract`](super::HandlerError::Extract) if the handler's arguments could
    /// not be had. Return it to have it handled by
    /// [`on_error`](super::RouterBuilder::on_error).
    ///
    /// # Panics
    ///
    /// If anything further in does, unless [`Recovery`](super::Recovery) is in between.
    pub async fn run(self, context: Context) -> HandlerResult {
        let Self { chain, position } = self;
        let running = match chain.layers.get(position) {
            Some(layer) => {
                let middleware = Arc::clone(&layer.middleware);
                middleware.handle_boxed(context, Self { chain, position: position + 1 })
            }
            None => (chain.endpoint)(context),
        };
        running.await
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers_left = self.chain.layers.len() - self.position;
        f.debug_struct("Next").field("layers_left", &layers_left).finish_non_exhaustive()
    }
}
