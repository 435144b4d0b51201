//! The ways in: a tower service, a call from a handler, bare hyper, any other byte stream.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message};
use wspulse::testing::{TestClient, request_head, request_parts};
use wspulse::{Admission, Server};

use crate::support::clients::echoes;
use crate::support::house::{echo, open_house};
use crate::support::http::{ACCEPT_KEY, serve, serve_at_ws};

#[tokio::test]
async fn a_server_is_a_service_at_an_axum_route() {
    let address = serve_at_ws(&echo().build().unwrap()).await;
    let mut client = TestClient::connect_tcp(address, "/ws").await.unwrap();
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn a_server_can_be_nested_under_a_path() {
    let server = echo().build().unwrap();
    let address = serve(Router::new().nest_service("/realtime", server)).await;
    for path in ["/realtime", "/realtime/", "/realtime/deeper?id=ann"] {
        let mut client = TestClient::connect_tcp(address, path).await.unwrap();
        echoes(&mut client, 1).await;
    }
}

#[tokio::test]
async fn middleware_in_front_may_leave_word_for_the_connect_function() {
    #[derive(Clone)]
    struct User(String);

    async fn authenticate(mut request: Request, next: Next) -> Response {
        request.extensions_mut().insert(User("ann".to_owned()));
        next.run(request).await
    }

    let server = Server::builder_sync(|request| {
        let User(name) = request.extensions().get().expect("authenticated");
        Ok(Admission::room("lobby").id(&**name))
    });
    let server = server.build().unwrap();
    let router = Router::new().route_service("/ws", server.clone());
    let address = serve(router.layer(middleware::from_fn(authenticate))).await;
    let _client = TestClient::connect_tcp(address, "/ws").await.unwrap();
    assert!(server.connection("ann").is_some());
}

#[tokio::test]
async fn an_axum_handler_may_admit_after_extractors_of_its_own() {
    async fn enter(
        State(server): State<Server>,
        Path((room, name)): Path<(String, String)>,
        request: Request,
    ) -> Response {
        if name == "mallory" {
            return StatusCode::PAYMENT_REQUIRED.into_response();
        }
        server.upgrade(request, Admission::room(room).id(name)).await.into_response()
    }

    let server = Server::builder_sync(|_| panic!("the handler decides"));
    let server =
        server.on_message(|connection, frame| connection.send(frame).unwrap()).build().unwrap();
    let router = Router::new().route("/{room}/{name}", get(enter)).with_state(server.clone());
    let address = serve(router).await;

    let mut ann = TestClient::connect_tcp(address, "/attic/ann").await.unwrap();
    assert_eq!(server.connection("ann").unwrap().room_id(), "attic");
    echoes(&mut ann, 1).await;
    let refused = TestClient::connect_tcp(address, "/attic/mallory").await.unwrap_err();
    assert!(refused.to_string().starts_with("HTTP/1.1 402 "));
    assert_eq!(server.connection_count(), 1);
}

/// Accepts connections and serves each as told, until the test ends.
async fn listen<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TokioIo<tokio::net::TcpStream>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(TokioIo::new(stream)));
        }
    });
    address
}

