//! From the transport to the session.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, ReadBuf};
use wspulse_core::codec::{DecodeError, InboundMessage};
use wspulse_core::outbound::{ControlLane, NotWritten};
use wspulse_core::session::Pace;
use wspulse_core::websocket::{Flow, ProtocolError, Sink};
use wspulse_core::{CloseFrame, Escaped, PanicError, TransportLost};

use super::callback::{Turn, report_panic};
use super::exchange::feed_exchange;
use super::{Driver, now};
use crate::ground::budget::poll_unbudgeted;
use crate::ground::panics;
use crate::membership::shared::ConnectionShared;
use crate::membership::turns::Turns;
use crate::observe::metrics::{CallbackKind, Limit, MessageReceived, MessageUndecodable};
use crate::wire::transport::{Facts, Nonce, Unread};

thread_local! {
    /// What all connections of a thread read into: none of them holds a buffer while it waits. It
    /// is taken out for the length of one read, so that no borrow outlives it.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a chunk of input came to.
enum Fed {
    More,
    Closed(Option<CloseFrame>),
    Violation(ProtocolError),
    OverRate,
    Panicked(PanicError),
}

impl Driver {
    /// Reads once and decodes what came, unless too many frames wait for their callback. Tells
    /// whether anything came.
    pub(super) fn drive_read(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.session.wants_inbound() {
            return false;
        }
        if self.session.meters_reads() {
            // All that came meanwhile is read at once, and is not too fast for that.
            self.notice_stop();
        }
        let is_starved = self.is_starved();
        let Some(transport) = &mut self.transport else {
            return false;
        };
        if let Some(mut unread) = transport.unread.take() {
            self.feed(&mut unread.0, now(), cx);
            return true;
        }
        if !Turns::may_read(&self.connection.server, &mut transport.last_turn, cx) {
            return false;
        }
        let read_bytes_max = self.connection.server.options().read_bytes_max;
        let bytes_max = if self.session.meters_reads() {
            self.session.read_bytes_max(read_bytes_max, now())
        } else {
            read_bytes_max
        };
        let mut scratch = SCRATCH.take();
        scratch.resize(read_bytes_max, 0);
        let mut buffer = ReadBuf::new(&mut scratch[..bytes_max]);
        let mut stream = Pin::new(&mut transport.stream);
        let polled = if is_starved {
            poll_unbudgeted(cx, |cx| stream.as_mut().poll_read(cx, &mut buffer))
        } else {
            stream.poll_read(cx, &mut buffer)
        };
        let filled = buffer.filled().len();
        let progress = polled.is_ready();
        match polled {
            Poll::Ready(Ok(())) if filled > 0 => {
                self.connection.server.turns().take(&mut transport.last_turn);
                let now = now();
                if self.meter_read(filled, now, cx) {
                    self.feed(&mut scratch[..filled], now, cx);
                }
            }
            Poll::Ready(Ok(())) => self.end_input(TransportLost::EndOfStream, cx),
            Poll::Ready(Err(error)) => self.lose_to(error),
            Poll::Pending => {}
        }
        SCRATCH.set(scratch);
        progress
    }

    pub(super) fn lose(&mut self, cause: TransportLost) {
        self.session.handle_transport_lost(cause, now());
        self.settle();
    }

    pub(super) fn lose_to(&mut self, error: io::Error) {
        self.lose(TransportLost::Io(Arc::new(error)));
    }

    /// Counts what was read against the inbound rate. Tells whether it is within; else the
    /// transport is lost.
    pub(super) fn meter_read(&mut self, bytes: usize, now: Instant, cx: &mut Context<'_>) -> bool {
        match self.session.admit_bytes(bytes, now) {
            Pace::Within => true,
            Pace::Last => {
                self.connection.report_limit(Limit::InboundRate);
                true
            }
            Pace::Over => {
                self.connection.report_limit(Limit::InboundRate);
                self.end_input(TransportLost::RateLimited, cx);
                false
            }
        }
    }

    fn feed(&mut self, chunk: &mut [u8], now: Instant, cx: &mut Context<'_>) {
        self.session.handle_activity(now);
        match self.decode(chunk, now) {
            Fed::More => self.settle(),
            Fed::Closed(frame) => self.end_input(TransportLost::PeerClosed(frame), cx),
            Fed::Violation(error) => {
                self.report_violation(&error);
                self.end_input(TransportLost::Protocol(error), cx);
            }
            Fed::OverRate => self.end_input(TransportLost::RateLimited, cx),
            Fed::Panicked(panic) => {
                report_panic(&self.connection, CallbackKind::Message, &panic);
                self.end_input(TransportLost::HandlerPanicked(panic), cx);
            }
        }
    }

    /// Nothing more can be read. What was received before is handled and answered first, as far as
    /// that takes no waiting; then the transport is lost.
    fn end_input(&mut self, cause: TransportLost, cx: &mut Context<'_>) {
        self.settle();
        while self.drive_callback(cx) {}
        self.drive_write(true, cx);
        self.lose(cause);
    }

    fn decode(&mut self, chunk: &mut [u8], now: Instant) -> Fed {
        let Some(transport) = &mut self.transport else {
            return Fed::More;
        };
        let exchanges = self.session.exchanges();
        let (fed, pace, close, acknowledged) = {
            let mut inbound = Inbound {
                turn: Turn::begin(&self.connection, &mut self.session, &mut self.callback),
                lane: &mut transport.lane,
                facts: &mut transport.facts,
                now,
                pace: Pace::Within,
                close: None,
                nonce: transport.nonce,
                acknowledged: None,
                received: 0,
            };
            let fed = if exchanges {
                feed_exchange(&mut transport.decoder, chunk, &mut inbound)
            } else {
                panics::catch(|| transport.decoder.feed(chunk, &mut inbound))
            };
            self.connection.mailbox.count_received(inbound.received);
            (fed, inbound.pace, inbound.close.take(), inbound.acknowledged)
        };
        if let Some(number) = acknowledged
            && let Err(NotWritten { number, written }) = self.acknowledge(number, now)
            && exchanges
        {
            return Fed::Violation(ProtocolError::NotWritten { number, written });
        }
        let Some(transport) = &mut self.transport else {
            return Fed::More;
        };
        if let Some(PeerClose(frame)) = close {
            return Fed::Closed(frame);
        }
        match pace {
            Pace::Within => {}
            Pace::Last => self.connection.report_limit(Limit::InboundRate),
            Pace::Over => {
                self.connection.report_limit(Limit::InboundRate);
                return Fed::OverRate;
            }
        }
        match fed {
            Ok(Ok(consumed)) => {
                self.session.handle_progress(transport.decoder.progress(), now);
                transport.unread = Unread::some(&chunk[consumed..]);
                Fed::More
            }
            Ok(Err(error)) => Fed::Violation(error),
            Err(panic) => Fed::Panicked(panic),
        }
    }

    fn report_violation(&self, error: &ProtocolError) {
        let ConnectionShared { id, .. } = &*self.connection;
        let room = self.connection.room();
        let (id, room) = (Escaped::new(id), Escaped::new(room));
        if let ProtocolError::MessageTooBig { .. } = error {
            tracing::warn!(
                id = id.as_str(),
                room = room.as_str(),
                "{error}; the option max_message_size sets it"
            );
        } else {
            tracing::debug!(id = id.as_str(), room = room.as_str(), "protocol violation: {error}");
        }
        if let ProtocolError::TooManyFragments { .. } = error {
            self.connection.report_limit(Limit::MessageFragments);
        }
    }
}

/// A close frame came; an empty one has no code.
struct PeerClose(Option<CloseFrame>);

/// Takes what the decoder finds.
pub(super) struct Inbound<'a> {
    pub(super) turn: Turn<'a>,
    lane: &'a mut ControlLane,
    pub(super) facts: &'a mut Facts,
    pub(super) now: Instant,
    /// What the inbound rate says of the last message or Ping.
    pub(super) pace: Pace,
    close: Option<PeerClose>,
    nonce: Option<Nonce>,
    /// The newest frame that the peer has said to have.
    pub(super) acknowledged: Option<u64>,
    /// How many messages were whole.
    received: u32,
}

