//! What may befall a connection id and its clients.

use crate::env::Env;
use crate::promise::Promise;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Connect,
    Send,
    Broadcast,
    Receive,
    Arrive,
    Speak,
    Answer,
    ReceivePing,
    Progress,
    Await,
    Lose,
    Writable,
    Renew,
    End,
    Pass,
    Oversleep,
}

/// How often each comes without a promise, and with one.
const WEIGHTS: [(Operation, usize, usize); 16] = [
    (Operation::Connect, 12, 8),
    (Operation::Send, 14, 10),
    (Operation::Broadcast, 14, 3),
    (Operation::Receive, 12, 30),
    (Operation::Arrive, 6, 36),
    (Operation::Speak, 0, 12),
    (Operation::Answer, 0, 5),
    (Operation::ReceivePing, 4, 2),
    (Operation::Progress, 6, 1),
    (Operation::Await, 3, 2),
    (Operation::Lose, 7, 3),
    (Operation::Writable, 12, 16),
    (Operation::Renew, 4, 2),
    (Operation::End, 3, 1),
    (Operation::Pass, 18, 14),
    (Operation::Oversleep, 2, 1),
];

impl Operation {
    pub(crate) fn any(promise: Promise, env: &mut Env) -> Self {
        let weighed = WEIGHTS.map(|(operation, without, with)| match promise {
            Promise::AtMost => (operation, without),
            Promise::AtLeast | Promise::Exactly => (operation, with),
        });
        let sum: usize = weighed.iter().map(|(_, weight)| weight).sum();
        let mut left = env.up_to(sum - 1);
        for (operation, weight) in weighed {
            if left < weight {
                return operation;
            }
            left -= weight;
        }
        unreachable!("the weights add up")
    }
}