#[tokio::test]
async fn bare_hyper_serves_it_with_upgrades() {
    let server = echo().build().unwrap();
    let address = listen(move |stream| {
        let server = server.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.serve(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        let connection = connection.serve_connection(stream, service).with_upgrades();
        async move { drop(connection.await) }
    });
    let mut client = TestClient::connect_tcp(address.await, "/ws").await.unwrap();
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn hypers_automatic_choice_of_protocol_serves_it_with_upgrades() {
    let server = echo().build().unwrap();
    let address = listen(move |stream| {
        let server = server.clone();
        async move {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.serve(request).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection_with_upgrades(stream, service).await);
        }
    });
    let mut client = TestClient::connect_tcp(address.await, "/ws").await.unwrap();
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn hyper_without_upgrades_loses_what_was_registered() {
    let server = echo().build().unwrap();
    let handle = server.clone();
    let address = listen(move |stream| {
        let server = handle.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.serve(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        let connection = connection.serve_connection(stream, service);
        async move { drop(connection.await) }
    });
    let client = TestClient::connect_tcp(address.await, "/ws?id=ann").await.unwrap();
    let mut stream = client.into_stream();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "hyper has hung up");
    if let Some(connection) = server.connection("ann") {
        connection.done().await;
    }
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_frameworks_stream_is_attached_by_hand() {
    let server = echo().build().unwrap();
    let (ours, mut theirs) = duplex(1024);
    let mut client = TestClient::new(ours);
    client.write_raw(request_head("/ws?id=ann").as_bytes()).await.unwrap();

    // What the framework would do: read the head, have it judged, answer, hand the stream over.
    let mut head = vec![0; request_head("/ws?id=ann").len()];
    theirs.read_exact(&mut head).await.unwrap();
    let handshake = server.handshake(request_parts("/ws?id=ann")).unwrap();
    assert_eq!(handshake.request().query("id").as_deref(), Some("ann"));
    let accepted = handshake.connect().await.unwrap();
    theirs.write_all(b"HTTP/1.1 101 Switching Protocols\r\n").await.unwrap();
    for (name, value) in accepted.response().headers() {
        let line = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat();
        theirs.write_all(&line).await.unwrap();
    }
    theirs.write_all(b"\r\n").await.unwrap();
    accepted.attach(theirs, &[]);

    assert!(client.read_response_head().await.unwrap().contains(ACCEPT_KEY));
    echoes(&mut client, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_may_be_admitted_without_asking_the_connect_function() {
    let server = Server::builder_sync(|_| panic!("not to be asked")).build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(Admission::room("attic").id("ann").data(7_u8)).await.unwrap();
    let (_client, theirs) = duplex(1024);
    accepted.attach(theirs, &[]);
    let connection = server.connection("ann").unwrap();
    assert_eq!((connection.room_id(), connection.data::<u8>()), ("attic", Some(&7)));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_outlives_the_server_is_refused() {
    let server = open_house().build().unwrap();
    let [by_connect, by_hand] = [(); 2].map(|()| server.handshake(request_parts("/ws")).unwrap());
    server.close().await;
    assert_eq!(by_connect.connect().await.unwrap_err().status(), 503);
    assert_eq!(by_hand.admit(Admission::room("lobby")).await.unwrap_err().status(), 503);
}

#[tokio::test]
async fn a_foreign_client_exchanges_messages_and_pings() {
    let address = serve_at_ws(&echo().build().unwrap()).await;
    let (mut client, response) = connect_async(format!("ws://{address}/ws")).await.unwrap();
    assert_eq!(response.status(), 101);
    let text = r#"{"id":"1","event":"greet","payload":"grüß dich"}"#;
    client.send(Message::text(text)).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text(text));
    client.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
    client.send(Message::binary(text)).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text(text));
}

#[tokio::test]
async fn a_foreign_client_closes_cleanly() {
    let address = serve_at_ws(&open_house().build().unwrap()).await;
    let (mut client, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
    let frame = CloseFrame { code: 4000.into(), reason: "bye".into() };
    client.close(Some(frame)).await.unwrap();
    let echo = CloseFrame { code: 4000.into(), reason: "".into() };
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Close(Some(echo)));
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn a_foreign_client_is_closed_cleanly() {
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    let (mut client, _) = connect_async(format!("ws://{address}/ws?id=ann")).await.unwrap();
    server.kick("ann").unwrap();
    let kicked = CloseFrame { code: 1000.into(), reason: "kicked".into() };
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Close(Some(kicked)));
    assert!(client.next().await.is_none(), "the handshake is complete");
    // It returns once the client has answered and the stream has ended.
    server.close().await;
}

#[tokio::test]
async fn a_foreign_client_is_told_why_it_is_refused() {
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    server.close().await;
    let Err(Error::Http(response)) = connect_async(format!("ws://{address}/ws")).await else {
        panic!("a refusal was due");
    };
    assert_eq!(response.status(), 503);
    assert_eq!(response.body().as_deref(), Some(&b"server closed\n"[..]));
}
