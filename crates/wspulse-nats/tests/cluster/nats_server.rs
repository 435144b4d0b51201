//! A real NATS server, and engines for it.

use std::ops::Deref;
use std::sync::Arc;

use wspulse::cluster::{Engine, EngineFuture};
use wspulse::testing::cluster::{Engines, Interruption};
use wspulse_nats::{Builder, LogOptions, NatsEngine};

pub(crate) struct NatsServer {
    process: wspulse_nats_server::NatsServer,
    has_log: bool,
}

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::with_config("")
    }

    pub(crate) fn with_config(config: &str) -> Self {
        let process = wspulse_nats_server::NatsServer::with_config(config);
        Self { process, has_log: false }
    }

    pub(crate) fn with_jetstream(config: &str) -> Self {
        let process = wspulse_nats_server::NatsServer::with_jetstream(config);
        Self { process, has_log: true }
    }

    pub(crate) fn three_with_jetstream() -> [Self; 3] {
        let three = wspulse_nats_server::NatsServer::three_with_jetstream();
        three.map(|process| Self { process, has_log: true })
    }

    pub(crate) fn builder(&self) -> Builder {
        let builder = NatsEngine::builder(self.url()).cluster("test");
        if self.has_log { builder.log(LogOptions::new()) } else { builder }
    }
}

impl Deref for NatsServer {
    type Target = wspulse_nats_server::NatsServer;

    fn deref(&self) -> &Self::Target {
        &self.process
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
