//! What passes a connection, on its way to somebody who looks at that.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::Notify;
use wspulse_core::{EncodedFrame, MessageKind};

use crate::ground::sync::Mutex;

/// A message that has passed.
#[derive(Debug, Clone)]
pub(crate) enum Passed {
    /// It came from the client.
    Inbound(MessageKind, Bytes),
    /// A socket has taken it.
    Outbound(EncodedFrame),
}

/// One of them, when it passed, and how many were left out before it.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) at: SystemTime,
    pub(crate) left_out: u64,
    pub(crate) message: Passed,
}

/// Those that wait for who looks at them: the newest, as many as there is room for.
pub(crate) struct TapQueue {
    inner: Mutex<Inner>,
    capacity: usize,
    pub(crate) sees: Sees,
    news: Notify,
}

/// What somebody looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    Both,
    /// What sockets have taken.
    Outbound,
}

struct Inner {
    waiting: VecDeque<Noted>,
    is_over: bool,
}

/// What there is to see.
pub(crate) enum Seen {
    Message(Noted),
    Nothing,
    /// Nor will there be anything.
    Over,
}

impl TapQueue {
    /// Holds at least one.
    pub(crate) fn new(capacity: usize, sees: Sees) -> Self {
        let inner = Mutex::new(Inner { waiting: VecDeque::new(), is_over: false });
        Self { inner, capacity: capacity.max(1), sees, news: Notify::new() }
    }

    /// Of too many the oldest is left out.
    pub(crate) fn push(&self, message: Passed) {
        match (self.sees, &message) {
            (Sees::Outbound, Passed::Inbound(..)) => return,
            (Sees::Both, _) | (Sees::Outbound, Passed::Outbound(_)) => {}
        }
        let mut noted = Noted { at: SystemTime::now(), left_out: 0, message };
        {
            let waiting = &mut self.inner.lock().waiting;
            if waiting.len() >= self.capacity
                && let Some(oldest) = waiting.pop_front()
            {
                let left_out = oldest.left_out + 1;
                // The next one tells.
                match waiting.front_mut() {
                    Some(next) => next.left_out += left_out,
                    None => noted.left_out = left_out,
                }
            }
            waiting.push_back(noted);
        }
        self.news.notify_one();
    }

    /// The connection has ended.
    pub(crate) fn end(&self) {
        self.inner.lock().is_over = true;
        self.news.notify_one();
    }

    pub(crate) fn take(&self) -> Seen {
        let mut inner = self.inner.lock();
        match inner.waiting.pop_front() {
            Some(noted) => Seen::Message(noted),
            None if inner.is_over => Seen::Over,
            None => Seen::Nothing,
        }
    }

    /// Waits until there may be something to take.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}
