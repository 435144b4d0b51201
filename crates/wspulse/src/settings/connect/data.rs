//! What the application keeps with a connection.

use std::any::Any;
use std::sync::Arc;

use crate::ground::panics;

/// The application's data of a connection.
#[derive(Clone)]
pub(crate) struct Data(Option<Arc<dyn Any + Send + Sync>>);

impl Data {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn new<T: Any + Send + Sync>(data: T) -> Self {
        Self(Some(Arc::new(data)))
    }

    pub(crate) fn get(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.0.as_deref()
    }

    /// A share of it.
    pub(crate) fn share(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.0.clone()
    }
}

impl Drop for Data {
    /// A panic of the application's own `Drop` must not cost whoever drops this: a client its
    /// answer, a driver its end.
    fn drop(&mut self) {
        let Some(data) = self.0.take() else {
            return;
        };
        if let Err(panic) = panics::catch(|| drop(data)) {
            tracing::error!(
                location = panic.location(),
                backtrace = panics::logged_backtrace(&panic),
                "dropping a connection's data: {panic}"
            );
        }
    }
}
