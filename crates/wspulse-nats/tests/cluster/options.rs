//! What is refused, before a server is asked and by it.

use std::error::Error;
use std::sync::Arc;

use wspulse::cluster::{Engine, EngineStatus, NodeId, Reply, Sink, Topic};
use wspulse_nats::{NatsEngine, OptionError};

use crate::nats_server::NatsServer;

pub(crate) struct Deaf;

impl Sink for Deaf {
    fn message(&self, _: Topic, _: bytes::Bytes) {}
    fn request(&self, _: bytes::Bytes, _: Reply) {}
    fn status(&self, _: EngineStatus) {}
}

pub(crate) fn node() -> NodeId {
    NodeId::new([1; 16])
}

#[test]
fn a_cluster_has_a_name_that_can_be_in_a_subject() {
    for name in ["", "a.b", "a*", "a>", "a b"] {
        let error = NatsEngine::builder("nats://127.0.0.1").cluster(name).build().unwrap_err();
        assert!(matches!(error, OptionError::Cluster { .. }), "{name:?}: {error}");
    }
}

#[test]
fn a_password_in_a_url_is_refused_and_not_shown() {
    let url = "nats://ann:secret@127.0.0.1";
    let error = NatsEngine::builder(url).build().unwrap_err();
    let text = format!("{error} {error:?} {}", error.source().unwrap());
    assert!(text.contains("user_and_password") && !text.contains("secret"), "{text}");
}

#[test]
fn what_is_secret_is_not_in_the_debug_text() {
    let builder = NatsEngine::builder("nats://127.0.0.1").user_and_password("ann", "secret");
    let text = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(text.contains("ann") && !text.contains("secret"), "{text}");
    let text = format!("{:?}", builder.token("secret"));
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_wrong_password_is_an_error_that_says_what_to_do() {
    let server = NatsServer::with_config("authorization { user: ann, password: right }");
    let engine = server.builder().user_and_password("ann", "wrong").build().unwrap();
    let error = engine.start(node(), Arc::new(Deaf)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("refuses these credentials"), "{text}");
    assert!(text.contains("user_and_password") && !text.contains("wrong"), "{text}");
    assert!(error.source().is_some(), "it keeps its cause");

    let engine = server.builder().user_and_password("ann", "right").build().unwrap();
    engine.start(node(), Arc::new(Deaf)).await.unwrap();
    engine.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_server_without_tls_is_an_error_where_tls_is_required() {
    let server = NatsServer::start();
    let engine = server.builder().require_tls().build().unwrap();
    let error = engine.start(node(), Arc::new(Deaf)).await.unwrap_err().to_string();
    assert!(error.contains("no TLS") && error.contains("allow_plaintext"), "{error}");
}
