//! What befalls a node.

use std::collections::HashMap;
use std::io;

use super::{befall, measured, plan, wait};
use crate::cluster::stage::Stage;
use crate::cluster::verdict::Row;

/// It is gone, and its members with it. The others miss nothing of what the others say; of what it said
/// itself they have the beginning, without a hole.
pub(super) fn killed(is_short: bool) -> io::Result<Row> {
    let mut stage = Stage::plain(plan(3, is_short))?;
    befall(&mut stage, is_short, |stage| {
        stage.nodes[0].kill();
        wait(if is_short { 3 } else { 10 });
        Ok(())
    })?;
    let settled = stage.settle();
    let mut row = measured(Row::complete(settled), &stage);
    let (unheard, divided) = last_words(&stage);
    row.must(divided == 0, "members on one node have heard other last words of it");
    row.note(format!("{unheard} frames of its last were heard by its own members alone"));
    Ok(row)
}

/// How many frames only the dead node's own members have heard, and in how many rooms those on one
/// node differ.
fn last_words(stage: &Stage) -> (u64, u64) {
    let dead = stage.nodes[0].mark;
    let mut furthest: HashMap<(usize, u32), Vec<u64>> = HashMap::new();
    for member in &stage.members {
        let accounts = member.accounts();
        let last = accounts.iter().find(|account| account.origin == dead).map_or(0, |it| it.last);
        furthest.entry((member.node, member.room)).or_default().push(last);
    }
    let (mut unheard, mut divided) = (0, 0);
    for ((node, room), lasts) in &furthest {
        if *node == 0 {
            let own = lasts.iter().max().copied().unwrap_or_default();
            let others = (1..stage.nodes.len()).filter_map(|node| furthest.get(&(node, *room)));
            let others = others.flatten().max().copied().unwrap_or_default();
            unheard += own.saturating_sub(others);
        } else {
            divided += u64::from(lasts.iter().any(|last| *last != lasts[0]));
        }
    }
    (unheard, divided)
}

/// It stands still, and goes on.
pub(super) fn stopped(is_short: bool) -> io::Result<Row> {
    let mut stage = Stage::plain(plan(3, is_short))?;
    befall(&mut stage, is_short, |stage| {
        stage.nodes[0].signal("-STOP")?;
        wait(20);
        stage.nodes[0].signal("-CONT")
    })?;
    Ok(measured(Row::exact(stage.settle()), &stage))
}
