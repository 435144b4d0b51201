//! One WebSocket to the server: opened, driven, and closed politely.

mod dial;
mod handshake;
mod stream;
#[cfg(feature = "rustls")]
mod tls;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message as WebSocketMessage};
use wspulse_core::MessageKind;

pub use self::dial::Proxy;
pub(crate) use self::dial::{Connector, Dialer, Proxies};
pub(crate) use self::handshake::Opened;
pub(crate) use self::stream::BoxedStream;
pub use self::stream::{Address, ByteStream};
#[cfg(feature = "rustls")]
pub use self::tls::Roots;
#[cfg(feature = "rustls")]
pub(crate) use self::tls::Tls;
use crate::event::Cause;
use crate::session::{Message, Outgoing, Session};

/// How long a transport that was parted with has to take its last bytes and to answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long is read on after a write has failed: the server may have said why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// An open WebSocket.
pub(crate) struct Transport {
    socket: WebSocketStream<BoxedStream>,
    writing: Writing,
}

enum Writing {
    Flushed,
    Unflushed,
    /// Nothing more can be written, and until then there may be something to read.
    Failed(Pin<Box<Sleep>>, Cause),
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
    pub(crate) const fn new(socket: WebSocketStream<BoxedStream>) -> Self {
        Self { socket, writing: Writing::Flushed }
    }

    /// Writes what the session has to send and reads one message, if it may.
    pub(crate) fn poll_turn<W>(
        &mut self,
        cx: &mut Context<'_>,
        session: &Mutex<Session<W>>,
        may_read: bool,
    ) -> Poll<Turn> {
        if let Poll::Ready(result) = self.poll_write(cx, session) {
            match result {
                Ok(()) => return Poll::Ready(Turn::Flushed),
                Err(error) => {
                    let until = Box::pin(tokio::time::sleep(LAST_WORDS));
                    self.writing = Writing::Failed(until, cause_of(error));
                }
            }
        }
        if may_read && let Poll::Ready(turn) = self.poll_read(cx) {
            return Poll::Ready(turn);
        }
        if let Writing::Failed(until, cause) = &mut self.writing {
            ready!(until.as_mut().poll(cx));
            return Poll::Ready(Turn::Lost(cause.clone()));
        }
        Poll::Pending
    }

    /// Ready once all is written, or cannot be.
    fn poll_write<W>(
        &mut self,
        cx: &mut Context<'_>,
        session: &Mutex<Session<W>>,
    ) -> Poll<Result<(), Error>> {
        if matches!(self.writing, Writing::Failed(..)) {
            return Poll::Pending;
        }
        loop {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            let now = Instant::now().into_std();
            let Some(outgoing) = session.lock().poll_transmit(now) else { break };
            self.writing = Writing::Unflushed;
            Pin::new(&mut self.socket).start_send(message_of(outgoing))?;
        }
        if matches!(self.writing, Writing::Flushed) {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.writing = Writing::Flushed;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Poll::Ready(Turn::Lost(cause_of(error))),
            None => return Poll::Ready(Turn::Lost(Cause::Dropped)),
        };
        Poll::Ready(match message {
            WebSocketMessage::Text(text) => {
                Turn::Message(Message { kind: MessageKind::Text, bytes: text.into() })
            }
            WebSocketMessage::Binary(bytes) => {
                Turn::Message(Message { kind: MessageKind::Binary, bytes })
            }
            WebSocketMessage::Ping(_) | WebSocketMessage::Pong(_) | WebSocketMessage::Frame(_) => {
                Turn::Heard
            }
            WebSocketMessage::Close(frame) => {
                let (code, reason) = frame.map_or((NO_STATUS, String::new()), |frame| {
                    (frame.code.into(), frame.reason.to_string())
                });
                Turn::Lost(Cause::Closed { code, reason })
            }
        })
    }

    /// Takes leave: what was written goes out, then the close frame, or the answer to the server's.
    pub(crate) async fn part(mut self, frame: Option<(u16, &'static str)>) {
        let farewell = async {
            if let Some((code, reason)) = frame {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                self.socket.send(WebSocketMessage::Close(Some(frame))).await?;
            } else {
                self.socket.flush().await?;
            }
            while self.socket.next().await.transpose()?.is_some() {}
            Ok::<(), Error>(())
        };
        // Whatever comes of it: nobody is left to be told.
        drop(tokio::time::timeout(FAREWELL, farewell).await);
    }
}

/// What stands for a close frame without a code (RFC 6455 §7.1.5).
const NO_STATUS: u16 = 1005;

fn message_of(outgoing: Outgoing) -> WebSocketMessage {
    match outgoing {
        Outgoing::Data(Message { kind: MessageKind::Binary, bytes }) => {
            WebSocketMessage::Binary(bytes)
        }
        Outgoing::Data(Message { kind: MessageKind::Text, bytes }) => match bytes.try_into() {
            Ok(text) => WebSocketMessage::Text(text),
            // A codec that calls text what is none would have the server fail the connection.
            Err(_) => WebSocketMessage::Text("".into()),
        },
        Outgoing::Control(text) => WebSocketMessage::Text(text.into()),
        Outgoing::Ping => WebSocketMessage::Ping(Bytes::new()),
    }
}

fn cause_of(error: Error) -> Cause {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Cause::Dropped,
        Error::Capacity(_) => Cause::MessageTooLong,
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::WriteBufferFull(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Cause::Failed(Arc::new(error)),
    }
}
