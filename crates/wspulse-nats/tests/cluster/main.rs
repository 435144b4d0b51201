//! The engine against a real NATS server, which `.ci/nats` gets.

mod faults;
mod logins;
mod logs;
mod nats_server;
mod options;
mod servers;

use nats_server::NatsServer;
use wspulse::testing::cluster::conformance;

/// With SIGKILL for interruptions, and the same port again.
#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn the_engine_does_what_an_engine_must() {
    conformance(&NatsServer::start()).await;
}

/// Also what a log must do.
#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn the_engine_with_a_log_does_what_an_engine_must() {
    conformance(&NatsServer::with_jetstream("")).await;
}
