//! What a client's handles and its task share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use wspulse_core::codec::{Codec, EncodeError};
use wspulse_core::{Frame, MessageKind};

use crate::error::SendError;
use crate::event::{EndCause, SessionStart};
use crate::inbox::Inbox;
use crate::session::{Message, Session};

/// Whoever waits for a frame to be handled.
pub(crate) type Waiter = oneshot::Sender<Result<(), SendError>>;

pub(crate) struct Shared {
    /// Held for moments: never across an await, a callback or another lock.
    pub(crate) session: Mutex<Session<Waiter>>,
    /// The session was changed by a handle: its task must look.
    pub(crate) changed: Notify,
    pub(crate) inbox: Inbox,
    pub(crate) replies: Replies,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) codec: Arc<dyn Codec>,
}

/// Where a client stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// What it found, while it is connected.
    pub(crate) session: Option<SessionStart>,
    pub(crate) end: Option<EndCause>,
    /// Its task has ended.
    pub(crate) is_done: bool,
}

impl Shared {
    /// Hands a frame over to the session.
    pub(crate) fn send(&self, frame: Frame, waiter: Option<Waiter>) -> Result<(), SendError> {
        let message = match self.encode(&frame) {
            Ok(message) => message,
            Err(source) => return Err(SendError::Unencodable { frame: Box::new(frame), source }),
        };
        let sent = self.session.lock().handle_send(frame, message, waiter);
        sent.map_err(|(refused, frame)| SendError::refused(refused, frame))?;
        self.changed.notify_one();
        Ok(())
    }

    fn encode(&self, frame: &Frame) -> Result<Message, EncodeError> {
        let kind = self.codec.kind(frame);
        let mut bytes = Vec::new();
        self.codec.encode(frame, &mut bytes)?;
        if kind == MessageKind::Text && std::str::from_utf8(&bytes).is_err() {
            return Err(EncodeError::new("the codec has written text that is not UTF-8"));
        }
        Ok(Message { kind, bytes: bytes.into() })
    }

    pub(crate) fn close(&self) {
        self.session.lock().handle_close();
        self.changed.notify_one();
    }
}

/// The clock of the session, which tests may pause.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Requests that wait for their replies, by id.
#[derive(Debug)]
pub(crate) struct Replies {
    waiting: Mutex<HashMap<String, Waiting>>,
    pub(crate) reply_event: String,
    pub(crate) error_event: String,
    id_prefix: String,
    next_id: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Frame>,
    /// Whether the session has handled the request: then no other one replies to it.
    is_handled: bool,
}

impl Replies {
    pub(crate) fn new(reply_event: String, error_event: String, seed: u64) -> Self {
        Self {
            waiting: Mutex::default(),
            reply_event,
            error_event,
            id_prefix: format!("{seed:016x}"),
            next_id: AtomicU64::new(1),
        }
    }

    /// An id that no other request has, nor one of another client.
    pub(crate) fn fresh_id(&self) -> String {
        format!("{}-{}", self.id_prefix, self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for the reply with this id; none if somebody does already.
    pub(crate) fn register(&self, id: &str) -> Option<Registered<'_>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.contains_key(id) {
            return None;
        }
        waiting.insert(id.to_owned(), Waiting { sender, is_handled: false });
        Some(Registered { replies: self, id: id.to_owned(), receiver })
    }

    /// Gives a frame to whoever waits for it, or back.
    pub(crate) fn take(&self, frame: Frame) -> Option<Frame> {
        if frame.event() != self.reply_event && frame.event() != self.error_event {
            return Some(frame);
        }
        let waiting = self.waiting.lock().remove(frame.id());
        match waiting {
            Some(Waiting { sender, .. }) => sender.send(frame).err(),
            None => Some(frame),
        }
    }

    pub(crate) fn is_error(&self, reply: &Frame) -> bool {
        reply.event() == self.error_event
    }

    /// The session has handled what has this id, which may be a request.
    pub(crate) fn note_handled(&self, id: &str) {
        if let Some(waiting) = self.waiting.lock().get_mut(id) {
            waiting.is_handled = true;
        }
    }

    /// A session has taken the place of the one before: what that has handled gets no reply any more.
    pub(crate) fn begin_session(&self) {
        self.waiting.lock().retain(|_, waiting| !waiting.is_handled);
    }

    /// No more replies will come.
    pub(crate) fn clear(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        drop(waiting);
    }
}

/// A request's place among those that wait; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Registered<'r> {
    replies: &'r Replies,
    id: String,
    pub(crate) receiver: oneshot::Receiver<Frame>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        // Once the reply has come the id is free, and may be another request's by now.
        self.receiver.close();
        let mut waiting = self.replies.waiting.lock();
        if waiting.get(&self.id).is_some_and(|waiting| waiting.sender.is_closed()) {
            waiting.remove(&self.id);
        }
    }
}
