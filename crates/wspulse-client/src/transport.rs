//! One WebSocket to the server: opened, driven, and closed politely.

mod dial;
mod handshake;
mod reader;
mod stream;
#[cfg(feature = "rustls")]
mod tls;
mod writer;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep};
use wspulse_core::websocket::{ClientFrame, Decoder, ProtocolError};
use wspulse_core::{CloseFrame, MessageKind};

pub use self::dial::Proxy;
pub(crate) use self::dial::{Connector, Dialer, Proxies};
pub(crate) use self::handshake::Opened;
use self::reader::{Heard, ReadError, Reader};
pub(crate) use self::stream::BoxedStream;
pub use self::stream::{Address, ByteStream};
#[cfg(feature = "rustls")]
pub use self::tls::Roots;
#[cfg(feature = "rustls")]
pub(crate) use self::tls::Tls;
use self::writer::Writer;
use crate::compression::{Agreed, Compressing};
use crate::event::Cause;
use crate::session::{Message, Outgoing, Session};

/// How long a transport that was parted with has to take its last bytes and to answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long is read on after a write has failed: the server may have said why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What holds for each WebSocket of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOptions {
    pub(crate) message_bytes_max: usize,
    pub(crate) read_buffer_bytes: usize,
    pub(crate) compressing: Compressing,
}

/// An open WebSocket.
pub(crate) struct Transport {
    stream: BoxedStream,
    reader: Reader,
    writer: Writer,
    agreed: Agreed,
    failed: Option<Failed>,
}

/// Nothing more can be written, and until then there may be something to read.
struct Failed {
    until: Pin<Box<Sleep>>,
    cause: Cause,
}

/// What came of a turn.
pub(crate) enum Turn {
    Message(Message),
    /// A Ping or a Pong.
    Heard,
    /// The socket has taken all there was.
    Flushed,
    Lost(Cause),
}

impl Transport {
    /// `read` is what has come behind the handshake.
    pub(crate) fn new(
        stream: BoxedStream,
        read: &[u8],
        options: &SocketOptions,
        agreed: Agreed,
    ) -> Self {
        let decoder = Decoder::new(options.message_bytes_max).with_unmasked();
        let reader = Reader::new(agreed.decoder(decoder), read, options.read_buffer_bytes);
        Self { stream, reader, writer: Writer::default(), agreed, failed: None }
    }

    /// Writes what the session has to send and reads one message, if it may.
    pub(crate) fn poll_turn<W>(
        &mut self,
        cx: &mut Context<'_>,
        session: &Mutex<Session<W>>,
        may_read: bool,
    ) -> Poll<Turn> {
        if self.failed.is_none()
            && let Poll::Ready(result) = self.poll_write(cx, session)
        {
            match result {
                Ok(()) => return Poll::Ready(Turn::Flushed),
                Err(error) => {
                    let until = Box::pin(tokio::time::sleep(LAST_WORDS));
                    self.failed = Some(Failed { until, cause: Cause::Failed(Arc::new(error)) });
                }
            }
        }
        if may_read && let Poll::Ready(turn) = self.poll_read(cx) {
            return Poll::Ready(turn);
        }
        if let Some(Failed { until, cause }) = &mut self.failed {
            ready!(until.as_mut().poll(cx));
            return Poll::Ready(Turn::Lost(cause.clone()));
        }
        Poll::Pending
    }

    /// Ready once something was written and all is flushed, or cannot be.
    fn poll_write<W>(
        &mut self,
        cx: &mut Context<'_>,
        session: &Mutex<Session<W>>,
    ) -> Poll<io::Result<()>> {
        // What the socket has no room for is left to the session: it does not count as sent.
        loop {
            ready!(self.writer.poll_drain(cx, &mut self.stream))?;
            if !self.gather(session) {
                break;
            }
        }
        if !self.writer.is_unflushed() {
            return Poll::Pending;
        }
        self.writer.poll_flush(cx, &mut self.stream)
    }

    /// Takes what the session has to send, up to some bytes. Whether it had anything.
    fn gather<W>(&mut self, session: &Mutex<Session<W>>) -> bool {
        let now = Instant::now().into_std();
        let mut has_gathered = false;
        while self.writer.has_room() {
            let outgoing = session.lock().poll_transmit(now);
            let Some(outgoing) = outgoing else { break };
            has_gathered = true;
            match outgoing {
                Outgoing::Data(Message { kind, bytes }) => match self.agreed.compressed(&bytes) {
                    Some(compressed) => {
                        self.writer.push(ClientFrame::Compressed(kind), &compressed);
                    }
                    None => self.writer.push(ClientFrame::Message(kind), &bytes),
                },
                Outgoing::Control(text) => {
                    self.writer.push(ClientFrame::Message(MessageKind::Text), text.as_bytes());
                }
                Outgoing::Ping => self.writer.push(ClientFrame::Ping, &[]),
            }
        }
        has_gathered
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        Poll::Ready(match ready!(self.reader.poll_next(cx, &mut self.stream)) {
            Ok(Some(Heard::Message(message))) => Turn::Message(message),
            Ok(Some(Heard::Ping(payload))) => {
                self.writer.owe_pong(payload);
                Turn::Heard
            }
            Ok(Some(Heard::Pong)) => Turn::Heard,
            Ok(Some(Heard::Close(frame))) => {
                self.writer.push_close(frame.as_ref());
                let (code, reason) = frame.map_or((NO_STATUS, String::new()), |frame| {
                    (frame.code().as_u16(), frame.reason().to_owned())
                });
                Turn::Lost(Cause::Closed { code, reason })
            }
            Ok(None) => Turn::Lost(Cause::Dropped),
            Err(ReadError::Io(error)) => Turn::Lost(Cause::Failed(Arc::new(error))),
            Err(ReadError::Protocol(error)) => {
                self.writer.push_close(Some(&error.close_frame()));
                Turn::Lost(cause_of(error))
            }
        })
    }

    /// Takes leave: what was written goes out, then this close frame. Without one it is the answer to what
    /// the server has sent last, a close frame or what is against the rules.
    pub(crate) async fn part(mut self, frame: Option<CloseFrame>) {
        if self.failed.is_some() {
            return;
        }
        if let Some(frame) = frame {
            self.writer.push_close(Some(&frame));
        }
        let farewell = async {
            poll_fn(|cx| self.writer.poll_flush(cx, &mut self.stream)).await?;
            // It is the server who hangs up first (RFC 6455 §7.1.1). What comes before counts no more.
            while self.stream.read(&mut [0; 1024]).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Whatever comes of it: nobody is left to be told.
        drop(tokio::time::timeout(FAREWELL, farewell).await);
    }
}

/// What stands for a close frame without a code (RFC 6455 §7.1.5).
const NO_STATUS: u16 = 1005;

fn cause_of(error: ProtocolError) -> Cause {
    if matches!(error, ProtocolError::MessageTooBig { .. }) {
        Cause::MessageTooLong
    } else {
        Cause::Failed(Arc::new(error))
    }
}
