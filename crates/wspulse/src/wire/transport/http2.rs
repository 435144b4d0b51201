//! Streams within an HTTP/2 connection.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// The most bytes of one write, and so of one DATA frame: what RFC 9113 §4.2 lets every peer take.
/// hyper copies each write, whatever its size, and has up to four of them wait for the peer's window:
/// this bounds what a peer that takes nothing costs.
const WRITE_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// What is joined to be written at once.
    static JOINED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Tells the connection that nobody has the stream of a request any more. It goes with the request; one
/// that something else makes a stream of is never told.
#[derive(Clone, Default)]
pub(crate) struct LetGo(CancellationToken);

/// Tells the connection what is read of the stream of a request. It goes with the request; what is read
/// by something else than a WebSocket of ours is not told.
#[derive(Clone)]
pub(crate) struct Reader(Arc<dyn Fn(Reading) + Send + Sync>);

/// What becomes of what has come for a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    /// Whatever is read of it will be told.
    Begins,
    /// So much more was read.
    Bytes(usize),
    /// Nobody reads it any more.
    Ends,
}

/// A WebSocket's stream of an HTTP/2 connection. What is written at once goes in one DATA frame.
pub(super) struct Http2Stream {
    stream: TokioIo<Upgraded>,
    /// Told when this is dropped, after that.
    reads: Reads,
    _let_go: Option<DropGuard>,
}

struct Reads(Option<Reader>);

impl LetGo {
    /// Ready once the stream was let go.
    pub(crate) fn heard(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
    }
}

impl Reader {
    pub(crate) fn new(tell: impl Fn(Reading) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl Reads {
    fn tell(&self, reading: Reading) {
        if let Some(Reader(tell)) = &self.0 {
            tell(reading);
        }
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.tell(Reading::Ends);
    }
}

impl Http2Stream {
    pub(super) fn new(upgraded: Upgraded, let_go: Option<LetGo>, reader: Option<Reader>) -> Self {
        let let_go = let_go.map(|let_go| let_go.0.drop_guard());
        let reads = Reads(reader);
        reads.tell(Reading::Begins);
        Self { stream: TokioIo::new(upgraded), reads, _let_go: let_go }
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.reads.tell(Reading::Bytes(bytes));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = &buf[..buf.len().min(WRITE_BYTES_MAX)];
        Pin::new(&mut self.stream).poll_write(cx, now)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [whole] = bufs {
            return self.poll_write(cx, whole);
        }
        // Tells whether there is room: nothing is joined in vain.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let mut joined = JOINED.take();
        joined.clear();
        for buf in bufs {
            let room = WRITE_BYTES_MAX - joined.len();
            joined.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, &joined);
        JOINED.set(joined);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
