//! Events on their way to the application: in order, bounded, kept across transports.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::event::Event;

/// As long as it is full nothing is read and nothing connected, so that beyond its bound it holds
/// no more than the loss of one transport and the end.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    events_max: usize,
    has_room: Notify,
}

#[derive(Debug)]
struct Queue {
    events: VecDeque<Event>,
    reader: Reader,
    is_ended: bool,
}

impl Queue {
    /// An attempt that nobody has heard of yet is old news once there is another: an outage is one
    /// event in the inbox, however long it lasts, and does not fill it.
    fn add(&mut self, event: Event) {
        let is_attempt = |event: &Event| matches!(event, Event::Reconnecting { .. });
        match self.events.back_mut() {
            Some(last) if is_attempt(last) && is_attempt(&event) => *last = event,
            Some(_) | None => self.events.push_back(event),
        }
    }
}

#[derive(Debug)]
enum Reader {
    Busy,
    Waiting(Waker),
    /// Nobody will ever read.
    Gone,
}

impl Inbox {
    pub(crate) fn new(events_max: usize) -> Self {
        let queue = Queue { events: VecDeque::new(), reader: Reader::Busy, is_ended: false };
        Self { queue: Mutex::new(queue), events_max, has_room: Notify::new() }
    }

    pub(crate) fn push(&self, event: Event) {
        let mut queue = self.queue.lock();
        match std::mem::replace(&mut queue.reader, Reader::Busy) {
            Reader::Gone => queue.reader = Reader::Gone,
            Reader::Busy => queue.add(event),
            Reader::Waiting(waker) => {
                queue.add(event);
                drop(queue);
                waker.wake();
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.lock().events.len() >= self.events_max
    }

    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn has_room(&self) {
        while self.is_full() {
            self.has_room.notified().await;
        }
    }

    /// Nothing will be pushed any more.
    pub(crate) fn end(&self) {
        let mut queue = self.queue.lock();
        queue.is_ended = true;
        if let Reader::Waiting(waker) = std::mem::replace(&mut queue.reader, Reader::Busy) {
            drop(queue);
            waker.wake();
        }
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = self.queue.lock();
        let Some(event) = queue.events.pop_front() else {
            if queue.is_ended {
                return Poll::Ready(None);
            }
            queue.reader = Reader::Waiting(cx.waker().clone());
            return Poll::Pending;
        };
        let was_full = queue.events.len() + 1 == self.events_max;
        drop(queue);
        if was_full {
            self.has_room.notify_one();
        }
        Poll::Ready(Some(event))
    }

    /// The reader has gone: nothing is kept for it.
    pub(crate) fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.reader = Reader::Gone;
        let unread = std::mem::take(&mut queue.events);
        drop(queue);
        drop(unread);
        self.has_room.notify_one();
    }
}
