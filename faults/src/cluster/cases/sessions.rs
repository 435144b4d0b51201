//! Clients with sessions, which go from node to node.

use std::io;
use std::time::{Duration, Instant};

use super::partition::{CUT, Cut};
use super::{calm_seconds, wait};
use crate::cluster::crowd::Crowd;
use crate::cluster::journey::{Journey, JourneyPlan, NODES};
use crate::cluster::order::NodeView;
use crate::cluster::verdict::Row;

/// For how long an id may still be there twice once nodes hear each other again: no figure of speed, as two
/// seconds are what it takes on a machine with nothing else to do.
const TWICE_FOR_MAX: Duration = Duration::from_secs(10);

/// How long an attempt to connect may take, by default: as by default of the client.
const CONNECT_MS: u32 = 15_000;

/// 300 clients, or so many; or as the environment has it, to look for what fails.
fn plan(clients: u32, is_short: bool) -> JourneyPlan {
    let asked = |name: &str, otherwise| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    };
    let clients = asked("WSPULSE_FAULTS_CLIENTS", if is_short { 300 } else { clients });
    let connect_ms = asked("WSPULSE_FAULTS_CONNECT_MS", CONNECT_MS);
    let (members, said_per_second, sent_per_second) =
        if is_short { (5, 600, 300) } else { (10, 1_000, 1_000) };
    JourneyPlan {
        clients,
        members,
        said_per_second,
        sent_per_second,
        silence: Duration::from_secs(10),
        connect: Duration::from_millis(u64::from(connect_ms)),
    }
}

/// Talks for a while, and tells where all are then.
fn set_out(plan: JourneyPlan, is_short: bool) -> io::Result<(Journey, Crowd)> {
    let mut journey = Journey::begin(plan)?;
    journey.talk();
    wait(calm_seconds(is_short));
    let crowd = journey.look();
    Ok((journey, crowd))
}

/// Goes on to talk for a while, and compares what was said with what was heard, both ways.
fn arrive(
    mut journey: Journey,
    clients: u32,
    is_short: bool,
    told: fn(crate::cluster::verdict::Sum) -> Row,
) -> io::Result<(Row, Crowd)> {
    wait(calm_seconds(is_short));
    journey.hush()?;
    let mut row = told(journey.settle());
    let crowd = journey.look();
    let (own, away_ms) = journey.story()?;
    row.must(crowd.here == clients, "clients are not there");
    if !crowd.failed.is_empty() {
        let (many, first) = (crowd.failed.len(), &crowd.failed[0]);
        row.must(false, &format!("{many} clients have ended, or had no session; one: {first}"));
    }
    row.must(own.lost == 0, "what clients have sent was lost without a word");
    row.must(own.twice == 0, "what clients have sent was handled twice");
    row.note(format!("{clients} sessions, {} resumed, {} anew", crowd.resumed, crowd.anew));
    row.note(format!(
        "of {} sent {} handled, {} told as lost, {} lost, {} twice",
        own.sent, own.done, own.told, own.lost, own.twice
    ));
    if let Some(most) = away_ms.last() {
        let at = |percent: usize| away_ms[(away_ms.len() - 1) * percent / 100];
        row.note(format!("away p50 {}, p99 {}, at most {most} ms", at(50), at(99)));
    }
    Ok((row, crowd))
}

/// Sessions of a node that dies are gone with it: their clients begin anew elsewhere, and hear so.
pub(super) fn node_killed(is_short: bool) -> io::Result<Row> {
    let plan = plan(10_000, is_short);
    let (mut journey, before) = set_out(plan, is_short)?;
    let orphans = before.at[0];
    journey.nodes[0].kill();
    journey.until("the dead node's clients to begin anew", |crowd| {
        crowd.are_here(plan.clients) && crowd.anew >= orphans
    })?;
    let (mut row, after) = arrive(journey, plan.clients, is_short, Row::complete)?;
    row.must(after.anew == orphans, "others have begun anew than those of the dead node");
    Ok(row)
}

