//! Whether two threads broadcast twice as much as one.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use wspulse::Server;

use super::scheduled::Scheduled;
use super::stage::{Due, enter, frame, frame_bytes, runtime, server};
use super::{Bar, Effort, Figure, figure};

const RATIO_MIN: f64 = 1.8;
const ROOMS_EACH: u32 = 500;
const MEMBERS: usize = 10;

/// Each thread has a runtime and 500 rooms of one server's, which it broadcasts to in turn.
pub(crate) fn measure(effort: Effort) -> Vec<Figure> {
    let (rounds, lasting) = match effort {
        Effort::Smoke => (1, Duration::from_millis(200)),
        Effort::Full => (5, Duration::from_secs(2)),
    };
    let (mut by_clock, mut by_core, mut waited) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (one, two) = (together(1, lasting), together(2, lasting));
        by_clock.push(two.by_clock / one.by_clock);
        by_core.push(two.by_core / one.by_core);
        waited.push(two.waited * 100.0);
    }
    vec![
        figure("rate of two threads ÷ rate of one, median", median(by_clock), "×")
            .held_to(Bar::AtLeast(RATIO_MIN)),
        figure("the same, had each thread a core to itself", median(by_core), "×"),
        figure("of their time, the two waited for a core", median(waited), "%"),
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Broadcasts a second, all threads together.
#[derive(Debug, Default)]
struct Rate {
    by_clock: f64,
    /// Of the seconds in which a thread had a core.
    by_core: f64,
    /// The share of time in which it wanted one and had none.
    waited: f64,
}

fn together(threads: usize, lasting: Duration) -> Rate {
    let (server, start) = (server(), Barrier::new(threads));
    let rates = thread::scope(|scope| {
        let (server, start) = (&server, &start);
        let run = |thread| scope.spawn(move || broadcast(server, thread, start, lasting));
        let running: Vec<_> = (0..threads).map(run).collect();
        let rates = running.into_iter().map(|thread| thread.join().expect("it does not panic"));
        rates.collect::<Vec<_>>()
    });
    rates.iter().fold(Rate::default(), |all, rate| Rate {
        by_clock: all.by_clock + rate.by_clock,
        by_core: all.by_core + rate.by_core,
        waited: all.waited.max(rate.waited),
    })
}

fn broadcast(server: &Server, thread: usize, start: &Barrier, lasting: Duration) -> Rate {
    runtime().block_on(async {
        let due = Arc::new(Due::default());
        let rooms: Vec<String> = (0..ROOMS_EACH).map(|n| format!("{thread}-{n}")).collect();
        for room in &rooms {
            for member in 0..MEMBERS {
                enter(server, room, &format!("{room}-{member}"), &due).await;
            }
        }
        let bytes = rooms.len() * MEMBERS * frame_bytes();
        let to_each = || {
            for room in &rooms {
                server.broadcast(room, frame()).expect("its payload is JSON");
            }
        };
        // The first time, all come up, and queues grow as they will.
        due.taken_after(bytes, to_each).await;
        start.wait();
        let (began, before, mut turns) = (Instant::now(), Scheduled::now(), 0_u32);
        while began.elapsed() < lasting {
            due.taken_after(bytes, to_each).await;
            turns += 1;
        }
        let (took, had) = (began.elapsed(), Scheduled::since(before));
        let broadcasts = f64::from(turns) * f64::from(ROOMS_EACH);
        Rate {
            by_clock: broadcasts / took.as_secs_f64(),
            by_core: broadcasts / had.ran.as_secs_f64(),
            waited: had.waited.as_secs_f64() / took.as_secs_f64(),
        }
    })
}
