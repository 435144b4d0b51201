//! Reading on for the sake of what is awaited of the client, and finding the replies in what comes.

use std::sync::Arc;

use bytes::Bytes;
use wspulse_core::Frame;
use wspulse_core::codec::InboundMessage;
use wspulse_core::websocket::Flow;

use super::Driver;
use super::now;
use super::read::Inbound;
use crate::app::connection::Connection;
use crate::app::request::RequestCounter;
use crate::membership::shared::ConnectionShared;
use crate::membership::tap::Passed;
use crate::observe::metrics::ReplyUnmatched;
use crate::router::ReplyError;

impl Driver {
    /// Tells the session whether something `is_awaited` that the client must say.
    #[inline]
    pub(super) fn drive_awaited(&mut self, is_awaited: bool) {
        if is_awaited != self.session.is_awaiting() {
            self.change_awaited(is_awaited);
        }
    }

    #[cold]
    fn change_awaited(&mut self, is_awaited: bool) {
        self.forget_room_awaited();
        if is_awaited {
            self.session.handle_awaited(now());
        } else {
            self.session.handle_awaited_over();
        }
        self.settle();
    }

    /// A callback has returned: it waits for room no more.
    #[cold]
    pub(super) fn forget_room_awaited(&self) {
        if !self.session.runs_callback() {
            self.connection.mailbox.forget_room_awaited();
        }
    }
}

impl Inbound<'_> {
    /// As [`deliver`](Self::deliver), on a server that asks its clients, or answers what fails, or
    /// while somebody looks at what passes.
    #[inline(never)]
    pub(super) fn deliver_beside_requests(&mut self, message: InboundMessage<'_>) -> Flow {
        let ConnectionShared { server, mailbox, .. } = &**self.turn.connection;
        if mailbox.is_tapped() {
            let payload = Bytes::copy_from_slice(message.as_bytes());
            mailbox.show(&Passed::Inbound(message.kind(), payload));
        }
        if server.callbacks().message.is_none() && !server.requests().are_made() {
            return Flow::Continue;
        }
        let payload_bytes = message.as_bytes().len();
        let spare = server.options().requests.answers_failures.then(|| message.clone());
        let frame = match server.codecs().of(mailbox.codec()).decode(message) {
            Ok(frame) => frame,
            Err(error) => {
                self.report_undecodable(payload_bytes, &error);
                if let Some(message) = spare {
                    self.answer_undecodable(&message);
                }
                return self.deliver_undecodable(error);
            }
        };
        match self.take_answer(frame) {
            Ok(flow) => flow,
            Err(frame) if self.turn.session.start_message() => {
                self.turn.start_message(frame, self.now);
                Flow::Continue
            }
            Err(frame) => self.turn.session.handle_frame(frame),
        }
    }

    /// Gives a frame that answers a request of the server's to whoever waits for it, or back.
    fn take_answer(&mut self, frame: Frame) -> Result<Flow, Frame> {
        let connection = &**self.turn.connection;
        let ConnectionShared { server, id, mailbox, .. } = connection;
        let is_answer = server.requests().look_for_replies()
            && server.options().requests.is_answer(frame.event());
        if !is_answer || frame.id().is_empty() || !self.turn.session.is_connected() {
            return Err(frame);
        }
        if let Some(frame) = mailbox.answer_request(frame) {
            if !RequestCounter::made(frame.id()) {
                return Err(frame);
            }
            let unmatched = ReplyUnmatched { room: connection.room(), id };
            server.metrics().record(|hooks| hooks.reply_unmatched(&unmatched));
        }
        Ok(self.turn.session.handle_taken())
    }

    /// Tells whoever asked by a message that is no frame, if its id can be read.
    #[cold]
    fn answer_undecodable(&self, message: &InboundMessage<'_>) {
        let connection = Connection::new(Arc::clone(self.turn.connection));
        let Some(id) = connection.codec().read_id(message.as_bytes()) else { return };
        let told = ReplyError::new(ReplyError::UNDECODABLE, "the message is not a frame");
        // A client that has gone, or reads nothing, is told nothing.
        let _ = connection.reply_error(&Frame::default().with_id(id), &told);
    }
}
