//! URLs, headers, tokens, certificates, and servers that refuse.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wspulse::{Admission, Rejection, Server};

use crate::support::{assert_count, listen, load, repeat_on};

const CERTIFICATE_FILE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../wspulse/tests/certificates/new.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../wspulse/tests/certificates/new.pem");
const KEY: &[u8] = include_bytes!("../../../wspulse/tests/certificates/new.key");

/// An echo over TLS, which says that it is `new.example`. Tells where it is.
async fn secure() -> String {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate")],
            PrivateKeyDer::from_pem_slice(KEY).expect("a key"),
        )
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                repeat_on(socket, |_| 1).await;
            }
        }
    })
    .await;
    format!("address = \"{address}\"")
}

const SECURE_URL: &str = "wss://new.example/";
const SECURE: &str = "fan-out = \"echo\"\nclients = 2\nattempts = 0\nconnect-timeout = \"10s\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_taken_from_an_authority_of_ones_own() {
    let address = secure().await;

    let file = format!("{SECURE}\n{address}\nca = \"{CERTIFICATE_FILE}\"");
    let outcome = load(SECURE_URL, &file).await.expect("a run");

    assert_count(&outcome, "received", 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_certificate_is_taken_where_that_is_asked_for() {
    let address = secure().await;

    let file = format!("{SECURE}\n{address}\ninsecure = true");
    let outcome = load(SECURE_URL, &file).await.expect("a run");

    assert_count(&outcome, "received", 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_is_refused_with_the_cause() {
    let address = secure().await;

    let file = format!("{SECURE}\n{address}");
    let error = load(SECURE_URL, &file).await.expect_err("nobody is ready").to_string();

    assert!(error.contains("none of 2 clients became ready"), "{error}");
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_has_its_url_its_header_and_its_token() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&seen);
    let server = Server::builder_sync(move |request| {
        let header = request.headers().get("x-who").map(|value| value.to_str().map(str::to_owned));
        let id = request.query("id").unwrap_or_default().into_owned();
        let text = format!("{id} {}", header.and_then(Result::ok).unwrap_or_default());
        record.lock().expect("nobody panics").push(text);
        Ok(Admission::room("hall").id(id))
    })
    .build()
    .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/?id=c{{n}}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { wspulse::serve(listener, server).await });
    let tokens = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(tokens.path(), "red\nblue\n").expect("it can be written");

    let file = format!(
        "clients = 3\nrate = 0.0\nheader = [\"x-who: {{token}} in {{room}}\"]\ntokens = \"{}\"",
        tokens.path().display()
    );
    load(&url, &file).await.expect("a run");

    let mut seen = seen.lock().expect("nobody panics").clone();
    seen.sort();
    assert_eq!(seen, ["c0 red in load-0", "c1 blue in load-0", "c2 red in load-0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_all_is_named_with_its_status() {
    let server = Server::builder_sync(|_| Err::<Admission, _>(Rejection::unauthorized())).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = server.expect("a server");
    tokio::spawn(async move { wspulse::serve(listener, server).await });

    let error = load(&url, "").await.expect_err("nobody is ready").to_string();

    assert!(error.contains("401"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_cannot_be_sent_is_named() {
    let error = load("ws://127.0.0.1:1/", "header = [\"host: x\"]").await;

    let error = error.expect_err("it cannot be sent").to_string();
    assert!(error.contains("client 0") && error.contains("\"host\""), "{error}");
}
