//! Streams that are read once before HTTP has them.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read at first: most requests are smaller, and half of what hyper reads at once.
const FIRST_BYTES_MAX: usize = 4096;

/// A stream that gives what came of its first read once more.
///
/// hyper and what it needs take 12 KiB. Who has connected and says nothing yet shall not cost that,
/// and it shall not lie between what many clients need for long.
pub(crate) struct Rewound<IO> {
    stream: IO,
    /// Until it was given.
    first: Option<FirstRead>,
}

/// What came of a stream's first read: bytes, the end or an error.
pub(crate) struct FirstRead(io::Result<Bytes>);

impl FirstRead {
    /// Reads for the first time. Ready once something has come of it.
    pub(crate) fn poll<IO>(stream: &mut IO, cx: &mut Context<'_>) -> Poll<Self>
    where
        IO: AsyncRead + Unpin,
    {
        let mut buffer = [const { MaybeUninit::uninit() }; FIRST_BYTES_MAX];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        let read = ready!(Pin::new(stream).poll_read(cx, &mut buffer));
        Poll::Ready(Self(read.map(|()| Bytes::copy_from_slice(buffer.filled()))))
    }

    /// The bytes, if it brought any.
    #[cfg(feature = "http2")]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| bytes)
    }

    /// With what came of another read behind it.
    #[cfg(feature = "http2")]
    pub(crate) fn and(&self, more: &Self) -> Self {
        Self(Ok([self.bytes(), more.bytes()].concat().into()))
    }
}

impl<IO> Rewound<IO> {
    /// A stream that was read once, or not yet.
    pub(crate) const fn new(stream: IO, first: Option<FirstRead>) -> Self {
        Self { stream, first }
    }

    /// The stream, and the bytes that are still to be read before those that it has.
    pub(super) fn into_parts(self) -> (IO, Bytes) {
        // An error was given to whoever read, or the stream will have it once more.
        (self.stream, self.first.and_then(|first| first.0.ok()).unwrap_or_default())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewound<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(first) = this.first.take() else {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        };
        let mut bytes = first.0?;
        let taken = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..taken]);
        bytes.advance(taken);
        this.first = bytes.has_remaining().then_some(FirstRead(Ok(bytes)));
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewound<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head without a body is one buffer, and `send` costs less than `writev`.
        if let [whole] = bufs {
            return self.poll_write(cx, whole);
        }
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Fails once; its end is then all that comes.
    struct Reset(bool);

    impl AsyncRead for Reset {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let has_failed = std::mem::replace(&mut self.0, true);
            Poll::Ready(if has_failed { Ok(()) } else { Err(io::Error::other("reset")) })
        }
    }

    async fn rewound<IO: AsyncRead + Unpin>(mut stream: IO) -> Rewound<IO> {
        let first = poll_fn(|cx| FirstRead::poll(&mut stream, cx)).await;
        Rewound::new(stream, Some(first))
    }

    #[tokio::test]
    async fn what_came_first_is_read_first_in_pieces_of_any_size() {
        let (mut client, server) = duplex(64);
        client.write_all(b"hello").await.unwrap();
        let mut rewound = rewound(server).await;
        client.write_all(b", you").await.unwrap();
        let mut piece = [0; 3];
        for expected in [&b"hel"[..], b"lo", b", y", b"ou"] {
            let read = rewound.read(&mut piece).await.unwrap();
            assert_eq!(&piece[..read], expected);
        }
    }

    #[tokio::test]
    async fn whoever_gets_the_stream_gets_what_was_not_read_again() {
        let (mut client, server) = duplex(64);
        client.write_all(b"hello").await.unwrap();
        let mut rewound = rewound(server).await;
        rewound.read_exact(&mut [0; 2]).await.unwrap();
        let (_, unread) = rewound.into_parts();
        assert_eq!(unread, "llo");
    }

    #[tokio::test]
    async fn an_end_and_an_error_are_told_to_whoever_reads_next() {
        let (client, server) = duplex(64);
        drop(client);
        let mut ended = rewound(server).await;
        assert_eq!(ended.read(&mut [0; 3]).await.unwrap(), 0);

        let mut failed = rewound(Reset(false)).await;
        assert_eq!(failed.read(&mut [0; 3]).await.unwrap_err().to_string(), "reset");
        assert_eq!(failed.read(&mut [0; 3]).await.unwrap(), 0);
    }
}
