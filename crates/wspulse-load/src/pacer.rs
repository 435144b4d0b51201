//! Sends each message when it is due, on a thread of its own: a runtime's timers are a millisecond
//! late, and a thread that is busy with what comes is later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::histogram::float;
use crate::seat::{Seat, Stage};

/// The longest sleep, so that the end is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// What all senders send, evenly spread over time: in turn, one message each.
#[derive(Debug)]
pub(crate) struct Pacer {
    pub(crate) stage: Arc<Stage>,
    pub(crate) senders: Vec<Arc<Seat>>,
    pub(crate) sending_at: Instant,
    pub(crate) is_stopped: Arc<AtomicBool>,
}

impl Pacer {
    /// Runs until all is sent, or until it is stopped. Tells how many messages were due.
    pub(crate) fn drive(self) -> u64 {
        let Self { stage, senders, sending_at, is_stopped } = self;
        let plan = &stage.plan;
        let senders_count = senders.len() as u64;
        let per_second = plan.rate * float(senders_count);
        if per_second <= 0.0 {
            return 0;
        }
        let fill = "x".repeat(plan.message_bytes);
        let mut number = 0;
        loop {
            // Taken anew each time, so that nothing adds up.
            let due = Duration::from_secs_f64(float(number) / per_second);
            if due >= plan.duration {
                return number;
            }
            let due_at = sending_at + due;
            while let Some(early) = due_at.checked_duration_since(Instant::now())
                && !early.is_zero()
            {
                if is_stopped.load(Ordering::Acquire) {
                    return number;
                }
                std::thread::sleep(early.min(SLEEP_MAX));
            }
            if is_stopped.load(Ordering::Acquire) {
                return number;
            }
            stage.tally.lag.lock().record(due_at.elapsed());
            let sender = usize::try_from(number % senders_count).unwrap_or(0);
            senders[sender].send(number / senders_count, due, &fill);
            number += 1;
        }
    }
}
