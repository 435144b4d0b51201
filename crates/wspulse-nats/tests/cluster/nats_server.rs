//! A real NATS server, and engines for it.

use std::ops::Deref;
use std::sync::Arc;

use wspulse::cluster::{Engine, EngineFuture};
use wspulse::testing::cluster::{Engines, Interruption};
use wspulse_nats::{Builder, NatsEngine};

pub(crate) struct NatsServer(wspulse_nats_server::NatsServer);

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::with_config("")
    }

    pub(crate) fn with_config(config: &str) -> Self {
        Self(wspulse_nats_server::NatsServer::with_config(config))
    }

    pub(crate) fn builder(&self) -> Builder {
        NatsEngine::builder(self.url()).cluster("test")
    }
}

impl Deref for NatsServer {
    type Target = wspulse_nats_server::NatsServer;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Engines for NatsServer {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.builder().build().expect("options that can be"))
    }

    fn interruption(&self) -> Option<&dyn Interruption> {
        Some(self)
    }
}

impl Interruption for NatsServer {
    fn interrupt(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.kill() })
    }

    fn restore(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.start_again() })
    }
}
