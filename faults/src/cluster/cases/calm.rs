//! Nothing happens: what a cluster costs.

use std::io;

use super::{plan, wait};
use crate::cluster::meter::Phase;
use crate::cluster::stage::Stage;
use crate::cluster::verdict::Row;

pub(super) fn two_nodes(is_short: bool) -> io::Result<Row> {
    nodes(2, is_short)
}

pub(super) fn three_nodes(is_short: bool) -> io::Result<Row> {
    nodes(3, is_short)
}

pub(super) fn four_nodes(is_short: bool) -> io::Result<Row> {
    nodes(4, is_short)
}

fn nodes(nodes: usize, is_short: bool) -> io::Result<Row> {
    let mut stage = Stage::plain(plan(nodes, is_short))?;
    stage.talk();
    wait(if is_short { 5 } else { 60 });
    stage.hush();
    let mut row = Row::complete(stage.settle());
    let (here, elsewhere) =
        (stage.ears.meter.here(Phase::Calm), stage.ears.meter.elsewhere(Phase::Calm));
    row.elsewhere = Some(elsewhere);
    row.note(format!("here p50 {:.2}, p99 {:.2} ms", here.p50_ms, here.p99_ms));
    Ok(row)
}
