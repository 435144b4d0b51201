use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wspulse::serve::Http2;
use wspulse::serve::tls::{TlsConfig, TlsListener};
use wspulse_client::rustls::pki_types::CertificateDer;
use wspulse_client::rustls::{ClientConfig, RootCertStore};
use wspulse_client::{Client, Event, Frame, Messages};

use super::{Files, app, room_server, self_signed};

/// A new certificate in the files, which are made if they are not there.
fn issue(dir: &TempDir) -> (Files, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = Files { chain: dir.path().join("chain.pem"), key: dir.path().join("key.pem") };
    fs::write(&files.chain, made.cert.pem()).expect("a writable directory");
    fs::write(&files.key, made.signing_key.serialize_pem()).expect("a writable directory");
    (files, made.cert.into())
}

async fn started(files: &Files) -> (SocketAddr, TlsConfig) {
    let config = files.read().expect("a certificate and its key");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let listener = TlsListener::new(listener, Arc::new(config));
    let certificates = listener.config();
    let server = room_server().expect("the options are valid");
    tokio::spawn(async move { wspulse::serve(listener, app(server)).http2(Http2::new()).await });
    (address, certificates)
}

/// One that trusts this certificate and no other.
fn client(address: SocketAddr, trusted: &CertificateDer<'static>) -> (Client, Messages) {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("it can be a root");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Client::builder(format!("wss://localhost:{}/ws?user=ann", address.port()))
        .tls_config(Arc::new(config))
        .attempts_max(1)
        .connect()
        .expect("a valid target")
}

/// Says something and waits until it is heard.
async fn talk(client: &Client, heard: &mut Messages) {
    client.post(Frame::new("say").json("hello").expect("JSON")).expect("room in the outbox");
    let said = async {
        while let Some(event) = heard.next().await {
            if let Event::Message(frame) = event
                && frame.event() == "said"
            {
                return frame;
            }
        }
        panic!("the client has ended");
    };
    let said = timeout(Duration::from_secs(30), said).await.expect("it is heard");
    assert_eq!(&**said.payload(), br#""hello""#.as_slice());
}

#[tokio::test]
async fn a_renewed_certificate_is_for_those_who_come_and_ends_nobody() {
    let dir = TempDir::new().expect("a directory");
    let (files, old) = issue(&dir);
    let (address, certificates) = started(&files).await;
    let (ann, mut heard) = client(address, &old);
    talk(&ann, &mut heard).await;

    let (_, new) = issue(&dir);
    files.renew(&certificates);

    let (bob, mut heard_by_bob) = client(address, &new);
    talk(&bob, &mut heard_by_bob).await;
    let (eve, _messages) = client(address, &old);
    assert!(eve.connected().await.is_err(), "the old certificate is still in use");
    let (other, _messages) = client(address, &self_made());
    assert!(other.connected().await.is_err(), "any certificate is trusted");
    talk(&ann, &mut heard).await;
}

fn self_made() -> CertificateDer<'static> {
    issue(&TempDir::new().expect("a directory")).1
}

#[tokio::test]
async fn a_renewed_certificate_that_is_no_good_leaves_the_old_one() {
    let dir = TempDir::new().expect("a directory");
    let (files, old) = issue(&dir);
    let (address, certificates) = started(&files).await;

    fs::write(&files.key, "no key").expect("a writable file");
    files.renew(&certificates);

    let (ann, mut heard) = client(address, &old);
    talk(&ann, &mut heard).await;
}

#[tokio::test]
async fn without_tls_there_is_no_answer() {
    let dir = TempDir::new().expect("a directory");
    let (files, _) = issue(&dir);
    let (address, _) = started(&files).await;

    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // the end, in order or not

    assert!(!answer.starts_with(b"HTTP"), "it speaks without TLS");
}

#[test]
fn a_certificate_of_its_own_is_usable() {
    self_signed().expect("one that rustls takes");
}
