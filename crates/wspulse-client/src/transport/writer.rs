//! Frames on their way to the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wspulse_core::CloseFrame;
use wspulse_core::websocket::ClientFrame;

use super::stream::BoxedStream;

/// So many bytes are gathered for one write. More would only delay the first of them.
const GATHERED_BYTES: usize = 64 * 1024;

/// What the buffer keeps of its memory while there is nothing to write.
const KEPT_BYTES_MAX: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// How many of these the socket has taken.
    written: usize,
    is_unflushed: bool,
    /// The answer to the last Ping, which may take the place of those to earlier ones (RFC 6455 §5.5.3).
    pong: Option<Bytes>,
}

impl Writer {
    /// Whether more may be gathered.
    pub(super) const fn has_room(&self) -> bool {
        self.bytes.len() < GATHERED_BYTES
    }

    pub(super) fn push(&mut self, frame: ClientFrame, payload: &[u8]) {
        frame.append(payload, rand::random(), &mut self.bytes);
        self.is_unflushed = true;
    }

    pub(super) fn push_close(&mut self, frame: Option<&CloseFrame>) {
        let payload = frame.map_or_else(Vec::new, |frame| {
            [&frame.code().as_u16().to_be_bytes(), frame.reason().as_bytes()].concat()
        });
        self.push(ClientFrame::Close, &payload);
    }

    pub(super) fn owe_pong(&mut self, payload: Bytes) {
        self.pong = Some(payload);
    }

    /// Ready once the socket has taken all there is.
    pub(super) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut BoxedStream,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.has_room()
                && let Some(payload) = self.pong.take()
            {
                self.push(ClientFrame::Pong, &payload);
            }
            let Some(rest @ [_, ..]) = self.bytes.get(self.written..) else { break };
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether something was written that was not flushed.
    pub(super) const fn is_unflushed(&self) -> bool {
        self.is_unflushed
    }

    /// Ready once all there is has left.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut BoxedStream,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx, stream))?;
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
    }
}
