//! What joining a room and leaving it again costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::scheduled::Scheduled;
use super::stage::{Due, enter, runtime, server};
use super::{Bar, Effort, Figure, figure};

const MEMBERS: usize = 1000;
const MICROS_MAX: f64 = 0.5;
/// Between looks at the clock.
const AT_ONCE: u32 = 1000;

/// One connection enters and leaves a room of a thousand others.
pub(crate) fn measure(effort: Effort) -> Vec<Figure> {
    let lasting = match effort {
        Effort::Smoke => Duration::from_millis(200),
        Effort::Full => Duration::from_secs(3),
    };
    runtime().block_on(async {
        let (server, due) = (server(), Arc::new(Due::default()));
        for n in 0..MEMBERS {
            enter(&server, "attic", &n.to_string(), &due).await;
        }
        let guest = enter(&server, "home", "guest", &due).await;
        let (began, before, mut pairs) = (Instant::now(), Scheduled::now(), 0_u32);
        while began.elapsed() < lasting {
            for _ in 0..AT_ONCE {
                guest.join("attic").expect("it is in two rooms at most");
                guest.leave("attic");
            }
            pairs += AT_ONCE;
        }
        let (took, had) = (began.elapsed(), Scheduled::since(before));
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(pairs);
        vec![
            figure("CPU for a join and a leave", micros(had.ran), "µs")
                .held_to(Bar::AtMost(MICROS_MAX)),
            figure("the same by the clock on the wall", micros(took), "µs"),
        ]
    })
}
