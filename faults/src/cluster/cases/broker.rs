//! What befalls NATS.

use std::io;

use wspulse_nats_server::NatsServer;

use super::{befall, calm_seconds, measured, plan, wait};
use crate::cluster::meter::Phase;
use crate::cluster::stage::{Plan, Stage};
use crate::cluster::verdict::Row;

pub(super) fn killed(is_short: bool) -> io::Result<Row> {
    gone_for(3, is_short)
}

pub(super) fn down(is_short: bool) -> io::Result<Row> {
    gone_for(30, is_short)
}

fn gone_for(seconds: u64, is_short: bool) -> io::Result<Row> {
    let mut stage = Stage::plain(plan(2, is_short))?;
    befall(&mut stage, is_short, |stage| {
        stage.nats[0].kill();
        wait(seconds);
        stage.nats[0].start_again();
        Ok(())
    })?;
    let mut row = measured(Row::complete(stage.settle()), &stage);
    row.must(row.sum.asked > 0, "nothing was lacking: NATS was not gone");
    Ok(row)
}

pub(super) fn stopped(is_short: bool) -> io::Result<Row> {
    let mut stage = Stage::plain(plan(2, is_short))?;
    befall(&mut stage, is_short, |stage| {
        stage.nats[0].signal("-STOP");
        wait(9);
        stage.nats[0].signal("-CONT");
        Ok(())
    })?;
    let mut row = measured(Row::complete(stage.settle()), &stage);
    row.must(row.sum.asked > 0, "nothing was lacking: NATS was not stopped");
    Ok(row)
}

/// One of two NATS servers goes, as in a deploy of theirs, and the nodes go over to the other one.
pub(super) fn leaving(is_short: bool) -> io::Result<Row> {
    let own = "cluster { name: two, listen: \"127.0.0.1:-1\", routes: [] }";
    let first = NatsServer::with_config(own);
    let other = format!(
        "cluster {{ name: two, listen: \"127.0.0.1:-1\", routes: [\"{}\"] }}",
        first.route()
    );
    let nats = vec![first, NatsServer::with_config(&other)];
    // Both nodes begin at the one that will go.
    let urls = |_, nats: &[NatsServer]| vec![nats[0].url(), nats[1].url()];
    let mut stage = Stage::set(plan(2, is_short), nats, urls)?;
    befall(&mut stage, is_short, |stage| {
        stage.nats[0].signal("-USR2");
        // It closes what is left after ten seconds.
        wait(12);
        Ok(())
    })?;
    let settled = stage.settle();
    let mut row = measured(Row::complete(settled), &stage);
    row.must(stage.views().iter().all(|view| view.is_connected), "a node is not connected");
    Ok(row)
}

/// So much is said while NATS is gone that the ring, 64 MiB each, has no room for it.
pub(super) fn overflowing(is_short: bool) -> io::Result<Row> {
    const FRAME_BYTES: usize = 32 * 1024;
    /// Half as much again as a ring holds.
    const SAID_MEANWHILE: u64 = 96 * 1024 * 1024 / FRAME_BYTES as u64;
    let plan = Plan { rooms: 50, members: 2, pad_bytes: FRAME_BYTES, ..Plan::small(2) };
    let mut stage = Stage::plain(plan)?;
    stage.talk();
    wait(calm_seconds(is_short));
    stage.enter(Phase::Fault);
    stage.nats[0].kill();
    let before: Vec<_> = stage.views().iter().map(|view| view.said).collect();
    let least = before.iter().max().copied().unwrap_or_default() + SAID_MEANWHILE;
    stage.until("more to be said than is kept", |view| view.said >= least)?;
    stage.nats[0].start_again();
    stage.enter(Phase::After);
    wait(calm_seconds(is_short));
    stage.hush();
    let mut row = measured(Row::exact(stage.settle()), &stage);
    row.must(row.sum.told > 0, "nothing was told as lost: the ring had room");
    Ok(row)
}
