//! What is done to a cluster. A new one is a function here or in a file below, and a line of the list.

mod broker;
mod calm;
mod interest;
mod logs;
mod nodes;
mod partition;
mod sessions;

use std::io;
use std::thread;
use std::time::Duration;

use super::meter::Phase;
use super::stage::{Plan, Stage};
use super::verdict::Row;

/// Something that is done to a cluster.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Whether it is one of those for CI.
    pub(super) is_short: bool,
    pub(super) changes_the_network: bool,
    /// `true` for fewer members, and less time.
    pub(super) run: fn(bool) -> io::Result<Row>,
}

const fn case(name: &'static str, run: fn(bool) -> io::Result<Row>) -> Case {
    Case { name, is_short: true, changes_the_network: false, run }
}

const fn long(name: &'static str, run: fn(bool) -> io::Result<Row>) -> Case {
    Case { name, is_short: false, changes_the_network: false, run }
}

/// All of them, in the order in which they are run.
pub(super) const CASES: &[Case] = &[
    case("2 nodes", calm::two_nodes),
    long("3 nodes", calm::three_nodes),
    long("4 nodes", calm::four_nodes),
    case("NATS killed, back after 3 s", broker::killed),
    long("NATS stopped for 9 s", broker::stopped),
    long("NATS down for 30 s", broker::down),
    long("NATS leaves (lame duck)", broker::leaving),
    case("NATS down, more said than is kept", broker::overflowing),
    case("a node killed", nodes::killed),
    long("a node stopped for 20 s", nodes::stopped),
    Case {
        name: "a node cut off, silently",
        is_short: true,
        changes_the_network: true,
        run: partition::cut_off,
    },
    case("joins and leaves", interest::churned),
    case("log: a node killed", logs::node_killed),
    case("log: each of three NATS killed", logs::nats_killed_in_turn),
    case("sessions: a node killed", sessions::node_killed),
    case("sessions: a node stopped", sessions::node_stopped),
    Case {
        name: "sessions: a node cut off",
        is_short: true,
        changes_the_network: true,
        run: sessions::node_cut_off,
    },
    case("sessions: all cut at once", sessions::all_cut),
    case("sessions: rolling restart", sessions::rolling_restart),
];

fn plan(nodes: usize, is_short: bool) -> Plan {
    if is_short { Plan::small(nodes) } else { Plan::full(nodes) }
}

fn wait(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

/// How long it is calm before a fault, and after it.
const fn calm_seconds(is_short: bool) -> u64 {
    if is_short { 2 } else { 8 }
}

/// Talks, does something to the cluster, and goes on to talk for a while.
fn befall(
    stage: &mut Stage,
    is_short: bool,
    fault: impl FnOnce(&mut Stage) -> io::Result<()>,
) -> io::Result<()> {
    stage.talk();
    wait(calm_seconds(is_short));
    stage.enter(Phase::Fault);
    fault(stage)?;
    stage.enter(Phase::After);
    wait(calm_seconds(is_short));
    stage.hush();
    Ok(())
}

/// With what was measured around the fault.
fn measured(mut row: Row, stage: &Stage) -> Row {
    let meter = &stage.ears.meter;
    row.elsewhere = Some(meter.elsewhere(Phase::Calm));
    row.here_p99_ms = Some((meter.here(Phase::Calm).p99_ms, meter.here(Phase::Fault).p99_ms));
    row.caught_up_seconds = Some(meter.caught_up_seconds());
    row
}
