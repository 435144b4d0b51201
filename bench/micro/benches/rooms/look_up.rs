//! How long a look-up of an id takes while a large room is being served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use wspulse::Server;

use super::scheduled::Scheduled;
use super::stage::{Due, enter, frame, frame_bytes, runtime, server};
use super::{Bar, Effort, Figure, figure};

const P99_MICROS_MAX: f64 = 10.0;
/// Broadcasts one right behind the other, before the members' queues are emptied.
const AT_ONCE: usize = 16;
/// More than look-ups of one id, which would find all they touch in the cache.
const IDS: usize = 1009;

/// One thread broadcasts and serves the members; this one looks up.
pub(crate) fn measure(effort: Effort) -> Vec<Figure> {
    let (members, lasting) = match effort {
        Effort::Smoke => (2000, Duration::from_millis(300)),
        Effort::Full => (20_000, Duration::from_secs(5)),
    };
    let server = server();
    let (is_served, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let busy = thread::scope(|scope| {
        scope.spawn(|| broadcast_until(&is_over, &is_served, &server, members));
        while !is_served.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let busy = look_up(&server, lasting);
        is_over.store(true, Ordering::Release);
        busy
    });
    vec![
        figure("p50", busy.micros(50.0), "µs"),
        figure("p99", busy.micros(99.0), "µs").held_to(Bar::AtMost(P99_MICROS_MAX)),
        figure("p99.9", busy.micros(99.9), "µs"),
        figure("p99.99", busy.micros(99.99), "µs"),
        figure("longest, waiting for a core included", busy.micros(100.0), "µs"),
        busy.off_core(),
        busy.preempted(),
    ]
}

fn broadcast_until(is_over: &AtomicBool, is_served: &AtomicBool, server: &Server, members: usize) {
    runtime().block_on(async {
        let due = Arc::new(Due::default());
        for n in 0..members {
            enter(server, "hall", &n.to_string(), &due).await;
        }
        let bytes = members * AT_ONCE * frame_bytes();
        while !is_over.load(Ordering::Acquire) {
            let send = || {
                for _ in 0..AT_ONCE {
                    server.broadcast("hall", frame()).expect("its payload is JSON");
                }
            };
            due.taken_after(bytes, send).await;
            is_served.store(true, Ordering::Release);
        }
    });
}

#[derive(Debug)]
struct LookUps {
    nanos: Histogram<u64>,
    had: Scheduled,
}

impl LookUps {
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of a few seconds")]
    fn micros(&self, percentile: f64) -> f64 {
        self.nanos.value_at_percentile(percentile) as f64 / 1e3
    }

    fn off_core(&self) -> Figure {
        let all = self.had.ran + self.had.waited;
        let share = self.had.waited.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE);
        figure("of its time, the thread waited for a core", share * 100.0, "%")
    }

    #[allow(clippy::cast_precision_loss, reason = "a count of seconds' events")]
    fn preempted(&self) -> Figure {
        figure("times that it was taken off its core", self.had.preempted as f64, "")
    }
}

fn look_up(server: &Server, lasting: Duration) -> LookUps {
    let ids: Vec<String> = (0..IDS).map(|n| n.to_string()).collect();
    let mut nanos = Histogram::new(3).expect("three digits are few enough");
    let (began, before) = (Instant::now(), Scheduled::now());
    for id in ids.iter().cycle() {
        let asked_at = Instant::now();
        let found = server.connection(id);
        let answered_at = Instant::now();
        assert!(found.is_some(), "{id} is connected");
        let took = (answered_at - asked_at).as_nanos();
        nanos.record(u64::try_from(took).unwrap_or(u64::MAX)).expect("it grows as needed");
        if answered_at - began >= lasting {
            break;
        }
    }
    LookUps { nanos, had: Scheduled::since(before) }
}
