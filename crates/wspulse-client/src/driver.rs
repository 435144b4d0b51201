//! The task of a client: between its session and its transport.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use wspulse_core::CloseFrame;
use wspulse_core::codec::InboundMessage;

use crate::callbacks::Callbacks;
use crate::error::SendError;
use crate::event::{Cause, Event, SessionStart};
use crate::session::{Effect, Message, Outcome};
use crate::shared::{Shared, Status, Waiter, now};
use crate::target::{Destination, Target};
use crate::transport::{Dialer, Opened, Transport, Turn};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An error of the application's own.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The application's function that is asked before each attempt.
pub(crate) type Renew = Arc<dyn Fn() -> BoxFuture<Result<Target, BoxError>> + Send + Sync>;

/// Where the next attempt goes.
#[derive(Clone)]
pub(crate) enum Source {
    Fixed(Destination),
    Renewed(Renew),
}

pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    source: Source,
    dialer: Arc<Dialer>,
    callbacks: Callbacks,
    link: Link,
    /// Of the transport that was parted with last. A client that parts with another meanwhile does
    /// not wait for it any more.
    farewell: Option<BoxFuture<()>>,
}

enum Link {
    None,
    Opening(BoxFuture<Result<Opened, Cause>>),
    Open(Box<Transport>),
}

