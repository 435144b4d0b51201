//! What one seed decides before anything happens: the server's options and the load.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use wspulse::{DuplicatePolicy, InboundRate, OverRate, ServerBuilder};

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) ids: usize,
    pub(crate) rooms: usize,
    pub(crate) steps: usize,
    pub(crate) resume_window: Duration,
    pub(crate) duplicates: DuplicatePolicy,
    pub(crate) send_buffer: usize,
    pub(crate) send_buffer_bytes: usize,
    pub(crate) queued_bytes: Option<usize>,
    pub(crate) suspended: Option<usize>,
    pub(crate) rate: Option<InboundRate>,
    pub(crate) write_wait: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) write_bytes: usize,
    /// How often a callback takes its time, and how often one panics, of a thousand.
    pub(crate) slow_callbacks: u32,
    pub(crate) panics: u32,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Plan {
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        let resume_window = *[0, 50, 2_000].choose(rng).unwrap();
        let moves = resume_window > 0 && rng.random_bool(0.5);
        Self {
            ids: rng.random_range(2..=20),
            rooms: rng.random_range(1..=3),
            steps: rng.random_range(50..=150),
            resume_window: ms(resume_window),
            duplicates: if moves { DuplicatePolicy::Resume } else { DuplicatePolicy::Replace },
            send_buffer: *[1, 4, 32, 256].choose(rng).unwrap(),
            send_buffer_bytes: *[1, 100, 16 * 1024 * 1024].choose(rng).unwrap(),
            queued_bytes: *[None, None, Some(30), Some(2_000)].choose(rng).unwrap(),
            suspended: *[None, None, Some(1), Some(4)].choose(rng).unwrap(),
            rate: *[
                None,
                None,
                Some(InboundRate::new(OverRate::Pause).messages(20, 40).bytes(2_000, 500)),
                Some(InboundRate::new(OverRate::Close).messages(40, 80)),
            ]
            .choose(rng)
            .unwrap(),
            write_wait: ms(*[100, 1_000].choose(rng).unwrap()),
            drain_timeout: ms(*[50, 500, 3_000].choose(rng).unwrap()),
            write_bytes: *[1, 64, 64 * 1024].choose(rng).unwrap(),
            slow_callbacks: *[0, 50, 300].choose(rng).unwrap(),
            panics: *[0, 0, 10].choose(rng).unwrap(),
        }
    }

    pub(crate) fn configure(&self, builder: ServerBuilder) -> ServerBuilder {
        let builder = match self.queued_bytes {
            Some(bytes) => builder.max_queued_bytes(bytes),
            None => builder,
        };
        let builder = match self.suspended {
            Some(sessions) => builder.max_suspended(sessions),
            None => builder,
        };
        let builder = match self.rate {
            Some(rate) => builder.inbound_rate(rate),
            None => builder,
        };
        builder
            .send_buffer_bytes(self.send_buffer_bytes)
            .message_timeout(ms(300))
            .resume_window(self.resume_window)
            .duplicates(self.duplicates)
            .send_buffer_size(self.send_buffer)
            .write_wait(self.write_wait)
            .drain_timeout(self.drain_timeout)
            .upgrader_buffer_size(64, self.write_bytes)
            .heartbeat(ms(200), ms(600))
    }
}
