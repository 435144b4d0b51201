//! What is said to a client that speaks `wspulse.1`, beside its frames.

use std::time::{Duration, Instant};

use wspulse_core::protocol::{COUNT_MAX, Control, Hello, SessionKind};

use super::Driver;
use super::acknowledge::Nonce;
use crate::connection::ConnectionShared;
use crate::metrics::MessagesSent;

impl Driver {
    /// A transport has come, and the one before is parted with: goes on where the client says that
    /// it was. Tells whether that is possible.
    pub(super) fn resume_at(&self, received: Option<u64>) -> bool {
        let Some(number) = received else { return true };
        let ConnectionShared { mailbox, server, room, id, .. } = &*self.connection;
        match mailbox.resume_at(number, server.queued_bytes()) {
            Ok(None) => true,
            Ok(Some(frame)) => {
                let payload_bytes = frame.payload().len();
                let capacity = server.options().send_buffer_frames;
                server.metrics().record(|hooks| {
                    let sent =
                        MessagesSent { room, id, messages: 1, payload_bytes, waiting: 0, capacity };
                    hooks.messages_sent(&sent);
                });
                true
            }
            Err(_) => false,
        }
    }

    /// Begins a transport with what the client must know first, and with questions of its own.
    pub(super) fn begin_to_ask(&mut self, resumes: bool) {
        if self.session.exchanges() {
            let hello = self.hello(resumes);
            if let Some(transport) = &mut self.transport
                && let Some(text) =
                    hello.and_then(|hello| Control::Hello(Box::new(hello)).to_text())
            {
                transport.lane.queue_hello(text);
            }
        } else if self.session.asks() {
            self.session.name_questions(Nonce::random());
        }
    }

    fn hello(&self, resumes: bool) -> Option<Hello> {
        let ConnectionShared { mailbox, server, id, .. } = &*self.connection;
        let options = server.options();
        let token = server.token(id, mailbox.renew_proof()?);
        let mut hello = Hello::new(&**id, token);
        if resumes {
            let missed = mailbox.resumed();
            hello.session = SessionKind::Resumed;
            hello.replay = (missed.replayed + missed.waited) as u64;
        }
        hello.received = self.session.received();
        hello.handled = self.session.handled();
        hello.silence = millis(options.heartbeat.pong_timeout);
        hello.window = millis(options.resume_window);
        hello.message_max = options.message_bytes_max as u64;
        Some(hello)
    }

    /// Asks a client that speaks `wspulse.1` how far it has got, if there is anything to ask.
    pub(super) fn ask_client(&mut self, now: Instant) {
        let Some(transport) = &mut self.transport else { return };
        if self.session.may_ask() {
            let number = self.connection.mailbox.written_to_transport();
            transport.lane.queue_ask();
            self.session.handle_asked(number, now);
        }
    }

    /// Something has come from the client, which has read the hello then.
    #[cold]
    pub(super) fn confirm(&self) {
        self.connection.mailbox.confirm_proof();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}
