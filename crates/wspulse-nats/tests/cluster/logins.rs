//! Who a server is for NATS: those whom it does not know are refused, and are told what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wspulse::cluster::{Engine, EngineError};
use wspulse_nats::Builder;

use crate::nats_server::NatsServer;
use crate::options::{Deaf, node};

/// A user's `NKey`, and the seed that belongs to it. They are good for nothing else.
const NKEY: &str = "UCOH4PDCKGHNPA6AFK7QY36WEQT6UXZKPSL5Z7WVG252TD5NZQ7WCQSH";
const SEED: &str = "SUAIGRF2CFUMVICZ4FOUGTI5XPZDJLI4R44YB4VE22U6B5S2UVQROD5XSU";
const OTHER_SEED: &str = "SUAFSXJFGCNWLLXDLBFRTZD4DRCIGDB2AFCB33KAFMAPZTJIPK2H5WRYXU";

async fn start(builder: Builder) -> Result<(), EngineError> {
    let engine = builder.build().unwrap();
    let started = engine.start(node(), Arc::new(Deaf)).await;
    engine.close().await;
    started
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// A NATS server that asks for certificates of its own authority.
fn with_certificates() -> NatsServer {
    let path = |name| certificate(name).display().to_string();
    NatsServer::with_config(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        path("server.pem"),
        path("server.key"),
        path("authority.pem"),
    ))
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_token_lets_in_and_a_wrong_one_is_an_error_that_says_what_to_do() {
    let server = NatsServer::with_config("authorization { token: right }");
    let error = start(server.builder().token("wrong")).await.unwrap_err().to_string();
    assert!(error.contains("refuses these credentials"), "{error}");
    assert!(error.contains("`token`") && !error.contains("wrong"), "{error}");
    start(server.builder().token("right")).await.unwrap();
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn an_nkey_lets_in_and_another_ones_seed_does_not() {
    let server =
        NatsServer::with_config(&format!("authorization {{ users: [ {{ nkey: {NKEY} }} ] }}"));
    let error = start(server.builder().nkey(OTHER_SEED)).await.unwrap_err().to_string();
    assert!(error.contains("refuses these credentials"), "{error}");
    assert!(error.contains("`nkey`") && !error.contains(OTHER_SEED), "{error}");
    start(server.builder().nkey(SEED)).await.unwrap();
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_client_certificate_lets_in_over_tls() {
    let server = with_certificates();
    let trusting = server.builder().root_certificates(certificate("authority.pem"));
    let builder = trusting
        .client_certificate(certificate("client.pem"), certificate("client.key"))
        .require_tls();
    start(builder).await.unwrap();
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn who_shows_no_certificate_where_one_is_asked_for_is_told_so() {
    let server = with_certificates();
    let trusting = server.builder().root_certificates(certificate("authority.pem"));
    let error = start(trusting.require_tls()).await.unwrap_err().to_string();
    assert!(error.contains("`client_certificate`"), "{error}");
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_nats_server_of_an_unknown_authority_is_refused() {
    let server = with_certificates();
    let builder = server
        .builder()
        .client_certificate(certificate("client.pem"), certificate("client.key"))
        .require_tls();
    let error = start(builder).await.unwrap_err().to_string();
    assert!(error.contains("`root_certificates`"), "{error}");
}
