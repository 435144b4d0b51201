//! What a test that watches a server puts its own in front of.

use std::sync::Arc;

use super::ServerBuilder;
use crate::app::handler::Callbacks;
use crate::observe::metrics::MetricsCollector;

impl ServerBuilder {
    pub(crate) const fn callbacks_mut(&mut self) -> &mut Callbacks {
        &mut self.callbacks
    }

    pub(crate) const fn metrics_mut(&mut self) -> &mut Option<Arc<dyn MetricsCollector>> {
        &mut self.options.metrics
    }
}
