//! Connects: from what a listener has accepted to a session that waits for its client.

use std::future::{IntoFuture, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use wspulse::serve::Listener;
use wspulse::{Admission, Rejection, Server};

use crate::server::run;

/// What a client without extensions or cookies sends.
const REQUEST: &[u8] = b"GET /ws?room=lobby&id=somebody HTTP/1.1\r\n\
    Host: 127.0.0.1:3000\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A client that asks for a WebSocket and says nothing else.
struct Client {
    has_asked: bool,
    answered: Arc<Answered>,
}

#[derive(Default)]
struct Answered {
    left: AtomicUsize,
    all: Notify,
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_asked {
            return Poll::Pending;
        }
        self.has_asked = true;
        buf.put_slice(REQUEST);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        response: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(response.starts_with(b"HTTP/1.1 101"), "it is not refused, nor written to twice");
        if self.answered.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.answered.all.notify_one();
        }
        Poll::Ready(Ok(response.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Clients that have come all at once.
struct Backlog {
    clients: usize,
    answered: Arc<Answered>,
}

impl Listener for Backlog {
    type Stream = Client;

    async fn accept(&mut self) -> io::Result<(Client, Option<SocketAddr>)> {
        if self.clients == 0 {
            pending::<()>().await;
        }
        self.clients -= 1;
        let address = SocketAddr::from(([127, 0, 0, 1], 50_000));
        Ok((Client { has_asked: false, answered: self.answered.clone() }, Some(address)))
    }
}

/// An operation is one connect; each round is one.
pub(crate) fn connect(rounds: usize) -> usize {
    run(async {
        let answered = Arc::new(Answered::default());
        answered.left.store(rounds, Ordering::Relaxed);
        let server = Server::builder_sync(|request| {
            let room = request.query("room").ok_or_else(Rejection::unauthorized)?;
            let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
            Ok(Admission::room(room).id(format!("{id}-{}", next())))
        })
        .build()
        .expect("its options are within their bounds");
        let clients = Backlog { clients: rounds, answered: answered.clone() };
        let serving = wspulse::serve(clients, server.clone()).max_pending_per_addr(usize::MAX);
        let serving = tokio::spawn(serving.into_future());
        answered.all.notified().await;
        serving.abort();
    });
    rounds
}

fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