impl Inbound<'_> {
    #[inline]
    pub(super) fn deliver(&mut self, message: InboundMessage<'_>) -> Flow {
        let ConnectionShared { server, id, mailbox, .. } = &**self.turn.connection;
        let payload_bytes = message.as_bytes().len();
        self.received += 1;
        server.metrics().record(|hooks| {
            let room = self.turn.connection.room();
            hooks.message_received(&MessageReceived { room, id, payload_bytes });
        });
        if server.requests().look_closer() {
            return self.deliver_beside_requests(message);
        }
        if server.callbacks().message.is_none() {
            return Flow::Continue;
        }
        match server.codecs().of(mailbox.codec()).decode(message) {
            Ok(frame) if self.turn.session.start_message() => {
                self.turn.start_message(frame, self.now);
                Flow::Continue
            }
            Ok(frame) => self.turn.session.handle_frame(frame),
            Err(error) => {
                self.report_undecodable(payload_bytes, &error);
                self.deliver_undecodable(error)
            }
        }
    }

    /// It has come before, and somebody has it who awaited it.
    #[cold]
    #[inline(never)]
    pub(super) fn pass_over(&mut self, message: &InboundMessage<'_>) -> Flow {
        self.received += 1;
        let ConnectionShared { server, id, .. } = &**self.turn.connection;
        let received = MessageReceived {
            room: self.turn.connection.room(),
            id,
            payload_bytes: message.as_bytes().len(),
        };
        server.metrics().record(|hooks| hooks.message_received(&received));
        self.turn.session.handle_taken_before()
    }

    #[cold]
    pub(super) fn deliver_undecodable(&mut self, error: DecodeError) -> Flow {
        if self.turn.connection.server.callbacks().undecodable.is_none() {
            return self.turn.session.handle_taken();
        }
        if !self.turn.session.start_message() {
            return self.turn.session.handle_undecodable(error);
        }
        self.turn.start_undecodable(error, self.now);
        Flow::Continue
    }

    /// The first of a transport at WARN, lest a flood of messages becomes a flood of lines.
    #[cold]
    pub(super) fn report_undecodable(&mut self, payload_bytes: usize, error: &DecodeError) {
        let ConnectionShared { server, id, .. } = &**self.turn.connection;
        let room = self.turn.connection.room();
        let error = error.get_ref();
        // Escaped inside, so that a flood costs nothing where nobody listens at DEBUG.
        if self.facts.see_undecodable() {
            tracing::debug!(
                id = %Escaped::new(id),
                room = %Escaped::new(room),
                payload_bytes,
                error = %Escaped::error(error),
                "undecodable message dropped"
            );
        } else {
            tracing::warn!(
                id = %Escaped::new(id),
                room = %Escaped::new(room),
                payload_bytes,
                error = %Escaped::error(error),
                "undecodable message dropped"
            );
        }
        let undecodable = MessageUndecodable { room, id, payload_bytes };
        server.metrics().record(|hooks| hooks.message_undecodable(&undecodable));
    }
}

