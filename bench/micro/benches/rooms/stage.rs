//! Servers whose clients cost next to nothing: they send nothing and take everything.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use wspulse::testing::request_parts;
use wspulse::{Admission, Connection, Frame, Rejection, Server};

/// Bytes that clients have still to be given, all together.
#[derive(Debug, Default)]
pub(crate) struct Due {
    bytes: AtomicUsize,
    all_taken: Notify,
}

impl Due {
    /// Returns when so many more bytes have been taken. What is sent must be sent by `send`.
    pub(crate) async fn taken_after(&self, bytes: usize, send: impl FnOnce()) {
        self.bytes.store(bytes, Ordering::Relaxed);
        send();
        self.all_taken.notified().await;
    }

    fn take(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "{bytes} bytes were written where only {before} were due");
        if before == bytes {
            self.all_taken.notify_one();
        }
    }
}

#[derive(Debug)]
struct Client {
    due: Arc<Due>,
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.due.take(buf.len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// A server without heartbeats for as long as a case takes.
pub(crate) fn server() -> Server {
    Server::builder_sync(|request| {
        let room = request.query("room").ok_or_else(Rejection::unauthorized)?;
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok::<_, Rejection>(Admission::room(&*room).id(&*id))
    })
    .heartbeat(Duration::from_mins(5), Duration::from_mins(10))
    .build()
    .expect("its options are within their bounds")
}

/// A thread's own.
pub(crate) fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O opens nothing")
}

/// Has a client join, which takes what it is sent off `due`.
pub(crate) async fn enter(server: &Server, room: &str, id: &str, due: &Arc<Due>) -> Connection {
    let request = request_parts(&format!("/ws?room={room}&id={id}"));
    let handshake = server.handshake(request).expect("the request is valid");
    let accepted = handshake.connect().await.expect("all are admitted");
    accepted.attach(Client { due: due.clone() }, &[]);
    server.connection(id).expect("it is registered before it is answered")
}

/// A message as a chat client might send it.
pub(crate) fn frame() -> Frame {
    Frame::new("chat.message").with_payload(PAYLOAD)
}

const PAYLOAD: &str = r#"{"from":"Ann","text":"Has anybody seen the minutes of last week?"}"#;

/// How many bytes a client gets for it.
pub(crate) fn frame_bytes() -> usize {
    let encoded = wspulse_core::EncodedFrame::encode(&wspulse::codec::JsonCodec, &frame());
    encoded.expect("its payload is JSON").wire().len()
}
