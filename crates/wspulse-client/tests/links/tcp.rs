//! Over real sockets: TCP, TLS, proxies, and a server that knows nothing of wspulse.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use wspulse_client::{Cause, Client, ClientBuilder, Event, Frame, Messages, Proxy, SessionStart};

const CERTIFICATE: &[u8] = include_bytes!("../../../wspulse/tests/certificates/new.pem");
const KEY: &[u8] = include_bytes!("../../../wspulse/tests/certificates/new.key");

/// Sends back what comes, as any WebSocket library can.
async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Listens on a port of its own, and does this with each connection.
async fn listen<Fut>(serve: impl Fn(TcpStream) -> Fut + Send + 'static) -> SocketAddr
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn listen_tls() -> SocketAddr {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    // A server that would rather speak HTTP/2.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                echo(stream).await;
            }
        }
    })
    .await
}

fn trusting(builder: ClientBuilder) -> ClientBuilder {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    builder.tls_config(Arc::new(config))
}

async fn exchange(builder: ClientBuilder) {
    let (client, mut messages) = builder.connect().unwrap();
    assert_eq!(client.connected().await.unwrap(), SessionStart::Plain);
    client.send(Frame::new("a").with_payload("[1]")).await.unwrap();
    loop {
        if let Some(Event::Message(frame)) = messages.next().await {
            assert_eq!(frame, Frame::new("a").with_payload("[1]"));
            break;
        }
    }
    client.close().await;
}

async fn failure(mut messages: Messages) -> Cause {
    match messages.next().await {
        Some(Event::Reconnecting { cause, .. }) => cause,
        event => panic!("{event:?}"),
    }
}

/// A proxy that opens tunnels for those who have the password.
async fn proxy() -> SocketAddr {
    listen(async |mut client: TcpStream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if client.read_buf(&mut head).await.unwrap() == 0 {
                return;
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        // ann:pass
        let refusal = if !head.contains("proxy-authorization: basic yw5uonbhc3m=") {
            Some("407 Proxy Authentication Required")
        } else if !head.starts_with("connect inside.example:") {
            Some("403 Forbidden")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            let answer = format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n");
            client.write_all(answer.as_bytes()).await.unwrap();
            return;
        }
        let port = head.split([':', ' ']).nth(2).unwrap().parse().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    })
    .await
}

#[tokio::test]
async fn a_server_of_another_library_is_a_plain_one() {
    let address = listen(echo).await;
    exchange(Client::builder(format!("ws://{address}/")).proxy(Proxy::None)).await;
}

#[tokio::test]
async fn a_message_that_is_longer_than_the_read_buffer_comes_whole() {
    let address = listen(echo).await;
    let builder = Client::builder(format!("ws://{address}/")).read_buffer_bytes(16);
    let (client, mut messages) = builder.proxy(Proxy::None).connect().unwrap();
    let frame = Frame::new("a").with_payload(format!("\"{}\"", "x".repeat(100_000)));

    client.send(frame.clone()).await.unwrap();

    loop {
        if let Some(Event::Message(echoed)) = messages.next().await {
            assert_eq!(echoed, frame);
            break;
        }
    }
    client.close().await;
}

#[tokio::test]
async fn localhost_is_reached_by_whichever_address_listens() {
    let address = listen(echo).await;
    let url = format!("ws://localhost:{}/", address.port());
    exchange(Client::builder(url).proxy(Proxy::None)).await;
}

/// Connects to this server whatever its name, which its certificate must then have.
fn named(name: &str, address: SocketAddr) -> ClientBuilder {
    Client::builder(format!("wss://{name}/")).connector(move |_| TcpStream::connect(address))
}

#[tokio::test]
async fn tls_is_http_1_with_whom_the_application_trusts() {
    exchange(trusting(named("new.example", listen_tls().await))).await;
}

#[tokio::test]
async fn tls_with_a_stranger_is_refused() {
    let address = listen_tls().await;
    for builder in [named("new.example", address), trusting(named("other.example", address))] {
        let (_client, messages) = builder.connect().unwrap();
        let cause = failure(messages).await;
        assert!(cause.to_string().contains("certificate"), "{cause}");
    }
}

#[tokio::test]
async fn proxies_tunnel_with_a_password() {
    let (address, proxy) = (listen(echo).await, proxy().await);
    let through = |url: String| Proxy::Url(url);
    let inside = format!("ws://inside.example:{}/", address.port());
    let good = through(format!("http://ann:pass@{proxy}"));
    exchange(Client::builder(inside.clone()).proxy(good.clone())).await;

    let strange = through(format!("http://{proxy}"));
    let (_client, messages) = Client::builder(inside).proxy(strange).connect().unwrap();
    let cause = failure(messages).await;
    assert!(matches!(cause, Cause::Unreachable(_)), "{cause}");
    assert!(cause.to_string().contains("proxy authorization required"), "{cause}");

    let elsewhere = Client::builder("ws://elsewhere.example/").proxy(good);
    let (_client, messages) = elsewhere.connect().unwrap();
    assert!(matches!(failure(messages).await, Cause::Unreachable(_)));
}

#[tokio::test]
async fn nobody_listening_is_told_with_its_reason() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let builder = Client::builder(format!("ws://{address}/")).proxy(Proxy::None);
    let (_client, messages) = builder.connect().unwrap();
    let cause = failure(messages).await.to_string();
    assert!(cause.contains("refused"), "{cause}");
}
