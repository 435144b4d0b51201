//! What one seed decides before anything happens: the server's options, the load, and how bad the
//! world is.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use wspulse::{
    CloseCode, Connection, Delivery, DuplicatePolicy, InboundRate, OverRate, RoomOptions,
    ServerBuilder, UserLimit,
};

use super::drains::RETRY;
use super::link::Conditions;
use super::rooms::{Presence, RoomPlan};

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) ids: usize,
    pub(crate) rooms: usize,
    pub(crate) steps: usize,
    pub(crate) size: Size,
    pub(crate) resume_window: Duration,
    pub(crate) duplicates: DuplicatePolicy,
    pub(crate) send_buffer: usize,
    pub(crate) send_buffer_bytes: usize,
    pub(crate) queued_bytes: Option<usize>,
    pub(crate) suspended: Option<usize>,
    pub(crate) rate: Option<InboundRate>,
    pub(crate) read_ahead: (usize, usize),
    pub(crate) requests_max: usize,
    /// By room.
    pub(crate) rooms_have: Vec<RoomPlan>,
    pub(crate) names_rooms: bool,
    pub(crate) delivery: Delivery,
    /// How many frames and bytes may be on their way, where delivery is promised.
    delivery_window: (usize, usize),
    pub(crate) per_user: Option<(usize, UserLimit)>,
    /// Some clients may stay for a time only.
    pub(crate) expires: bool,
    /// How long the server takes its leave; zero if it closes at once.
    pub(crate) drain_window: Duration,
    pub(crate) write_wait: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) write_bytes: usize,
    /// How often a callback takes its time, panics, never returns, of a thousand.
    pub(crate) slow_callbacks: u32,
    pub(crate) panics: u32,
    pub(crate) hangs: u32,
    /// How often the connect function does anything but let a client in at once, of a thousand.
    pub(crate) odd_admissions: u32,
    /// How often a client is one that no server would wish for, of a hundred.
    pub(crate) bad_clients: u32,
    /// The server is closed before this step, while everything else goes on.
    pub(crate) closes_at_step: Option<usize>,
    pub(crate) is_closed_by_callback: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    /// Hundreds of clients, all of them connected at first.
    Large,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Plan {
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        let resume_window = *[0, 50, 2_000].choose(rng).unwrap();
        let moves = resume_window > 0 && rng.random_bool(0.5);
        let size = if rng.random_bool(0.05) { Size::Large } else { Size::Small };
        let (ids, steps) = match size {
            Size::Small => (rng.random_range(2..=20), rng.random_range(50..=150)),
            Size::Large => (rng.random_range(100..=400), rng.random_range(30..=60)),
        };
        let closes_early = rng.random_bool(0.2);
        let rooms = rng.random_range(1..=3);
        let queued_bytes = *[None, None, Some(30), Some(2_000)].choose(rng).unwrap();
        // What all queues have room for is not known to whoever joins.
        let may_keep = queued_bytes.is_none() && rng.random_bool(0.6);
        let mut rooms_have = vec![RoomPlan::NOTHING; rooms + 2];
        if rng.random_bool(0.6) {
            rooms_have.fill_with(|| RoomPlan::draw(may_keep, rng));
        }
        let per_user_max = rng.random_range(1..=4);
        Self {
            ids,
            rooms,
            steps,
            size,
            resume_window: ms(resume_window),
            duplicates: if moves { DuplicatePolicy::Resume } else { DuplicatePolicy::Replace },
            send_buffer: *[1, 4, 32, 256].choose(rng).unwrap(),
            send_buffer_bytes: *[1, 100, 16 * 1024 * 1024].choose(rng).unwrap(),
            queued_bytes,
            suspended: *[None, None, Some(1), Some(4)].choose(rng).unwrap(),
            rate: *[
                None,
                None,
                Some(InboundRate::new(OverRate::Pause).messages(20, 40).bytes(2_000, 500)),
                Some(InboundRate::new(OverRate::Close).messages(40, 80)),
            ]
            .choose(rng)
            .unwrap(),
            read_ahead: *[(32, 1), (40, 1 << 20), (1_024, 500), (1_024, 1 << 18)]
                .choose(rng)
                .unwrap(),
            requests_max: *[1, 3, 64].choose(rng).unwrap(),
            rooms_have,
            names_rooms: rng.random_bool(0.3),
            delivery: draw_delivery(resume_window, rng),
            delivery_window: *[(1, 64), (4, 1 << 20), (64, 400), (1_024, 1 << 20)]
                .choose(rng)
                .unwrap(),
            per_user: *[
                None,
                None,
                Some((per_user_max, UserLimit::RefuseNew)),
                Some((per_user_max, UserLimit::EndOldest(CloseCode::USER_LIMIT))),
            ]
            .choose(rng)
            .unwrap(),
            expires: rng.random_bool(0.3),
            drain_window: ms(*[0, 0, 60, 1_000].choose(rng).unwrap()),
            write_wait: ms(*[100, 1_000].choose(rng).unwrap()),
            drain_timeout: ms(*[50, 500, 3_000].choose(rng).unwrap()),
            write_bytes: *[1, 64, 64 * 1024].choose(rng).unwrap(),
            slow_callbacks: *[0, 50, 300].choose(rng).unwrap(),
            panics: *[0, 0, 10].choose(rng).unwrap(),
            hangs: *[0, 0, 0, 3].choose(rng).unwrap(),
            odd_admissions: *[0, 0, 100].choose(rng).unwrap(),
            bad_clients: *[0, 20, 60].choose(rng).unwrap(),
            closes_at_step: closes_early.then(|| rng.random_range(0..steps)),
            is_closed_by_callback: rng.random_bool(0.05),
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
        let builder = match self.per_user {
            Some((connections, limit)) => builder.max_connections_per_user(connections, limit),
            None => builder,
        };
        builder
            .delivery(self.delivery)
            .delivery_window(self.delivery_window.0, self.delivery_window.1)
            .name_rooms(self.names_rooms)
            .drain_retry(RETRY)
            .read_ahead(self.read_ahead.0, self.read_ahead.1)
            .max_requests(self.requests_max)
            .send_buffer_bytes(self.send_buffer_bytes)
            .message_timeout(ms(300))
            .resume_window(self.resume_window)
            .duplicates(self.duplicates)
            .send_buffer_size(self.send_buffer)
            .write_wait(self.write_wait)
            .drain_timeout(self.drain_timeout)
            .connect_timeout(ms(400))
            .upgrader_buffer_size(64, self.write_bytes)
            .heartbeat(ms(200), ms(600))
    }
}

