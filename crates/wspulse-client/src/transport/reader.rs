//! What comes over a WebSocket, one thing after the other.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use wspulse_core::CloseFrame;
use wspulse_core::codec::InboundMessage;
use wspulse_core::websocket::{Decoder, Flow, ProtocolError, Sink};

use super::stream::BoxedStream;
use crate::session::Message;

/// What has come.
pub(super) enum Heard {
    Message(Message),
    /// To be answered with this payload.
    Ping(Bytes),
    Pong,
    /// Nothing follows.
    Close(Option<CloseFrame>),
}

/// Why nothing more comes.
pub(super) enum ReadError {
    Io(io::Error),
    Protocol(ProtocolError),
}

pub(super) struct Reader {
    decoder: Decoder,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not decoded.
    undecoded: Range<usize>,
}

impl Reader {
    /// Begins with what has come already; reads so many bytes at a time from then on.
    pub(super) fn new(decoder: Decoder, read: &[u8], buffer_bytes: usize) -> Self {
        let mut buffer = vec![0; buffer_bytes.max(read.len())];
        buffer[..read.len()].copy_from_slice(read);
        Self { decoder, buffer, undecoded: 0..read.len() }
    }

    /// The next thing; none if the stream has ended.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut BoxedStream,
    ) -> Poll<Result<Option<Heard>, ReadError>> {
        loop {
            if let Some(heard) = self.decode().map_err(ReadError::Protocol)? {
                return Poll::Ready(Ok(Some(heard)));
            }
            let mut room = ReadBuf::new(&mut self.buffer);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut room)).map_err(ReadError::Io)?;
            self.undecoded = 0..room.filled().len();
            if self.undecoded.is_empty() {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// The first thing in what was read; none if that is not the whole of one.
    fn decode(&mut self) -> Result<Option<Heard>, ProtocolError> {
        let mut first = First(None);
        let decoded = self.decoder.feed(&mut self.buffer[self.undecoded.clone()], &mut first)?;
        self.undecoded.start += decoded;
        Ok(first.0)
    }
}

/// Takes one thing, and has the decoder stop behind it.
struct First(Option<Heard>);

impl Sink for First {
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        let kind = message.kind();
        self.0 = Some(Heard::Message(Message { kind, bytes: message.into_bytes() }));
        Flow::Pause
    }

    fn ping(&mut self, payload: &[u8]) {
        self.0 = Some(Heard::Ping(Bytes::copy_from_slice(payload)));
    }

    fn pong(&mut self, _: &[u8]) {
        self.0 = Some(Heard::Pong);
    }

    fn close(&mut self, frame: Option<CloseFrame>) {
        self.0 = Some(Heard::Close(frame));
    }

    fn flow_behind_control(&self) -> Flow {
        Flow::Pause
    }
}
