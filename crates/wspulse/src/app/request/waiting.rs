//! One request on its way, and its place among those that wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytestring::ByteString;
use tokio::time::Instant;
use wspulse_core::session::AwaitedConfig;
use wspulse_core::{EncodedFrame, Frame, Outgoing};

use crate::app::connection::Connection;
use crate::ground::running_time::RunningTimer;
use crate::membership::mailbox::{Answer, Answered, NoPlace, Unanswered};
use crate::observe::metrics::{Limit, RequestFinished, RequestOutcome};
use crate::settings::error::{RequestError, RequestLimit, SendError};
use crate::settings::options::RequestOptions;

/// Its place is free once this is dropped.
pub(super) struct Waiting {
    connection: Connection,
    id: ByteString,
    /// `None` once the place was given up.
    answer: Option<Answer>,
    sent_at: Instant,
    /// `None` while nothing has come of it.
    answered_at: Option<Instant>,
    outcome: RequestOutcome,
}

impl Waiting {
    /// Sends the request, which has an id.
    pub(super) fn begin(connection: Connection, outgoing: Outgoing) -> Result<Self, RequestError> {
        let (frame, marks) = outgoing.into_parts();
        Self::enter(connection, frame, |connection, frame| connection.send_as(frame, marks))
    }

    /// Sends the request, which is encoded already.
    pub(super) fn begin_encoded(
        connection: Connection,
        frame: Frame,
        encoded: EncodedFrame,
    ) -> Result<Self, RequestError> {
        Self::enter(connection, frame, |connection, frame| connection.send_encoded(frame, encoded))
    }

    /// The reply may come as soon as the request is sent, so it is waited for before.
    fn enter(
        connection: Connection,
        frame: Frame,
        send: impl FnOnce(&Connection, Frame) -> Result<(), SendError>,
    ) -> Result<Self, RequestError> {
        let id = ByteString::from(frame.id());
        let requests_max = connection.server().options().requests.outstanding_max;
        let answer = match connection.shared().mailbox.begin_request(id.clone(), requests_max) {
            Ok(answer) => answer,
            Err(NoPlace::Closed) => {
                return Err(RequestError::Closed { frame: Some(Box::new(frame)) });
            }
            Err(NoPlace::DuplicateId) => {
                return Err(RequestError::DuplicateId { frame: Box::new(frame) });
            }
            Err(NoPlace::Outstanding) => {
                connection.shared().report_limit(Limit::Requests);
                let limit = RequestLimit::Outstanding { requests_max };
                return Err(RequestError::Overloaded { frame: Some(Box::new(frame)), limit });
            }
        };
        if let Err(error) = send(&connection, frame) {
            connection.shared().mailbox.forget_request(&id, answer);
            return Err(error.into());
        }
        let outcome = RequestOutcome::Abandoned;
        Ok(Self {
            connection,
            id,
            answer: Some(answer),
            sent_at: Instant::now(),
            answered_at: None,
            outcome,
        })
    }

    pub(super) async fn reply(mut self, time: Duration) -> Result<Frame, RequestError> {
        let mut timer = Some(RunningTimer::after(time));
        self.reply_within(time, &mut timer).await
    }

    /// Waits until the timer has run out, which was given so much `time`, and is gone then.
    pub(super) async fn reply_within(
        &mut self,
        time: Duration,
        timer: &mut Option<RunningTimer>,
    ) -> Result<Frame, RequestError> {
        let answered = poll_fn(|cx| {
            if let Some(answer) = &mut self.answer
                && let Poll::Ready(answer) = Pin::new(answer).poll(cx)
            {
                // Whoever takes requests away tells them why.
                return Poll::Ready(Some(answer));
            }
            match timer {
                Some(timer) => timer.poll_elapsed(Duration::ZERO, cx).map(|()| None),
                None => Poll::Ready(None),
            }
        });
        let answer = answered.await.or_else(|| {
            *timer = None;
            // It may have come nevertheless, and would be lost.
            self.give_up_place().map(Ok)
        });
        let answer = answer.map(|answered| match answered {
            Ok(Answered { reply, at }) => {
                self.answered_at = Some(at);
                reply
            }
            Err(_) => Err(Unanswered::Closed),
        });
        let options = &self.connection.server().options().requests;
        let (outcome, result) = judge(answer, time, options);
        self.outcome = outcome;
        result
    }

    /// Nobody waits any more. Returns the answer if it has come and nobody has seen it.
    fn give_up_place(&mut self) -> Option<Answered> {
        let answer = self.answer.take()?;
        self.connection.shared().mailbox.forget_request(&self.id, answer)
    }
}

/// What an answer, or none in time, comes to.
fn judge(
    answer: Option<Result<Frame, Unanswered>>,
    within: Duration,
    options: &RequestOptions,
) -> (RequestOutcome, Result<Frame, RequestError>) {
    match answer {
        Some(Ok(reply)) if *reply.event() == *options.error_event => {
            (RequestOutcome::Refused, Err(RequestError::Refused { reply: Box::new(reply) }))
        }
        Some(Ok(reply)) => (RequestOutcome::Replied, Ok(reply)),
        Some(Err(Unanswered::Closed)) => {
            (RequestOutcome::Closed, Err(RequestError::Closed { frame: None }))
        }
        Some(Err(Unanswered::Overloaded)) => {
            let AwaitedConfig { messages_max, bytes_max } = options.awaited;
            let limit = RequestLimit::ReadAhead { messages_max, bytes_max };
            let error = RequestError::Overloaded { frame: None, limit };
            (RequestOutcome::Overloaded, Err(error))
        }
        None => (RequestOutcome::TimedOut, Err(RequestError::TimedOut { within })),
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What has come of it does not depend on who looks.
        if let Some(Answered { reply, at }) = self.give_up_place() {
            let options = &self.connection.server().options().requests;
            (self.outcome, _) = judge(Some(reply), Duration::ZERO, options);
            self.answered_at = Some(at);
        }
        let shared = self.connection.shared();
        let finished_at = self.answered_at.unwrap_or_else(Instant::now);
        let finished = RequestFinished {
            room: shared.room(),
            id: &shared.id,
            outcome: self.outcome,
            // The reply may be quicker than the look at the clock behind the send.
            duration: finished_at.saturating_duration_since(self.sent_at),
        };
        shared.server.metrics().record(|hooks| hooks.request_finished(&finished));
    }
}
