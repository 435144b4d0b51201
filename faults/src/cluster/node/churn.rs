//! Members join rooms and leave them again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use wspulse::{Connection, Server};

use crate::cluster::order::Churn;

const TICK: Duration = Duration::from_millis(10);

/// How long somebody is in a room.
const STAY: Duration = Duration::from_secs(1);

/// Has members take turns to join rooms that nobody else is in, at an even pace, and to leave them.
pub(super) async fn run(server: &Server, churn: Churn) {
    let members = server.all_connections();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun_at = Instant::now();
    let whole = Duration::from_secs(u64::from(churn.seconds));
    let mut stays: VecDeque<(Instant, &Connection, String)> = VecDeque::new();
    let mut joined = 0;
    while joined < churn.joins || !stays.is_empty() {
        ticks.tick().await;
        let share = begun_at.elapsed().as_secs_f64() / whole.as_secs_f64();
        let due = (share * f64::from(churn.joins)).min(f64::from(churn.joins));
        while f64::from(joined) < due {
            let member = &members[joined as usize % members.len()];
            let room = format!("passing-{joined}");
            // It is in no more than a few at a time.
            let _ = member.join(&room);
            stays.push_back((Instant::now(), member, room));
            joined += 1;
        }
        while stays.front().is_some_and(|(since, ..)| since.elapsed() >= STAY) {
            if let Some((_, member, room)) = stays.pop_front() {
                member.leave(&room);
            }
        }
    }
}
