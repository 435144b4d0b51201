//! `Client`, the handle, and `Messages`, the stream of what happens.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::oneshot;
use wspulse_core::Frame;

use crate::builder::ClientBuilder;
use crate::driver::BoxError;
use crate::error::{RequestError, SendError};
use crate::event::{EndCause, Event, SessionStart};
use crate::shared::{Shared, Status};
use crate::target::Target;

/// A client of one server: a handle that is cheap to clone.
///
/// The client lives until it is [closed](Self::close), until the server ends its session, or until
/// all its handles and its [`Messages`] are dropped.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// What happens to a client: a [`Stream`] of [`Event`]s, which ends behind [`Event::Ended`].
///
/// It must be read. As long as `inbox_events_max` events wait in it the client reads nothing from
/// its server, and so hears of no message that was handled. To be told by callbacks alone, drop it:
/// then nothing waits, and events without a callback are discarded.
pub struct Messages {
    handle: Arc<Handle>,
}

/// Closes the client when nobody has it any more.
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

pub(crate) fn handles(shared: Arc<Shared>) -> (Client, Messages) {
    let handle = Arc::new(Handle { shared });
    (Client { handle: handle.clone() }, Messages { handle })
}

impl Client {
    /// A client that connects to this target, always with the same handshake.
    pub fn builder(target: impl Into<Target>) -> ClientBuilder {
        ClientBuilder::fixed(target.into())
    }

    /// A client that asks `target` before each attempt to connect, for a fresh token or another
    /// URL. An error counts as an attempt that has failed.
    ///
    /// ```
    /// use wspulse_client::{Client, Target};
    ///
    /// async fn fresh_token() -> Result<String, std::io::Error> {
    ///     Ok("c2VjcmV0".to_owned())
    /// }
    ///
    /// let builder = Client::builder_with(|| async {
    ///     let token = fresh_token().await?;
    ///     Ok(Target::new("ws://127.0.0.1:3000/ws").protocol(format!("bearer.{token}")))
    /// });
    /// # drop(builder);
    /// ```
    pub fn builder_with<F, Fut>(target: F) -> ClientBuilder
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Target, BoxError>> + Send + 'static,
    {
        ClientBuilder::renewed(Arc::new(move || Box::pin(target())))
    }

    /// Sends a frame, and returns once the server has *handled* it: once its callback has returned.
    /// On a plain connection: once the socket has taken it. While there is no connection the frame
    /// waits for the next one.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the frame, if it was not sent or nothing more will be known of it.
    ///
    /// # Cancel safety
    ///
    /// From the first poll on the frame is queued, and stays queued if the future is dropped: it is
    /// sent as if it had been [posted](Self::post).
    pub async fn send(&self, frame: Frame) -> Result<(), SendError> {
        let (waiter, settled) = oneshot::channel();
        let spare = frame.clone();
        self.shared().send(frame, Some(waiter))?;
        // The waiter is told, also at the end.
        settled.await.unwrap_or(Err(SendError::Lost { frame: Box::new(spare) }))
    }

    /// Queues a frame and returns at once. If it is lost later, or cannot be sent, that is an
    /// [`Event`].
    ///
    /// # Errors
    ///
    /// [`SendError`] with the frame, if it was not queued.
    pub fn post(&self, frame: Frame) -> Result<(), SendError> {
        self.shared().send(frame, None)
    }

    /// Sends a frame and returns the reply: the next message with the frame's id and the event
    /// `reply` (see `reply_event`). A frame without an id is given one. The reply is not an
    /// [`Event`] as well.
    ///
    /// # Errors
    ///
    /// [`RequestError::Failed`] if the reply's event is `error` (see `error_event`); others if there
    /// is no reply.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send): the request stays queued. Its reply will be an ordinary message.
    pub async fn request(&self, frame: Frame, timeout: Duration) -> Result<Frame, RequestError> {
        let replies = &self.shared().replies;
        let frame = if frame.id().is_empty() { frame.with_id(replies.fresh_id()) } else { frame };
        let id = frame.id().to_owned();
        let Some(mut registered) = replies.register(&id) else {
            return Err(RequestError::DuplicateId(Box::new(frame)));
        };
        let exchange = async {
            let sending = self.send(frame);
            tokio::pin!(sending);
            tokio::select! {
                biased;
                sent = &mut sending => sent?,
                // A server that replies before it has handled the request is no reason to wait.
                reply = &mut registered.receiver => return reply.map_err(|_| RequestError::Ended),
            }
            (&mut registered.receiver).await.map_err(|_| RequestError::Ended)
        };
        let reply = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| RequestError::Timeout(timeout))??;
        if replies.is_error(&reply) {
            Err(RequestError::Failed(Box::new(reply)))
        } else {
            Ok(reply)
        }
    }

    /// Answers a request of the server's, which is a [message](crate::Event::Message) with an id: queues
    /// `payload`'s payload with that id and the event `reply` (see `reply_event`). A frame without an id
    /// is no request: then nothing is queued.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub fn reply(&self, request: &Frame, payload: Frame) -> Result<(), SendError> {
        self.answer(request, payload, &self.shared().replies.reply_event)
    }

    /// Answers a request of the server's with an error, whose event is `error` (see `error_event`).
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub fn reply_error(&self, request: &Frame, payload: Frame) -> Result<(), SendError> {
        self.answer(request, payload, &self.shared().replies.error_event)
    }

    fn answer(&self, request: &Frame, payload: Frame, event: &str) -> Result<(), SendError> {
        match request.id() {
            "" => Ok(()),
            id => self.post(payload.with_id(id).with_event(event)),
        }
    }

    /// What the client found when it was connected last; none while it is not connected.
    pub fn session(&self) -> Option<SessionStart> {
        self.shared().status.borrow().session
    }

    /// Returns once the client is connected.
    ///
    /// # Errors
    ///
    /// Why the client has ended, if it has.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connected(&self) -> Result<SessionStart, EndCause> {
        let status = self.wait_for(|status| status.session.is_some() || status.end.is_some()).await;
        status.session.ok_or_else(|| status.end.unwrap_or(EndCause::Closed))
    }

    /// Returns once the client has ended, with the reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ended(&self) -> EndCause {
        self.wait_for(|status| status.is_done).await.end.unwrap_or(EndCause::Closed)
    }

    /// Ends the session, and returns once the server has been told, within two seconds.
    ///
    /// What waits to be sent is given back; what was sent and not handled is lost. Wait for each
    /// [`send`](Self::send) that matters first.
    ///
    /// # Cancel safety
    ///
    /// From the first poll on the client is closing, whether the future is dropped or not.
    pub async fn close(&self) {
        self.shared().close();
        self.wait_for(|status| status.is_done).await;
    }

    async fn wait_for(&self, is_met: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.shared().status.subscribe();
        match status.wait_for(is_met).await {
            Ok(status) => status.clone(),
            // It lives as long as this handle does.
            Err(_) => Status::default(),
        }
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("session", &self.session()).finish_non_exhaustive()
    }
}

impl Messages {
    /// The next event; none behind the last.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.handle.shared.inbox.poll_next(cx)).await
    }
}

impl Stream for Messages {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.handle.shared.inbox.poll_next(cx)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.handle.shared.inbox.abandon();
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}
