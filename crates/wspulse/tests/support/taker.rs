//! A transport that takes everything, says nothing and counts its writes; it allocates nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wspulse::Server;
use wspulse::testing::request_parts;

/// Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Taker {
    writes: Arc<AtomicUsize>,
    slices: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Taker {
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    /// Into how many pieces the writes were cut.
    pub(crate) fn slices(&self) -> usize {
        self.slices.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Connects through a clone of this.
    pub(crate) async fn join(&self, server: &Server, room: &str, id: &str) {
        let parts = request_parts(&format!("/ws?room={room}&id={id}"));
        let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
        accepted.attach(self.clone(), &[]);
    }

    fn count(&self, slices: usize, bytes: usize) -> usize {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.slices.fetch_add(slices, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }
}

impl AsyncRead for Taker {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Taker {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.count(1, buf.len())))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        Poll::Ready(Ok(self.count(bufs.len(), bytes)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
