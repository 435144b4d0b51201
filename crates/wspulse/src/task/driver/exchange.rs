//! What is said to a client that speaks `wspulse.1`, beside its frames.

use std::time::Duration;

use wspulse_core::codec::InboundMessage;
use wspulse_core::outbound::ResumedAt;
use wspulse_core::protocol::{COUNT_MAX, Control, Hello, SessionKind};
use wspulse_core::session::{Counted, Pace};
use wspulse_core::websocket::{Decoder, Flow, ProtocolError, Sink};
use wspulse_core::{CloseFrame, Dismissal, OVERTAKEN, PanicError, Resumed, duplicate};

use super::Driver;
use super::read::Inbound;
use crate::ground::begun::Begun;
use crate::ground::panics;
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::MessagesSent;
use crate::wire::transport::{ComesBack, Nonce};

impl Driver {
    /// A transport has come by a handshake that began then, and the one before is parted with: goes
    /// on where the client says that it was. If that is not possible, tells how many frames it does
    /// not get.
    pub(super) fn resume_at(&self, received: Option<u64>, begun: Begun) -> Option<usize> {
        let number = received?;
        let ConnectionShared { mailbox, server, id, .. } = &*self.connection;
        let room = self.connection.room();
        let Ok(ResumedAt { freed, finished }) =
            mailbox.resume_at(number, begun, server.queued_bytes())
        else {
            let stats = mailbox.stats();
            let lost = stats.sent.saturating_sub(number) + stats.pending;
            return Some(usize::try_from(lost).unwrap_or(usize::MAX));
        };
        if freed.frames > 0 {
            let age = self.session.oldest_age(super::now());
            self.connection.count_acknowledged(freed.frames, age);
        }
        if let Some(frame) = finished {
            let payload_bytes = frame.payload().len();
            let capacity = server.options().send_buffer_frames;
            let sent = MessagesSent { room, id, messages: 1, payload_bytes, waiting: 0, capacity };
            server.metrics().record(|hooks| hooks.messages_sent(&sent));
        }
        None
    }

    /// Begins a transport with what the client must know first, and with questions of its own. What
    /// was `missed` is there if a session resumes.
    pub(super) fn begin_to_ask(&mut self, missed: Option<Resumed>) {
        if self.session.exchanges() {
            let hello = self.hello(missed);
            if let Some(transport) = &mut self.transport
                && let Some(text) =
                    hello.and_then(|hello| Control::Hello(Box::new(hello)).to_text())
            {
                transport.lane.queue_hello(&text);
                transport.facts.greet();
            }
        } else if self.session.asks()
            && let Some(transport) = &mut self.transport
        {
            transport.nonce = Some(Nonce::random());
        }
    }

    /// How the transport is taken leave of that makes room for another. A client of `wspulse.1` that
    /// comes with an older token than the one that was sent on it may be the same, by a handshake that
    /// took longer than its next one.
    pub(super) fn supersession(&self, comes_back: Option<ComesBack>) -> Dismissal {
        if comes_back.is_some_and(|it| self.connection.mailbox.overtake(it.token)) {
            Dismissal::Close(OVERTAKEN)
        } else {
            Dismissal::Close(duplicate(self.connection.server.options().returns.duplicate_close))
        }
    }

    fn hello(&self, missed: Option<Resumed>) -> Option<Hello> {
        let ConnectionShared { mailbox, server, id, .. } = &*self.connection;
        let options = server.options();
        let proof = mailbox.renew_proof()?;
        let mut hello = Hello::new(&**id, server.token(id, proof));
        if let Some(missed) = missed {
            // A client that has read no hello knows of no session.
            if proof.is_claimed() {
                hello.session = SessionKind::Resumed;
            }
            hello.replay = (missed.replayed + missed.waited) as u64;
        }
        hello.received = self.session.received();
        hello.handled = self.session.handled();
        hello.silence = millis(options.heartbeat.pong_timeout);
        hello.window = millis(options.resume_window);
        hello.message_max = options.message_bytes_max as u64;
        Some(hello)
    }
}

/// Decodes what a client that speaks `wspulse.1` has sent.
#[inline(never)]
pub(super) fn feed_exchange(
    decoder: &mut Decoder,
    chunk: &mut [u8],
    inbound: &mut Inbound<'_>,
) -> Result<Result<usize, ProtocolError>, PanicError> {
    let mut exchanged = Exchanged { inbound, is_violated: false };
    let fed = panics::catch(|| decoder.feed(chunk, &mut exchanged))?;
    Ok(if exchanged.is_violated { Err(ProtocolError::NotControl) } else { fed })
}

/// Tells the messages of the protocol from frames, and counts these.
struct Exchanged<'a, 'b> {
    inbound: &'a mut Inbound<'b>,
    /// The client has said something that it must not.
    is_violated: bool,
}

impl Sink for Exchanged<'_, '_> {
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        let Self { inbound, is_violated } = self;
        if !inbound.facts.confirm() {
            // It has read the hello.
            inbound.turn.connection.mailbox.confirm_proof();
        }
        inbound.pace(|inbound| {
            if !Control::is_meant(&message) {
                return match inbound.turn.session.count_received() {
                    Counted::New => inbound.deliver(message),
                    Counted::TakenBefore => inbound.pass_over(&message),
                };
            }
            match Control::parse(message.as_bytes()) {
                Ok(Control::Ask) => inbound.turn.session.handle_client_asked(),
                Ok(Control::Ack(number)) => {
                    inbound.acknowledged = inbound.acknowledged.max(Some(number));
                }
                // Of a later version, or not for servers.
                Ok(_) => {}
                Err(_) => {
                    *is_violated = true;
                    return Flow::Pause;
                }
            }
            Flow::Continue
        })
    }

    fn inflated(&mut self, message: InboundMessage<'_>, wire_bytes: usize) -> Flow {
        match self.inbound.pace_inflated(&message, wire_bytes) {
            Pace::Within => self.message(message),
            Pace::Last => {
                self.message(message);
                self.inbound.pause_behind_inflated()
            }
            Pace::Over => Flow::Pause,
        }
    }

    fn ping(&mut self, payload: &[u8]) {
        self.inbound.ping(payload);
    }

    fn pong(&mut self, payload: &[u8]) {
        self.inbound.pong(payload);
    }

    fn close(&mut self, frame: Option<CloseFrame>) {
        self.inbound.close(frame);
    }

    fn flow_behind_control(&self) -> Flow {
        self.inbound.flow_behind_control()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}
