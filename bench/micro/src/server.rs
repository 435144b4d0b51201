//! A whole server, on one thread, with transports that cost next to nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage};
use wspulse::testing::{masked, request_parts};
use wspulse::{Admission, Frame, MessageKind, Server, ServerBuilder};

use crate::codec::{encoded, frame};

const MEMBERS: usize = 1000;
const MESSAGES_A_READ: usize = 64;
const FINAL_TEXT: u8 = 0x81;

/// Bytes that transports have still to be given, all together.
#[derive(Debug, Default)]
struct Due {
    bytes: AtomicUsize,
    all_taken: Notify,
}

impl Due {
    fn expect(&self, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "{bytes} bytes were written where only {before} were due");
        if before == bytes {
            self.all_taken.notify_one();
        }
    }
}

/// A transport that hands in the same bytes so many times, once at each read, and takes
/// everything.
#[derive(Debug)]
struct Transport {
    chunk: Arc<[u8]>,
    chunks_left: usize,
    due: Arc<Due>,
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(chunks_left) = self.chunks_left.checked_sub(1) else {
            return Poll::Pending;
        };
        self.chunks_left = chunks_left;
        buf.put_slice(&self.chunk);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
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

/// An operation is one delivery; a round is a broadcast of a 100-byte payload to 1,000 members,
/// until the last of them has been written to.
pub(crate) fn broadcast_1000(rounds: usize) -> usize {
    run(async {
        let due = Arc::new(Due::default());
        let server = builder().build().expect("its options are within their bounds");
        for _ in 0..MEMBERS {
            let transport = Transport { chunk: Arc::new([]), chunks_left: 0, due: due.clone() };
            attach(&server, transport).await;
        }
        let frame = frame();
        let frame_bytes = encoded().wire().len();
        // One more, whose end is that all have come up and that queues have grown as they will.
        for _ in 0..=rounds {
            due.expect(MEMBERS * frame_bytes);
            server.broadcast("lobby", frame.clone()).expect("the payload is JSON");
            due.all_taken.notified().await;
        }
    });
    rounds * MEMBERS
}

/// An operation is one message in and the same frame out again; each round is one.
pub(crate) fn echo(rounds: usize) -> usize {
    run(async {
        let encoded = encoded();
        let due = Arc::new(Due::default());
        due.expect(rounds * encoded.wire().len());
        let server = builder()
            .on_message(|connection, frame| {
                connection.send(frame).expect("the reply before it has been written");
            })
            .build()
            .expect("its options are within their bounds");
        let chunk = Arc::from(&*masked(FINAL_TEXT, encoded.payload()));
        attach(&server, Transport { chunk, chunks_left: rounds, due: due.clone() }).await;
        due.all_taken.notified().await;
    });
    rounds
}

/// An operation is one message of 64 bytes handed to a handler that only counts, by a codec that
/// looks at nothing; a round is a read of 64 of them.
pub(crate) fn inbound_64(rounds: usize) -> usize {
    let messages = rounds * MESSAGES_A_READ;
    run(async {
        let due = Arc::new(Due::default());
        due.expect(messages);
        let handled = due.clone();
        let server = builder()
            .codec(Ignoring)
            .on_message(move |_, _| handled.take(1))
            .build()
            .expect("its options are within their bounds");
        let chunk = masked(FINAL_TEXT, &[b'x'; 64]).repeat(MESSAGES_A_READ);
        let transport = Transport { chunk: chunk.into(), chunks_left: rounds, due: due.clone() };
        attach(&server, transport).await;
        due.all_taken.notified().await;
    });
    messages
}

/// Makes nothing of a message.
struct Ignoring;

impl Codec for Ignoring {
    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, _frame: &Frame, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn decode(&self, _message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Ok(Frame::default())
    }
}

/// A server without heartbeats for as long as a case takes.
fn builder() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .heartbeat(Duration::from_mins(5), Duration::from_mins(10))
}

pub(crate) async fn attach<T>(server: &Server, transport: T)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = server.handshake(request_parts("/ws")).expect("the request is valid");
    let accepted = handshake.connect().await.expect("all are admitted");
    accepted.attach(transport, &[]);
}

pub(crate) fn run(case: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O opens nothing").block_on(case);
}
