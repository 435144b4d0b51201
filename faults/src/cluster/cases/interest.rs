//! Members come and go, and with them what a node listens to.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::wait;
use crate::cluster::order::Churn;
use crate::cluster::stage::{Plan, Stage};
use crate::cluster::verdict::{Row, Sum};
use crate::process;

/// A hundred members of one node join rooms of their own, each for a second: 100,000 in a minute, which
/// are as many leaves.
pub(super) fn churned(is_short: bool) -> io::Result<Row> {
    /// Of a core, for the whole node.
    const SHARE_MAX: f64 = 0.05;
    const KIB_MAX: u64 = 25 * 1024;
    /// A room is listened for five seconds longer than somebody is in it.
    const LISTENED_AFTER: u64 = 7;
    let seconds = if is_short { 6 } else { 60 };
    let churn = Churn { joins: 100_000 / 60 * seconds, seconds };
    let plan = Plan { rooms: 100, members: 1, frames_per_second: 0, ..Plan::small(1) };
    let mut stage = Stage::plain(plan)?;
    let pid = stage.nodes[0].pid();
    let before = (stage.nats[0].subscriptions()?, process::resident_kib(pid)?);
    let (busy_before, nats_before) =
        (process::processor(pid)?, process::processor(stage.nats[0].pid())?);
    let begun_at = Instant::now();
    stage.nodes[0].churn(churn);
    let (mut most, mut kib_most) = (0, 0);
    while begun_at.elapsed() < Duration::from_secs(u64::from(seconds)) {
        most = most.max(stage.nats[0].subscriptions()?);
        kib_most = kib_most.max(process::resident_kib(pid)?);
        thread::sleep(Duration::from_millis(250));
    }
    stage.nodes[0].done();
    let took = begun_at.elapsed();
    let share = |busy: Duration| busy.as_secs_f64() / took.as_secs_f64();
    let own = share(process::processor(pid)?.saturating_sub(busy_before));
    let of_nats = share(process::processor(stage.nats[0].pid())?.saturating_sub(nats_before));
    wait(LISTENED_AFTER);
    let after = stage.nats[0].subscriptions()?;

    // Nothing is said in this case.
    let mut row = Row::exact(Sum { heard: 1, ..Sum::default() });
    row.sum.heard = 0;
    let kib = kib_most.saturating_sub(before.1);
    row.must(most > before.0 + 100, "nothing was subscribed to");
    // Fewer are as good: a part in which two rooms are may be listened to as a whole by now.
    row.must(after <= before.0, "subscriptions are left behind");
    row.must(kib <= KIB_MAX, "memory");
    // In a few seconds of a build with assertions it shows nothing.
    row.must(is_short || own <= SHARE_MAX, "processor");
    row.note(format!(
        "{} joins and leaves in {:.0} s: {:.1} % of a core, and {:.1} % for NATS; {kib} KiB more; \
         {} subscriptions before, {most} at most, {after} after",
        churn.joins,
        took.as_secs_f64(),
        own * 100.0,
        of_nats * 100.0,
        before.0,
    ));
    Ok(row)
}