enum Input {
    Opened(Result<Opened, Cause>),
    Turn(Turn),
    Parted,
    TimeHasCome,
    Changed,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        source: Source,
        dialer: Dialer,
        callbacks: Callbacks,
    ) -> Self {
        let dialer = Arc::new(dialer);
        Self { shared, source, dialer, callbacks, link: Link::None, farewell: None }
    }

    /// Runs until the session has ended and the last transport is parted with.
    pub(crate) async fn drive(mut self) {
        loop {
            self.carry_out();
            if self.farewell.is_none() && self.shared.session.lock().is_ended() {
                return;
            }
            let input = self.next_input().await;
            self.handle(input);
        }
    }

    async fn next_input(&mut self) -> Input {
        let shared = &*self.shared;
        // Time does not count as long as nothing is read: what would tell of life is not heard.
        let may_go_on = !shared.inbox.is_full();
        let deadline = shared.session.lock().poll_timeout().filter(|_| may_go_on);
        tokio::select! {
            biased;
            input = self.link.input(shared, may_go_on) => input,
            () = shared.changed.notified() => Input::Changed,
            () = sleep_until(deadline) => Input::TimeHasCome,
            () = shared.inbox.has_room(), if !may_go_on => Input::Changed,
            () = finish(&mut self.farewell) => Input::Parted,
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Changed => {}
            Input::Parted => self.farewell = None,
            Input::TimeHasCome => self.shared.session.lock().handle_timeout(now()),
            Input::Opened(Ok(opened)) => {
                self.link = Link::Open(opened.transport);
                self.shared.session.lock().handle_open(now(), opened.protocol.as_deref());
            }
            Input::Turn(Turn::Flushed) => self.shared.session.lock().handle_flushed(),
            Input::Turn(Turn::Heard) => self.shared.session.lock().handle_heard(now()),
            Input::Turn(Turn::Message(message)) => {
                self.shared.session.lock().handle_message(now(), message);
            }
            Input::Opened(Err(cause)) | Input::Turn(Turn::Lost(cause)) => self.handle_lost(cause),
        }
    }

    fn handle_lost(&mut self, cause: Cause) {
        let link = std::mem::replace(&mut self.link, Link::None);
        if let Link::Open(transport) = link {
            match cause {
                // The answer is written already.
                Cause::Closed { .. } | Cause::MessageTooLong | Cause::Failed(_) => {
                    self.farewell = Some(Box::pin(transport.part(None)));
                }
                Cause::Refused { .. }
                | Cause::Dropped
                | Cause::Unreachable(_)
                | Cause::ConnectTimeout
                | Cause::Silent
                | Cause::Violation(_) => {}
            }
        }
        self.shared.session.lock().handle_transport_lost(now(), cause);
    }

    /// Does what the session asks for.
    fn carry_out(&mut self) {
        loop {
            let Some(effect) = self.shared.session.lock().poll_effect() else { return };
            match effect {
                Effect::Open { protocols } => {
                    let attempt = open(self.source.clone(), self.dialer.clone(), protocols);
                    self.link = Link::Opening(Box::pin(guard(attempt)));
                }
                Effect::Close { code, reason } => {
                    if let Link::Open(transport) = std::mem::replace(&mut self.link, Link::None) {
                        let frame = CloseFrame::new(code, reason);
                        self.farewell = Some(Box::pin(transport.part(Some(frame))));
                    }
                }
                Effect::Abandon => self.link = Link::None,
                Effect::Deliver(message) => self.deliver(message),
                Effect::Settle { frame, waiter, outcome } => self.settle(frame, waiter, outcome),
                Effect::Tell(event) => {
                    self.note(&event);
                    self.tell(event);
                }
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        let message = InboundMessage::owned(message.kind, message.bytes);
        match self.shared.codec.decode(message) {
            Ok(frame) => {
                if let Some(frame) = self.shared.replies.take(frame) {
                    self.tell(Event::Message(frame));
                }
            }
            Err(error) => self.tell(Event::Undecodable(error)),
        }
    }

    fn settle(&mut self, frame: wspulse_core::Frame, waiter: Option<Waiter>, outcome: Outcome) {
        if matches!(outcome, Outcome::Handled) {
            self.shared.replies.note_handled(frame.id());
        }
        let untold = match waiter {
            Some(waiter) => waiter.send(SendError::settled(outcome, frame)).err(),
            None => Some(SendError::settled(outcome, frame)),
        };
        match untold {
            None | Some(Ok(())) => {}
            Some(Err(SendError::Lost { frame })) => self.tell(Event::Lost(*frame)),
            Some(Err(error)) => self.tell(Event::Unsent { frame: error.into_frame() }),
        }
    }

    /// Keeps what the handles can ask for.
    fn note(&self, event: &Event) {
        let change: Box<dyn FnOnce(&mut Status)> = match event {
            Event::Session { session, .. } => {
                let session = *session;
                match session {
                    SessionStart::New => self.shared.replies.begin_session(),
                    SessionStart::Resumed | SessionStart::Plain => {}
                }
                Box::new(move |status| status.session = Some(session))
            }
            Event::Disconnected { .. } => Box::new(|status| status.session = None),
            Event::Ended { cause } => {
                let cause = cause.clone();
                Box::new(move |status| (status.session, status.end) = (None, Some(cause)))
            }
            Event::Message(_)
            | Event::Undecodable(_)
            | Event::Lost(_)
            | Event::Unsent { .. }
            | Event::Reconnecting { .. } => return,
        };
        self.shared.status.send_modify(change);
    }

    fn tell(&mut self, event: Event) {
        if let Some(event) = self.callbacks.call(event) {
            self.shared.inbox.push(event);
        }
    }
}

impl Drop for Driver {
    /// Leaves nobody waiting, also if the runtime has ended in the middle of it.
    fn drop(&mut self) {
        self.shared.session.lock().handle_close();
        self.carry_out();
        self.shared.replies.clear();
        self.shared.inbox.end();
        self.shared.status.send_modify(|status| status.is_done = true);
    }
}

impl Link {
    /// # Cancel safety
    ///
    /// Cancel safe: an attempt goes on, and a transport keeps what it has half read or written.
    async fn input(&mut self, shared: &Shared, may_read: bool) -> Input {
        match self {
            Self::None => std::future::pending().await,
            Self::Opening(attempt) => Input::Opened(attempt.await),
            Self::Open(transport) => {
                let turn = |cx: &mut std::task::Context<'_>| {
                    transport.poll_turn(cx, &shared.session, may_read)
                };
                Input::Turn(std::future::poll_fn(turn).await)
            }
        }
    }
}

async fn open(
    source: Source,
    dialer: Arc<Dialer>,
    mut protocols: Vec<String>,
) -> Result<Opened, Cause> {
    let destination = match source {
        Source::Fixed(destination) => destination,
        Source::Renewed(target) => {
            let target = target().await.map_err(|error| Cause::Unreachable(error.into()))?;
            target.check().map_err(Cause::unreachable)?
        }
    };
    protocols.extend(destination.protocols.iter().cloned());
    dialer.open(&destination, &protocols).await
}

/// An attempt runs functions of the application's own, and fails if they panic.
async fn guard(attempt: impl Future<Output = Result<Opened, Cause>>) -> Result<Opened, Cause> {
    let attempt = AssertUnwindSafe(attempt).catch_unwind();
    attempt.await.unwrap_or_else(|_| Err(Cause::unreachable(Panicked)))
}

#[derive(Debug, thiserror::Error)]
#[error("the application's own function has panicked")]
struct Panicked;

async fn sleep_until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(Instant::from_std(deadline)).await,
        None => std::future::pending().await,
    }
}

async fn finish(farewell: &mut Option<BoxFuture<()>>) {
    match farewell {
        Some(farewell) => farewell.await,
        None => std::future::pending().await,
    }
}
