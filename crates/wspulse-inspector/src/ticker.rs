//! What all pages are told each second, as long as there are any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use wspulse::metrics::{CompressedTotals, Readings, Totals};
use wspulse::{DropReason, Frame, Server, Tap, Watch};

use crate::listing::millis_of;
use crate::live::ROOM;

const EVERY: Duration = Duration::from_secs(1);

/// How many connections are tapped to time broadcasts, and for how many ticks the same ones.
const TIMED_CONNECTIONS: usize = 16;
const TIMED_FOR_TICKS: u64 = 5;

pub(crate) struct Ticker {
    inspected: Server,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Default)]
struct Pages {
    open: usize,
    /// A task ticks, or has seen that it must.
    ticks: bool,
}

impl Ticker {
    pub(crate) fn new(inspected: Server) -> Self {
        Self { inspected, pages: Arc::default() }
    }

    /// A page is open.
    pub(crate) fn begin(&self, pages_server: &Server) {
        let mut pages = self.pages.lock();
        pages.open += 1;
        if !std::mem::replace(&mut pages.ticks, true) {
            let ticking = Ticking {
                inspected: self.inspected.clone(),
                pages_server: pages_server.clone(),
                pages: Arc::clone(&self.pages),
            };
            tokio::spawn(ticking.run());
        }
    }

    /// A page is gone.
    pub(crate) fn end(&self) {
        self.pages.lock().open -= 1;
    }
}

/// The task. It ends by itself a second after the last page at the latest.
struct Ticking {
    inspected: Server,
    pages_server: Server,
    pages: Arc<Mutex<Pages>>,
}

impl Ticking {
    async fn run(self) {
        let watch = Arc::new(self.inspected.watch());
        let mut timed = Vec::new();
        let mut interval = interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0_u64.. {
            interval.tick().await;
            if self.is_over() {
                return;
            }
            let (inspected, watch) = (self.inspected.clone(), Arc::clone(&watch));
            let is_due = number % TIMED_FOR_TICKS == 0;
            // It looks at each connection, for milliseconds if they are many.
            let looked = tokio::task::spawn_blocking(move || {
                let drawn = is_due.then(|| draw(&inspected));
                (Tick::of(&inspected, &watch), drawn)
            });
            // The runtime ends.
            let Ok((tick, drawn)) = looked.await else { return };
            if let Some(drawn) = drawn {
                timed = drawn;
            }
            for tap in &mut timed {
                while tap.try_next().is_some() {}
            }
            if let Ok(frame) = Frame::new("tick").json(&tick) {
                // A page that is slow gets the newest one.
                let _ = self.pages_server.broadcast(ROOM, frame.conflate("tick"));
            }
        }
    }

    fn is_over(&self) -> bool {
        let mut pages = self.pages.lock();
        pages.ticks = pages.open > 0;
        !pages.ticks
    }
}

/// Taps some connections, spread evenly over all, others each time.
fn draw(server: &Server) -> Vec<Tap> {
    let all = server.all_connections();
    let step = all.len().div_ceil(TIMED_CONNECTIONS).max(1);
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let first = nanos.subsec_nanos() as usize / 1_000 % step;
    all.into_iter().skip(first).step_by(step).map(|connection| connection.tap_sent(1)).collect()
}

/// What a page draws.
#[derive(Serialize)]
struct Tick {
    at: u64,
    is_draining: bool,
    connections: usize,
    suspended: usize,
    ending: usize,
    rooms: usize,
    largest_room: usize,
    users: usize,
    waiting_frames: u64,
    waiting_bytes: u64,
    unacknowledged_frames: u64,
    received: u64,
    received_bytes: u64,
    sent: u64,
    sent_bytes: u64,
    /// Of these messages, those that were compressed on the wire.
    received_compressed: Compressed,
    sent_compressed: Compressed,
    broadcasts: u64,
    fan_out: u64,
    refused: u64,
    pong_timeouts: u64,
    conflated: u64,
    dropped: BTreeMap<&'static str, u64>,
    /// The upper bound in microseconds, none for the last, and how many.
    latencies: Vec<(Option<u64>, u64)>,
}

/// The bytes of compressed messages, before and after.
#[derive(Serialize)]
struct Compressed {
    plain: u64,
    wire: u64,
}

impl From<CompressedTotals> for Compressed {
    fn from(totals: CompressedTotals) -> Self {
        Self { plain: totals.payload_bytes, wire: totals.compressed_bytes }
    }
}

impl Tick {
    fn of(server: &Server, watch: &Watch) -> Self {
        let Readings {
            connections,
            suspended,
            ending,
            rooms,
            largest_room_members,
            users,
            waiting_frames,
            waiting_bytes,
            unacknowledged_frames,
            ..
        } = server.readings();
        let totals: Totals = watch.totals();
        let micros = |bound: Duration| u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Self {
            at: millis_of(SystemTime::now()),
            is_draining: server.is_draining(),
            connections,
            suspended,
            ending,
            rooms,
            largest_room: largest_room_members,
            users,
            waiting_frames,
            waiting_bytes,
            unacknowledged_frames,
            received: totals.received,
            received_bytes: totals.received_bytes,
            sent: totals.sent,
            sent_bytes: totals.sent_bytes,
            received_compressed: totals.received_compressed.into(),
            sent_compressed: totals.sent_compressed.into(),
            broadcasts: totals.broadcasts,
            fan_out: totals.fan_out,
            refused: totals.refused,
            pong_timeouts: totals.pong_timeouts,
            conflated: totals.conflated,
            dropped: DropReason::ALL
                .into_iter()
                .map(|reason| (reason.as_str(), totals.dropped(reason)))
                .collect(),
            latencies: totals
                .fan_out_latency
                .counts()
                .map(|(bound, count)| (bound.map(micros), count))
                .collect(),
        }
    }
}