/// A promise is kept in a resume window.
fn draw_delivery(resume_window_ms: u64, rng: &mut SmallRng) -> Delivery {
    let is_promised = resume_window_ms > 0 && rng.random_bool(0.6);
    match rng.random_range(0..3) {
        _ if !is_promised => Delivery::AtMostOnce,
        0 => Delivery::AtLeastOnce,
        _ => Delivery::ExactlyOnce,
    }
}

impl Plan {
    pub(crate) fn room_options(&self, room: &str) -> RoomOptions {
        self.rooms_have[room.parse::<usize>().expect("rooms are numbers")].options()
    }

    /// How long a client may stay, if not for ever.
    pub(crate) fn draw_time(&self, rng: &mut SmallRng) -> Option<Duration> {
        let expires = self.expires && rng.random_bool(0.5);
        expires.then(|| ms(rng.random_range(1..3_000)))
    }

    pub(crate) fn hears_of_people(&self) -> bool {
        self.rooms_have.iter().any(|room| room.presence != Presence::None)
    }

    /// Whether what was accepted is delivered or its session ends.
    pub(crate) fn is_promised(&self) -> bool {
        self.delivery != Delivery::AtMostOnce
    }

    /// Whether a client speaks `wspulse.1`: most do, where that is of use.
    pub(crate) fn draw_exchange(&self, rng: &mut SmallRng) -> bool {
        self.delivery == Delivery::ExactlyOnce && rng.random_bool(0.8)
    }

    /// Whether a send buffer is full by frames and not by bytes.
    pub(crate) const fn counts_frames(&self) -> bool {
        self.send_buffer_bytes > 1 << 20 && self.queued_bytes.is_none()
    }

    /// How many more frames there is room for, if that is known.
    pub(crate) fn fits_now(&self, connection: &Connection) -> Option<usize> {
        let pending = usize::try_from(connection.outbound_stats().pending).unwrap();
        let is_known = self.counts_frames() && !self.is_promised();
        is_known.then(|| self.send_buffer.saturating_sub(pending))
    }
}

/// What a client is like, from the first to the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Character {
    pub(crate) conditions: Conditions,
    /// How long it dawdles between the server's 101 and its stream, if the stream comes at all.
    pub(crate) upgrade: UpgradeDelay,
    pub(crate) reads: bool,
    pub(crate) answers_pings: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpgradeDelay {
    None,
    Late(Duration),
    /// It gives up after that time.
    Never(Duration),
}

impl Character {
    pub(crate) fn draw(plan: &Plan, rng: &mut SmallRng) -> Self {
        let good = Self {
            conditions: Conditions {
                latency_ms_max: *[0, 0, 5].choose(rng).unwrap(),
                capacity_bytes: 64 * 1024,
                piece_bytes_max: *[64, 64 * 1024].choose(rng).unwrap(),
                client_pause: Duration::ZERO,
            },
            upgrade: UpgradeDelay::None,
            reads: true,
            answers_pings: true,
        };
        if rng.random_range(0..100) >= plan.bad_clients {
            return good;
        }
        let delay = ms(rng.random_range(0..300));
        let narrow = Conditions {
            latency_ms_max: *[0, 30, 400].choose(rng).unwrap(),
            capacity_bytes: *[16, 256, 4096].choose(rng).unwrap(),
            piece_bytes_max: *[1, 16, 4096].choose(rng).unwrap(),
            client_pause: Duration::ZERO,
        };
        match rng.random_range(0..7) {
            0 => Self { upgrade: UpgradeDelay::Late(delay), ..good },
            1 => Self { upgrade: UpgradeDelay::Never(delay), ..good },
            2 => Self { reads: false, ..good },
            3 => Self { reads: false, conditions: narrow, ..good },
            4 => Self { answers_pings: false, ..good },
            5 => {
                // A byte now and then.
                let client_pause = ms(rng.random_range(1..100));
                let conditions = Conditions { client_pause, piece_bytes_max: 1, ..narrow };
                Self { conditions, ..good }
            }
            _ => Self { conditions: narrow, ..good },
        }
    }

    /// Whether it reads and answers so soon that it must be told everything.
    pub(crate) fn is_prompt(&self) -> bool {
        let Conditions { latency_ms_max, capacity_bytes, client_pause, .. } = self.conditions;
        self.reads
            && self.answers_pings
            && self.upgrade == UpgradeDelay::None
            && latency_ms_max <= 5
            && capacity_bytes > 4096
            && client_pause.is_zero()
    }
}
