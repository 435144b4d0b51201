//! What is HTTP/2's own in the opening handshake, and the ways to a connection that speaks it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use http::{HeaderMap, Method, Version};
use hyper::ext::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use wspulse::serve::Http2;
use wspulse::serve::tls::TlsListener;
use wspulse::serve::tls::rustls::pki_types::ServerName;
use wspulse::testing::request_parts;
use wspulse::{Admission, Rejection, Server};

use crate::raw::{PREFACE, SETTINGS, frame, request};
use crate::support::certificates::{OLD, client_config, server_config};
use crate::support::clients::echoes;
use crate::support::clock::settle;
use crate::support::house::{echo, open_house};
use crate::support::http::{Answer, read_response, read_to_end, serve, serve_at_ws};
use crate::support::listener::{serve_in_memory, serve_over_tcp};
use crate::ways::{Connection, Way, extended_connect, serve_both, websocket};

async fn connect(address: SocketAddr) -> Connection {
    Connection::over(TcpStream::connect(address).await.expect("it listens")).await
}

#[tokio::test]
async fn a_client_with_prior_knowledge_has_its_websocket_over_a_plain_socket() {
    let app = Router::new().route_service("/ws", echo().build().unwrap());
    let address = serve_over_tcp(app, |serve| serve.http2(Http2::new())).await;
    let mut connection = connect(address).await;
    let mut client = connection.open("/ws?id=ann").await;
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn a_client_has_its_websocket_under_axums_own_server() {
    let address = serve_at_ws(&echo().build().unwrap()).await;
    let mut connection = connect(address).await;
    let mut client = connection.open("/ws?id=ann").await;
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn cookies_that_come_in_fields_of_their_own_are_one_field() {
    let server = Server::builder_sync(|request| {
        assert_eq!(request.header("cookie"), Some("theme=dark; session=ann"));
        Ok::<_, Rejection>(Admission::room("lobby"))
    });
    let address = serve_at_ws(&server.build().unwrap()).await;
    let mut request = extended_connect("/ws");
    for cookie in ["theme=dark", "session=ann"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let answer = connect(address).await.send(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_handler_lets_its_client_in_by_upgrade() {
    let server = echo().build().unwrap();
    let let_in = move |request: axum::extract::Request| {
        let server = server.clone();
        async move { server.upgrade(request, Admission::room("lobby")).await }
    };
    let address = serve(Router::new().route("/ws", any(let_in))).await;
    let mut client = connect(address).await.open("/ws").await;
    echoes(&mut client, 1).await;
}

/// Speaks TLS with a server that speaks both versions, and offers these.
async fn over_tls(offered: &[&[u8]]) -> tokio_rustls::client::TlsStream<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = TlsListener::new(listener, server_config(OLD));
    let config = listener.config();
    let app = Router::new().route_service("/ws", echo().build().unwrap());
    tokio::spawn(wspulse::serve(listener, app).http2(Http2::new()).into_future());
    // Certificates that are renewed change nothing of what is offered.
    config.replace(server_config(OLD));
    let mut config = client_config(OLD);
    config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("old.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}

#[tokio::test]
async fn over_tls_a_client_that_offers_h2_has_its_websocket_there() {
    let stream = over_tls(&[b"http/1.1", b"h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Connection::over(stream).await.open("/ws").await;
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn over_tls_a_client_that_offers_http_1_1_alone_or_nothing_is_served_by_it() {
    for offered in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = over_tls(offered).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(read_response(&mut stream).await.0.starts_with("http/1.1 404 "));
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_has_the_status_and_the_fields_of_its_version() {
    let (dialler, _serving) = serve_both(&echo().build().unwrap(), |serve| serve);
    let is_there = |headers: &HeaderMap, name| headers.contains_key(name);
    for (way, status) in [(Way::Http1, 101), (Way::Http2, 200)] {
        let let_in = way.connect(&dialler, "/ws").await;
        assert_eq!(let_in.status, status);
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert_eq!(is_there(&let_in.headers, name), way == Way::Http1, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_ask_for_no_websocket_are_told_so() {
    let (dialler, _serving) = serve_both(&echo().build().unwrap(), |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let get = connection.get("/ws").await;
    assert_eq!(get.status(), 405);
    assert_eq!(get.headers()["allow"], "CONNECT");
    assert!(!get.headers().contains_key("upgrade"));
    let mut other = extended_connect("/ws");
    other.extensions_mut().insert(Protocol::from_static("connect-udp"));
    assert_eq!(connection.send(other).await.unwrap().status(), 501);
    let mut post = extended_connect("/ws");
    *post.method_mut() = Method::POST;
    post.extensions_mut().remove::<Protocol>();
    assert_eq!(connection.send(post).await.unwrap().status(), 405);
    // The connection goes on.
    echoes(&mut connection.open("/ws").await, 1).await;
}

#[tokio::test]
async fn over_a_version_without_websockets_that_is_what_is_said() {
    let line = "HTTP Version Not Supported\n".to_owned();
    let over_http3 = |parts: &mut http::request::Parts| parts.version = Version::HTTP_3;
    assert_eq!(answer(over_http3).await, (505, line));
}

/// The head of a valid handshake, as another framework hands it over.
fn parts(target: &str) -> http::request::Parts {
    extended_connect(target).into_parts().0
}

/// The answer to a handshake with something changed.
async fn answer(change: impl FnOnce(&mut http::request::Parts)) -> (u16, String) {
    let server = open_house().build().unwrap();
    let mut parts = parts("/ws");
    change(&mut parts);
    let answer = Answer::to(&server, parts).await;
    (answer.status.as_u16(), answer.body)
}

#[tokio::test]
async fn a_handshake_of_http_2_names_one_well_formed_host() {
    let line = "Bad Request: Host must be a host with or without a port, once\n".to_owned();
    for (authority, host) in
        [(Some("user@a"), None), (Some("a:port"), None), (Some("a"), Some("b")), (None, None)]
    {
        let told = answer(|parts| {
            parts.uri = match authority {
                Some(authority) => format!("http://{authority}/ws").parse().unwrap(),
                None => "/ws".parse().unwrap(),
            };
            if let Some(host) = host {
                parts.headers.insert("host", host.parse().unwrap());
            }
        });
        assert_eq!(told.await, (400, line.clone()), "{authority:?} {host:?}");
    }
    let server = open_house().build().unwrap();
    for host in [None, Some("LOCALHOST")] {
        let mut parts = parts("/ws");
        if let Some(host) = host {
            parts.headers.insert("host", host.parse().unwrap());
        }
        assert!(server.handshake(parts).is_ok());
    }
}

#[tokio::test]
async fn a_handshake_of_http_2_has_no_body_and_names_its_protocol() {
    let body = answer(|parts| drop(parts.headers.insert("content-length", "3".parse().unwrap())));
    assert_eq!(body.await, (400, "Bad Request: a handshake has no body\n".to_owned()));
    let unnamed = answer(|parts| drop(parts.extensions.remove::<Protocol>()));
    let line = "Bad Request: CONNECT must name the :protocol websocket\n";
    assert_eq!(unnamed.await, (400, line.to_owned()));
}

#[tokio::test]
async fn a_key_is_not_looked_at_and_another_framework_gets_a_200_to_write() {
    let server = open_house().build().unwrap();
    let mut parts = parts("/ws");
    parts.headers.insert("sec-websocket-key", "none".parse().unwrap());
    let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
    assert_eq!(accepted.response().status(), 200);
}

#[tokio::test]
async fn a_connect_over_http_1_1_is_no_handshake_whatever_it_names() {
    let server = open_house().build().unwrap();
    let mut parts = request_parts("/ws");
    parts.method = Method::CONNECT;
    parts.extensions.insert(Protocol::from_static("websocket"));
    assert_eq!(Answer::to(&server, parts.clone()).await.status, 405);
    parts.version = Version::HTTP_2;
    assert!(server.handshake(parts).is_ok(), "Host names it");
}

#[tokio::test(start_paused = true)]
async fn a_preface_may_come_in_any_pieces() {
    let (dialler, _serving) = serve_both(&echo().build().unwrap(), |serve| serve);
    for piece_bytes in 1..=PREFACE.len() {
        let mut stream = dialler.dial();
        for piece in PREFACE.chunks(piece_bytes) {
            stream.write_all(piece).await.unwrap();
            settle().await;
        }
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header[3], SETTINGS, "in pieces of {piece_bytes} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_http_1_1_that_begins_like_the_preface_is_served() {
    let (dialler, _serving) = serve_both(&echo().build().unwrap(), |serve| serve);
    for pieces in [
        ["P", "OST /ws HTTP/1.1\r\nhost: a\r\n\r\n"],
        ["PR", "OPFIND / HTTP/1.1\r\nhost: a\r\n\r\n"],
    ] {
        let mut stream = dialler.dial();
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            settle().await;
        }
        let (head, _) = read_response(&mut stream).await;
        assert!(head.starts_with("http/1.1 40"), "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_option_nobody_speaks_it() {
    let app = Router::new().route_service("/ws", echo().build().unwrap());
    let (dialler, _serving) = serve_in_memory(app, |serve| serve);
    let mut stream = dialler.dial();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream.write_all(&request(1, "GET", "/ws")).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_its_handshake_leaves_nothing() {
    let server = Server::builder(|_| async {
        settle().await;
        Ok::<_, Rejection>(Admission::room("lobby"))
    });
    let server = server.build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    drop(connection.send(extended_connect("/ws")));
    let answer = connection.send(extended_connect("/ws")).await.unwrap();
    let client = websocket(answer).await;
    drop(client);
    settle().await;
    assert_eq!(server.connection_count(), 0);
}
