//! What was asked, until there is an answer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::client::Received;
use crate::subjects::reply_number;

/// The questions under way, by the number in the subject of their replies. There are as many as there
/// are futures that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    last: u64,
    waiting: HashMap<u64, Waiting>,
}

#[derive(Debug)]
enum Waiting {
    ForOne(oneshot::Sender<Answer>),
    /// As many as were asked for.
    ForMany(mpsc::UnboundedSender<Answer>),
}

#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Received),
    /// Nobody is subscribed to what was asked.
    Nobody,
}

/// One of them. Dropped, its answer is passed over.
#[derive(Debug)]
pub(crate) struct Question {
    number: Number,
    answer: oneshot::Receiver<Answer>,
}

/// One that has many answers, as many as it asks for at the most.
#[derive(Debug)]
pub(crate) struct LongQuestion {
    number: Number,
    answers: mpsc::UnboundedReceiver<Answer>,
}

/// Its answers are passed over once it is dropped.
#[derive(Debug)]
struct Number {
    asked: Arc<Asked>,
    number: u64,
}

impl Asked {
    pub(crate) fn begin(self: &Arc<Self>) -> Question {
        let (sender, answer) = oneshot::channel();
        Question { number: self.wait(Waiting::ForOne(sender)), answer }
    }

    pub(crate) fn begin_many(self: &Arc<Self>) -> LongQuestion {
        let (sender, answers) = mpsc::unbounded_channel();
        LongQuestion { number: self.wait(Waiting::ForMany(sender)), answers }
    }

    fn wait(self: &Arc<Self>, waiting: Waiting) -> Number {
        let mut numbered = self.0.lock();
        numbered.last += 1;
        let number = numbered.last;
        numbered.waiting.insert(number, waiting);
        Number { asked: Arc::clone(self), number }
    }

    /// A reply has come.
    pub(crate) fn answer(&self, reply: Received) {
        let Some(number) = reply_number(reply.subject()) else { return };
        let answer = if reply.is_nobody() { Answer::Nobody } else { Answer::Reply(reply) };
        let waiting = &mut self.0.lock().waiting;
        match waiting.remove(&number) {
            Some(Waiting::ForOne(sender)) => {
                let _ = sender.send(answer);
            }
            Some(Waiting::ForMany(sender)) => {
                let _ = sender.send(answer);
                waiting.insert(number, Waiting::ForMany(sender));
            }
            None => {}
        }
    }
}

impl Question {
    pub(crate) const fn number(&self) -> u64 {
        self.number.number
    }

    /// Waits for the answer, which may never come.
    pub(crate) async fn answered(&mut self) -> Answer {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }
}

impl LongQuestion {
    pub(crate) const fn number(&self) -> u64 {
        self.number.number
    }

    /// Waits for the next answer, which may never come.
    pub(crate) async fn answered(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.asked.0.lock().waiting.remove(&self.number);
    }
}
