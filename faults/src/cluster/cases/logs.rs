//! Rooms with a log: nothing that was appended is lost, and all members hear one order.

use std::io;

use wspulse_nats_server::NatsServer;

use super::{befall, measured, plan, wait};
use crate::cluster::stage::{Plan, Stage};
use crate::cluster::verdict::Row;

/// A log that so many NATS servers keep.
fn logged(replicas: u8, is_short: bool) -> Plan {
    let (rooms, frames_per_second) = if is_short { (50, 100) } else { (200, 500) };
    Plan { rooms, frames_per_second, log_replicas: replicas, ..plan(3, is_short) }
}

/// A node is gone in the middle of appending. What the log has confirmed to it is heard by all members of
/// the others.
pub(super) fn node_killed(is_short: bool) -> io::Result<Row> {
    let nats = vec![NatsServer::with_jetstream("")];
    let mut stage = Stage::set(logged(1, is_short), nats, |_, nats| vec![nats[0].url()])?;
    befall(&mut stage, is_short, |stage| {
        stage.nodes[0].kill();
        stage.read_notes(0)?;
        wait(if is_short { 2 } else { 10 });
        Ok(())
    })?;
    Ok(finish(stage))
}

/// Each of three NATS servers is killed and comes back, one after the other, so that the one that leads
/// the log is among them.
pub(super) fn nats_killed_in_turn(is_short: bool) -> io::Result<Row> {
    let nats = NatsServer::three_with_jetstream();
    // Each node has another one first.
    let urls = |place: usize, nats: &[NatsServer]| {
        let others = (0..nats.len()).map(|other| nats[(place + other) % nats.len()].url());
        others.collect()
    };
    let mut stage = Stage::set(logged(3, is_short), nats.into(), urls)?;
    befall(&mut stage, is_short, |stage| {
        for nats in &stage.nats {
            nats.kill();
            wait(if is_short { 4 } else { 6 });
            nats.start_again();
            // It has to be there again before another one goes.
            wait(if is_short { 4 } else { 10 });
        }
        Ok(())
    })?;
    Ok(finish(stage))
}

fn finish(mut stage: Stage) -> Row {
    let settled = stage.settle();
    let mut row = measured(Row::complete(settled), &stage);
    row.must(settled.said > 0, "nothing was appended");
    let orders = stage.several_orders();
    row.must(
        orders.is_empty(),
        &format!(
            "in {} rooms members have heard several orders, such as\n{}",
            orders.len(),
            orders.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n"),
        ),
    );
    row
}
