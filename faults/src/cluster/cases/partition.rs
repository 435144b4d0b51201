//! A node whose packets to and from NATS are lost, and nobody is told.

use std::io;
use std::process::Command;

use wspulse_nats_server::NatsServer;

use super::{befall, measured, plan, wait};
use crate::cluster::stage::Stage;
use crate::cluster::verdict::Row;

/// The address at which the node that will be cut off reaches NATS; the others have the plain one.
pub(super) const CUT: &str = "127.0.0.99";

/// `faults/cluster` says so: this network belongs to this program alone.
fn may_change_the_network() -> bool {
    std::env::var("WSPULSE_FAULTS_NETWORK").is_ok_and(|kind| kind == "private")
}

/// What loses packets. The rules are gone with it.
pub(super) struct Cut {
    table: &'static str,
}

impl Cut {
    pub(super) fn prepare() -> io::Result<Self> {
        if !may_change_the_network() {
            return Err(io::Error::other(
                "the case of a node that is cut off changes the network: run it by `faults/cluster`",
            ));
        }
        let table = "partition";
        run(&format!("nft add table ip {table}"))?;
        run(&format!("nft add chain ip {table} input {{ type filter hook input priority 0 ; }}"))?;
        Ok(Self { table })
    }

    /// From now on all packets to and from that address are lost.
    pub(super) fn begin(&self) -> io::Result<()> {
        for direction in ["daddr", "saddr"] {
            run(&format!("nft add rule ip {} input ip {direction} {CUT} drop", self.table))?;
        }
        Ok(())
    }

    pub(super) fn end(&self) -> io::Result<()> {
        run(&format!("nft flush chain ip {} input", self.table))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = run(&format!("nft delete table ip {}", self.table));
    }
}

pub(super) fn cut_off(is_short: bool) -> io::Result<Row> {
    let cut = Cut::prepare()?;
    let nats = vec![NatsServer::on_all_addresses()];
    let urls = |place: usize, nats: &[NatsServer]| {
        let host = if place == 0 { CUT } else { "127.0.0.1" };
        vec![format!("nats://{host}:{}", nats[0].port())]
    };
    let mut stage = Stage::set(plan(3, is_short), nats, urls)?;
    befall(&mut stage, is_short, |_| {
        cut.begin()?;
        wait(if is_short { 6 } else { 20 });
        cut.end()
    })?;
    let settled = stage.settle();
    let mut row = measured(Row::exact(settled), &stage);
    row.must(row.sum.asked > 0, "nothing was lacking: nobody was cut off");
    Ok(row)
}

fn run(command: &str) -> io::Result<()> {
    let mut words = command.split_ascii_whitespace();
    let output = Command::new(words.next().unwrap_or_default()).args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command}: {said}")))
}
