//! The opening handshake of HTTP/2.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpStream;
use wspulse::serve::Http2;

use crate::support::clients::echoes;
use crate::support::house::echo;
use crate::support::http::serve_at_ws;
use crate::support::listener::serve_over_tcp;
use crate::ways::Connection;

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
