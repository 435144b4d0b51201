//! More clients at once than the system's queue of connections to be accepted has room for.

#![cfg(target_os = "linux")]

use std::time::Duration;

use axum::Router;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wspulse::testing::{TestClient, request_head};

use crate::support::clients::echoes;
use crate::support::house::echo;

/// A connection to this machine is there at once, unless the queue is full.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Two more than the queue takes: the system lets in who asks again, after a second and then ever more.
const CLIENTS: usize = 4;

#[tokio::test]
async fn clients_that_found_the_accept_queue_full_get_in_once_accepting_begins() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("it is bound");
    let mut waiting = Vec::new();
    let mut kept_out = Box::pin(TcpStream::connect(address));
    while let Ok(stream) = timeout(AT_ONCE, &mut kept_out).await {
        waiting.push(stream.expect("a connection"));
        assert!(waiting.len() < CLIENTS, "the queue takes them all");
        kept_out = Box::pin(TcpStream::connect(address));
    }
    let mut clients = JoinSet::new();
    for stream in waiting {
        clients.spawn(gets_in(stream));
    }
    clients.spawn(async move { gets_in(kept_out.await.expect("room in the queue")).await });
    while clients.len() < CLIENTS {
        clients.spawn(async move {
            gets_in(TcpStream::connect(address).await.expect("room in the queue")).await;
        });
    }

    let app = Router::new().route_service("/ws", echo().build().expect("valid options"));
    let serving = tokio::spawn(wspulse::serve(listener, app).into_future());
    assert_eq!(clients.join_all().await.len(), CLIENTS);
    serving.abort();
}

async fn gets_in(stream: TcpStream) {
    let mut client = TestClient::new(stream);
    client.write_raw(request_head("/ws").as_bytes()).await.expect("it is read");
    let head = client.read_response_head().await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(&mut client, 1).await;
}
