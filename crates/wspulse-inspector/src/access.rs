//! Who may look, and what they may do.

use std::pin::Pin;

use http::request::Parts;
use wspulse::Rejection;

/// What somebody may do who was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Look, kick, cut and drain.
    Full,
    /// Look.
    ReadOnly,
}

/// What a guard returns: a future of `Result<Access, Rejection>`.
pub trait GuardFuture: Future<Output = Result<Access, Rejection>> + Send + 'static {}

impl<F: Future<Output = Result<Access, Rejection>> + Send + 'static> GuardFuture for F {}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) type Guard = Box<dyn Fn(Parts) -> BoxFuture<Result<Access, Rejection>> + Send + Sync>;

pub(crate) fn boxed<F, Fut>(guard: F) -> Guard
where
    F: Fn(Parts) -> Fut + Send + Sync + 'static,
    Fut: GuardFuture,
{
    Box::new(move |parts| Box::pin(guard(parts)))
}

pub(crate) fn everyone() -> Guard {
    boxed(|_| std::future::ready(Ok(Access::Full)))
}
