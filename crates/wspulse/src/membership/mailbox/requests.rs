//! Requests to the client that wait for their replies.

use std::collections::BTreeMap;

use bytestring::ByteString;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wspulse_core::Frame;

use super::Mailbox;
use crate::membership::shared::ConnectionState;

/// Those of one connection, by their ids.
#[derive(Default)]
pub(super) struct Requests(BTreeMap<ByteString, oneshot::Sender<Answered>>);

/// The reply to a request, or why there is none.
pub(crate) type Answer = oneshot::Receiver<Answered>;

/// It has come, or will not.
pub(crate) struct Answered {
    pub(crate) reply: Result<Frame, Unanswered>,
    /// Who waits may look much later, as one does who waits for several.
    pub(crate) at: Instant,
}

/// Why no reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The connection has ended.
    Closed,
    /// Too much waits in front of it.
    Overloaded,
}

/// Why a request cannot wait for a reply.
pub(crate) enum NoPlace {
    /// The connection has ended.
    Closed,
    /// As many wait as may.
    Outstanding,
    /// One with this id waits already.
    DuplicateId,
}

impl Mailbox {
    /// Waits for the reply to a request that is about to be sent.
    /// [`forget_request`](Self::forget_request) must follow once nobody waits any more.
    pub(crate) fn begin_request(
        &self,
        id: ByteString,
        outstanding_max: usize,
    ) -> Result<Answer, NoPlace> {
        let mut inner = self.inner.lock();
        match inner.state {
            ConnectionState::Connected | ConnectionState::Suspended => {}
            ConnectionState::Closed => return Err(NoPlace::Closed),
        }
        let Requests(waiting) = &mut inner.rare.get_or_insert_default().requests;
        if waiting.len() >= outstanding_max {
            return Err(NoPlace::Outstanding);
        }
        if waiting.contains_key(&id) {
            return Err(NoPlace::DuplicateId);
        }
        let (sender, answer) = oneshot::channel();
        waiting.insert(id, sender);
        inner.wake_for_awaited();
        Ok(answer)
    }

    /// Gives a place up whose answer nobody hears any more, and returns the answer if it has come
    /// nevertheless. One that was answered is free already, and its id may be that of another request.
    pub(crate) fn forget_request(&self, id: &str, mut answer: Answer) -> Option<Answered> {
        answer.close();
        self.inner.lock().change_promise(|promise| {
            let Requests(waiting) = &mut promise.requests;
            if waiting.get(id).is_some_and(oneshot::Sender::is_closed) {
                waiting.remove(id);
            }
        });
        answer.try_recv().ok()
    }

    /// How many requests wait for their replies.
    #[cfg(all(test, shuttle))]
    pub(crate) fn requests_waiting(&self) -> usize {
        self.inner.lock().rare.as_ref().map_or(0, |promise| promise.requests.0.len())
    }

    // What follows is for the connection's task alone.

    /// Gives a frame of the client to the request that it answers, or back.
    pub(crate) fn answer_request(&self, frame: Frame) -> Option<Frame> {
        let mut found = None;
        self.inner.lock().change_promise(|promise| {
            found = promise.requests.0.remove(frame.id());
        });
        match found {
            // Who has given up in this moment has heard nothing.
            Some(request) => {
                let answered = Answered { reply: Ok(frame), at: Instant::now() };
                request.send(answered).err().and_then(|unheard| unheard.reply.ok())
            }
            None => Some(frame),
        }
    }

    /// The connection has ended: no reply comes any more.
    pub(crate) fn close_requests(&self) {
        let mut requests = None;
        self.inner.lock().change_promise(|promise| {
            requests = Some(std::mem::take(&mut promise.requests));
        });
        if let Some(requests) = requests {
            requests.fail(Unanswered::Closed);
        }
    }
}

impl Requests {
    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// None of them is answered. It wakes who waits: hold no lock.
    pub(super) fn fail(self, cause: Unanswered) {
        let at = Instant::now();
        for request in self.0.into_values() {
            // Nobody is there to hear it, if this fails.
            let _ = request.send(Answered { reply: Err(cause), at });
        }
    }
}
