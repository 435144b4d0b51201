//! What is to be published, from whoever has something to say to the task that hands it on.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use wspulse::cluster::Unavailable;

use crate::client::Message;

/// How much may wait. A server that is alive empties it thousands of times a second; one that has
/// stopped is found out within three seconds, in which this holds 30,000 frames of 150 bytes each
/// second.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a message takes beside its payload and its subjects, about.
const MESSAGE_BYTES: usize = 128;

/// A queue that never makes anybody wait: it is bounded in bytes, and refuses what is beyond.
#[derive(Debug)]
pub(crate) struct Outgoing {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug)]
struct Waiting {
    gate: Gate,
    messages: VecDeque<Message>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// There is no connection.
    Shut,
    Open,
    /// Nothing more is taken; what waits is handed on.
    Ended,
}

impl Outgoing {
    /// An empty one, shut.
    pub(crate) fn new() -> Self {
        let waiting = Waiting { gate: Gate::Shut, messages: VecDeque::new(), bytes: 0 };
        Self { waiting: Mutex::new(waiting), filled: Notify::new() }
    }

    /// Takes what is published from now on.
    pub(crate) fn open(&self) {
        let mut waiting = self.waiting.lock();
        if waiting.gate == Gate::Shut {
            waiting.gate = Gate::Open;
        }
    }

    /// Takes nothing until it is opened, and forgets what waits: it would come too late.
    pub(crate) fn shut(&self) {
        let mut waiting = self.waiting.lock();
        if waiting.gate == Gate::Open {
            waiting.gate = Gate::Shut;
            waiting.messages.clear();
            waiting.bytes = 0;
        }
    }

    /// Takes nothing more.
    pub(crate) fn end(&self) {
        self.waiting.lock().gate = Gate::Ended;
        self.filled.notify_one();
    }

    /// Takes a message, or refuses it at once.
    pub(crate) fn push(&self, message: Message) -> Result<(), Unavailable> {
        let bytes = message_bytes(&message);
        let mut waiting = self.waiting.lock();
        // A single message fits always: how large it may be is the server's business.
        let fits = waiting.messages.is_empty() || waiting.bytes + bytes <= WAITING_BYTES_MAX;
        if waiting.gate != Gate::Open || !fits {
            return Err(Unavailable);
        }
        waiting.bytes += bytes;
        waiting.messages.push_back(message);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for the next message; `None` after the last one.
    pub(crate) async fn next(&self) -> Option<Message> {
        loop {
            {
                let mut waiting = self.waiting.lock();
                if let Some(message) = waiting.messages.pop_front() {
                    waiting.bytes -= message_bytes(&message);
                    return Some(message);
                }
                if waiting.gate == Gate::Ended {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }
}

fn message_bytes(message: &Message) -> usize {
    let reply = message.reply.as_ref().map_or(0, String::len);
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    MESSAGE_BYTES + message.subject.len() + reply + headers + Bytes::len(&message.payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Message {
        Message {
            subject: "s".into(),
            reply: None,
            headers: Vec::new(),
            payload: vec![0; bytes].into(),
        }
    }

    #[test]
    fn what_is_beyond_the_bound_is_refused_and_a_single_message_never() {
        let outgoing = Outgoing::new();
        outgoing.open();
        outgoing.push(message(2 * WAITING_BYTES_MAX)).unwrap();
        assert_eq!(outgoing.push(message(0)), Err(Unavailable));
    }

    #[tokio::test]
    async fn what_was_handed_on_makes_room() {
        let outgoing = Outgoing::new();
        outgoing.open();
        let mut taken = 0;
        while outgoing.push(message(WAITING_BYTES_MAX / 10)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 9, "ten would be a little more than the bound, with their subjects");
        outgoing.next().await.unwrap();
        outgoing.push(message(WAITING_BYTES_MAX / 10)).unwrap();
    }

    #[tokio::test]
    async fn without_a_connection_nothing_is_taken_and_nothing_kept() {
        let outgoing = Outgoing::new();
        assert_eq!(outgoing.push(message(1)), Err(Unavailable));
        outgoing.open();
        outgoing.push(message(1)).unwrap();
        outgoing.shut();
        outgoing.open();
        outgoing.push(message(2)).unwrap();
        assert_eq!(outgoing.next().await.unwrap().payload.len(), 2);
    }

    #[tokio::test]
    async fn at_its_end_it_hands_on_what_waits() {
        let outgoing = Outgoing::new();
        outgoing.open();
        outgoing.push(message(1)).unwrap();
        outgoing.end();
        assert_eq!(outgoing.push(message(2)), Err(Unavailable));
        assert_eq!(outgoing.next().await.unwrap().payload.len(), 1);
        assert!(outgoing.next().await.is_none());
    }
}
