//! What was asked, until there is an answer.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::client::Received;
use crate::subjects::reply_number;

/// The questions under way, by the number in the subject of their replies. There are as many as there
/// are futures that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Bytes),
    /// Nobody is subscribed to what was asked.
    Nobody,
}

/// One of them. Dropped, its answer is passed over.
#[derive(Debug)]
pub(crate) struct Question {
    asked: Arc<Asked>,
    number: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Asked {
    pub(crate) fn begin(self: &Arc<Self>) -> Question {
        let (sender, answer) = oneshot::channel();
        let mut numbered = self.0.lock();
        numbered.last += 1;
        let number = numbered.last;
        numbered.waiting.insert(number, sender);
        Question { asked: Arc::clone(self), number, answer }
    }

    /// A reply has come.
    pub(crate) fn answer(&self, reply: Received) {
        let number = reply_number(reply.subject());
        let sender = number.and_then(|number| self.0.lock().waiting.remove(&number));
        if let Some(sender) = sender {
            let answer = if reply.is_nobody() {
                Answer::Nobody
            } else {
                Answer::Reply(reply.into_payload())
            };
            let _ = sender.send(answer);
        }
    }
}

impl Question {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Waits for the answer, which may never come.
    pub(crate) async fn answered(&mut self) -> Answer {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.asked.0.lock().waiting.remove(&self.number);
    }
}
