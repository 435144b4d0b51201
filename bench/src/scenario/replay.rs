//! Clients that come back to their sessions, and what they missed.

use std::error::Error;
use std::time::{Duration, Instant};

use super::memory::rest;
use super::stage::{CONNECT_WITHIN, Costs, STEP_WITHIN, Stage, stamp};
use crate::load::{Buffers, Identity, LoadError};
use crate::subject::Subject;

/// For messages that nobody should have sent: they would be there by then.
const SURPLUS_WITHIN: Duration = Duration::from_millis(200);

/// Has all of these come back at once, and tells what it cost until each had all of the `messages`
/// that it missed.
///
/// # Errors
///
/// If a message is lost, out of order or there twice, for any of them.
pub(super) fn come_back(
    stage: &mut Stage,
    returning: Vec<Identity>,
    messages: usize,
) -> Result<Costs, Box<dyn Error>> {
    let mut replay = Replay::new(stage.fleet.len(), returning.len(), messages);
    let watch = stage.stopwatch()?;
    stage.fleet.connect_watching(
        returning,
        Buffers::System,
        CONNECT_WITHIN,
        &mut |client, got| {
            replay.deliver(client, got);
        },
    )?;
    let deadline = Instant::now() + STEP_WITHIN;
    while !replay.is_complete() {
        stage.fleet.turn(Duration::from_millis(10), &mut |client, got| {
            replay.deliver(client, got);
        })?;
        if Instant::now() > deadline {
            return Err(LoadError::Late { what: replay.progress(), within: STEP_WITHIN }.into());
        }
    }
    let costs = watch.stop(stage)?;
    replay.verify(stage)?;
    Ok(costs)
}

/// What the clients that came back have got of numbered messages. Nothing else should come to them.
pub(super) struct Replay {
    /// The place of the first of these clients.
    first: usize,
    messages: u64,
    next: Vec<u64>,
    complete: usize,
    disordered: usize,
}

impl Replay {
    pub(super) fn new(first: usize, clients: usize, messages: usize) -> Self {
        let complete = if messages == 0 { clients } else { 0 };
        let (messages, next) = (messages as u64, vec![0; clients]);
        Self { first, messages, next, complete, disordered: 0 }
    }

    /// Whether that was the last message that this client missed.
    pub(super) fn deliver(&mut self, client: usize, payload: &[u8]) -> bool {
        let Some(place) = client.checked_sub(self.first) else { return false };
        let next = &mut self.next[place];
        let is_due = *next < self.messages && stamp(payload) == Some(*next);
        self.disordered += usize::from(!is_due);
        *next += 1;
        let is_last = *next == self.messages;
        self.complete += usize::from(is_last);
        is_last
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete == self.next.len()
    }

    pub(super) fn progress(&self) -> String {
        format!("all that {} clients missed ({} have it)", self.next.len(), self.complete)
    }

    /// Waits for messages that should not be there.
    ///
    /// # Errors
    ///
    /// If there are any, or if those that should be there came in a wrong order.
    pub(super) fn verify(&mut self, stage: &mut Stage) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + SURPLUS_WITHIN;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            stage.fleet.turn(left, &mut |client, got| {
                self.deliver(client, got);
            })?;
        }
        match self.disordered {
            0 => Ok(()),
            disordered => {
                Err(format!("{disordered} messages out of order, lost or repeated").into())
            }
        }
    }
}

/// For the answers to be read.
const READ_WITHIN: Duration = Duration::from_millis(500);

/// Returns when the clients have acknowledged what they have got so far, if the server asks for that.
pub(super) fn acknowledged(stage: &mut Stage, subject: &Subject) -> Result<(), LoadError> {
    if !subject.promises {
        return Ok(());
    }
    let deadline = Instant::now() + STEP_WITHIN;
    while stage.fleet.owing() > 0 {
        if Instant::now() > deadline {
            let what = format!("all answers ({} missing)", stage.fleet.owing());
            return Err(LoadError::Late { what, within: STEP_WITHIN });
        }
        rest(stage, READ_WITHIN)?;
    }
    rest(stage, READ_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::super::stage::payload;
    use super::*;

    fn deliver(replay: &mut Replay, client: usize, numbers: &[u64]) {
        for number in numbers {
            replay.deliver(client, &payload(*number, 100));
        }
    }

    #[test]
    fn it_is_complete_once_each_client_has_all_that_it_missed() {
        let mut replay = Replay::new(1, 2, 2);

        deliver(&mut replay, 1, &[0, 1]);
        deliver(&mut replay, 2, &[0]);
        assert!(!replay.is_complete());

        assert!(replay.deliver(2, &payload(1, 100)));
        assert!(replay.is_complete());
        assert_eq!(replay.disordered, 0);
    }

    #[test]
    fn what_comes_twice_or_too_early_is_counted() {
        let mut replay = Replay::new(0, 2, 3);

        deliver(&mut replay, 0, &[0, 0]);
        deliver(&mut replay, 1, &[0, 2]);

        assert_eq!(replay.disordered, 2);
    }

    #[test]
    fn what_comes_after_the_last_is_counted() {
        let mut replay = Replay::new(0, 1, 1);

        deliver(&mut replay, 0, &[0, 1]);

        assert_eq!((replay.disordered, replay.complete), (1, 1));
    }

    #[test]
    fn who_missed_nothing_is_complete_and_should_get_nothing() {
        let mut replay = Replay::new(0, 1, 0);
        assert!(replay.is_complete());

        deliver(&mut replay, 0, &[0]);

        assert_eq!(replay.disordered, 1);
    }

    #[test]
    fn what_has_no_number_should_not_come() {
        let mut replay = Replay::new(0, 1, 2);

        replay.deliver(0, b"p0000");

        assert_eq!(replay.disordered, 1);
    }

    #[test]
    fn those_who_were_there_all_the_time_are_not_looked_at() {
        let mut replay = Replay::new(1, 1, 1);

        deliver(&mut replay, 0, &[7]);

        assert_eq!(replay.disordered, 0);
    }
}
