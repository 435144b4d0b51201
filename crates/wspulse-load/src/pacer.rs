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

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::plan::Plan;
    use crate::wishes::Wishes;

    /// A server that echoes to one client.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a handshake");
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() && socket.send(message).await.is_err() {
                    return;
                }
            }
        });
        url
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_sent_late_has_its_lateness_in_its_latency() {
        const LATE: Duration = Duration::from_secs(5);
        let file = "clients = 1\nrate = 50.0\nduration = \"100ms\"\nfan-out = \"echo\"";
        let url = Wishes { url: Some(echo().await), ..Wishes::default() };
        let plan = Plan::try_from(url.or(Wishes::parse(file).expect("a file"))).expect("a plan");
        let stage = Arc::new(crate::run::stage(plan).expect("a stage"));
        let (seat, messages) = Seat::take(&stage, 0, Instant::now()).expect("a client");
        let life = tokio::spawn(Arc::clone(&seat).live(messages));
        while !seat.is_ready() {
            stage.changed.notified().await;
        }
        seat.expect_copies();

        // All was due long ago.
        let sending_at = Instant::now().checked_sub(LATE).expect("the machine is up so long");
        stage.sending_at.set(sending_at).expect("it is set once");
        let (stage, senders) = (Arc::clone(&stage), vec![Arc::clone(&seat)]);
        let pacer =
            Pacer { stage: Arc::clone(&stage), senders, sending_at, is_stopped: Arc::default() };
        let due = tokio::task::spawn_blocking(|| pacer.drive()).await.expect("it sends");
        while stage.tally.received.get() < 5 {
            tokio::task::yield_now().await;
        }

        assert_eq!(due, 5);
        let fastest = stage.tally.take_latency().percentile(0.0).expect("five have come");
        assert!(fastest > 4.8e6, "{fastest}");
        let lag = stage.tally.lag.lock().percentile(0.0).expect("five were sent");
        assert!(lag > 4.8e6, "{lag}");
        seat.close().await;
        life.await.expect("it ends");
    }
}