/// Its clients take it for dead and go elsewhere, or come back to it.
pub(super) fn node_stopped(is_short: bool) -> io::Result<Row> {
    let plan = JourneyPlan {
        silence: Duration::from_secs(1),
        connect: Duration::from_secs(5),
        ..plan(10_000, is_short)
    };
    let (mut journey, before) = set_out(plan, is_short)?;
    let left = before.at[0];
    journey.nodes[0].signal("-STOP")?;
    wait(if is_short { 4 } else { 20 });
    journey.nodes[0].signal("-CONT")?;
    journey.all_here()?;
    let (mut row, after) = arrive(journey, plan.clients, is_short, Row::exact)?;
    row.must(after.resumed + after.anew >= left, "nobody has left the node that stood still");
    Ok(row)
}

/// A node is cut off from the others, and all clients go elsewhere: to it, from it, and past it. What was
/// at a node that could not be asked begins anew. Once they can ask each other again, each id is there once.
pub(super) fn node_cut_off(is_short: bool) -> io::Result<Row> {
    let plan = plan(10_000, is_short);
    let cut = Cut::prepare()?;
    let mut journey = Journey::begin_apart(plan, CUT)?;
    journey.talk();
    wait(calm_seconds(is_short));
    cut.begin()?;
    // They take each other for dead.
    journey.until_nodes("the node to be cut off", |views| {
        views[0].others == 0 && views[1..].iter().all(|view| view.others == 1)
    })?;
    let before = journey.look();
    journey.cut();
    let clients = plan.clients;
    journey.until("all clients to be elsewhere", |crowd| {
        let (now, then) = (crowd.resumed + crowd.anew, before.resumed + before.anew);
        crowd.are_here(clients) && now >= then + clients
    })?;
    wait(if is_short { 2 } else { 10 });
    let connections = |views: &[NodeView]| views.iter().map(|view| view.connections).sum::<usize>();
    let views = journey.views();
    let twice = connections(&views).saturating_sub(clients as usize);
    cut.end()?;
    journey.know_each_other()?;
    let healed_at = Instant::now();
    journey
        .until_nodes("each id to be there once", |views| connections(views) == clients as usize)?;
    let took = healed_at.elapsed();
    let (mut row, after) = arrive(journey, clients, is_short, Row::exact)?;
    row.must(after.anew > before.anew, "nobody has begun anew: no node was cut off");
    row.must(twice > 0, "no id was there twice");
    row.must(took <= TWICE_FOR_MAX, "ids were there twice for too long");
    row.note(format!(
        "{twice} ids were there twice, until {:.2} s after the nodes had met",
        took.as_secs_f64()
    ));
    Ok(row)
}

/// All are cut at once, and each comes back to another node than its own.
pub(super) fn all_cut(is_short: bool) -> io::Result<Row> {
    let plan = plan(20_000, is_short);
    let (mut journey, before) = set_out(plan, is_short)?;
    let begun_at = Instant::now();
    journey.cut();
    let clients = plan.clients;
    journey.until("all clients to be back", |crowd| {
        crowd.are_here(clients) && crowd.resumed + crowd.anew >= before.resumed + clients
    })?;
    let took = begun_at.elapsed();
    let (mut row, after) = arrive(journey, clients, is_short, Row::complete)?;
    row.must(after.anew == 0, "sessions have begun anew");
    row.note(format!("all back after {:.2} s", took.as_secs_f64()));
    Ok(row)
}

/// Each node is drained and begun anew, one after the other, four times.
pub(super) fn rolling_restart(is_short: bool) -> io::Result<Row> {
    let rounds = if is_short { 1 } else { 4 };
    let plan = plan(10_000, is_short);
    let (mut journey, _) = set_out(plan, is_short)?;
    let mut most = Duration::ZERO;
    for _ in 0..rounds {
        for place in 0..NODES {
            let begun_at = Instant::now();
            journey.restart(place)?;
            most = most.max(begun_at.elapsed());
        }
    }
    journey.all_here()?;
    let (mut row, after) = arrive(journey, plan.clients, is_short, Row::complete)?;
    row.must(after.anew == 0, "sessions have begun anew");
    row.must(after.resumed >= plan.clients, "nobody was drained");
    row.note(format!("{} drains, {:.1} s at most", rounds * NODES, most.as_secs_f64()));
    Ok(row)
}