impl Sink for Inbound<'_> {
    #[inline]
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        self.pace(|inbound| inbound.deliver(message))
    }

    fn inflated(&mut self, message: InboundMessage<'_>, wire_bytes: usize) -> Flow {
        match self.pace_inflated(&message, wire_bytes) {
            Pace::Within => self.message(message),
            Pace::Last => {
                self.message(message);
                self.pause_behind_inflated()
            }
            Pace::Over => Flow::Pause,
        }
    }

    fn ping(&mut self, payload: &[u8]) {
        self.pace = self.turn.session.admit_message(self.now);
        match self.pace {
            Pace::Within | Pace::Last => self.lane.queue_pong(payload),
            Pace::Over => {}
        }
    }

    /// Like every byte it proves that the peer lives, which is noted already. It may answer a
    /// question besides.
    fn pong(&mut self, payload: &[u8]) {
        if let Some(nonce) = self.nonce {
            self.acknowledged = self.acknowledged.max(nonce.answer(payload));
        }
    }

    fn close(&mut self, frame: Option<CloseFrame>) {
        self.close = Some(PeerClose(frame));
    }

    fn flow_behind_control(&self) -> Flow {
        match self.pace {
            Pace::Within => Flow::Continue,
            Pace::Last | Pace::Over => Flow::Pause,
        }
    }
}
