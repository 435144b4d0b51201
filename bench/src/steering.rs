//! Has the kernel do the clients' receive work on the load generator's core, as another machine would.
//!
//! On the loopback the kernel carries a packet through to the receiver's socket within the sender's
//! system call. So a server pays for what its clients receive: about half of what a bare loop costs,
//! which hides what is its own. Receive packet steering (RPS) puts that work onto another core.
//!
//! The run goes into a network namespace of its own, whose loopback nobody else uses: the machine
//! stays as it is, and what was changed is gone when the run ends, however it ends.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::affinity;
use crate::report::{ELSEWHERE_PERCENT_MIN, Elsewhere};

/// Tells this program that it is in its namespaces already.
const INSIDE: &str = "WSPULSE_BENCH_NAMESPACES";

/// Of the network, whose loopback is steered, and of mounts, since its settings are in files that a
/// mounted sysfs shows.
const NAMESPACES: [&str; 2] = ["--net", "--mount"];

const STEERED_TO: &str = "/sys/class/net/lo/queues/rx-0/rps_cpus";

/// Steering that is in force.
pub(crate) struct Steering {
    core: usize,
    packets_before: Vec<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the machine does not let the receive work be kept off the servers' core: {what}")]
pub(crate) struct Refused {
    what: String,
}

impl Steering {
    /// Starts this program once more in its own namespaces, in place of this process; there, steers.
    pub(crate) fn begin() -> Result<Self, Box<dyn Error>> {
        if env::var_os(INSIDE).is_none() {
            return Err(start_inside()?.into());
        }
        let core = affinity::load_core();
        if core == 0 {
            return refuse("it has one core".to_owned());
        }
        carry_out("ip", &["link", "set", "lo", "up"])?;
        carry_out("mount", &["-t", "sysfs", "sysfs", "/sys"])?;
        let mask = mask(core);
        let written = fs::write(STEERED_TO, &mask).and_then(|()| fs::read_to_string(STEERED_TO));
        match written {
            Ok(in_force) if is_same(&mask, &in_force) => {}
            Ok(other) => return refuse(format!("{STEERED_TO} is {} after all", other.trim())),
            Err(error) => return refuse(format!("{STEERED_TO}: {error}; it takes CONFIG_RPS")),
        }
        Ok(Self { core, packets_before: packets()? })
    }

    /// How much of the receive work was done where it should have been, so far.
    pub(crate) fn outcome(&self) -> io::Result<Elsewhere> {
        let since: Vec<u64> =
            packets()?.iter().zip(&self.packets_before).map(|(now, before)| now - before).collect();
        let all: u64 = since.iter().sum();
        let there = since.get(self.core).copied().unwrap_or(0);
        let percent = 100.0 * there as f64 / all.max(1) as f64;
        Ok(Elsewhere { core: self.core, percent })
    }

    /// Says so aloud if most of it was not.
    pub(crate) fn watch(&self) -> io::Result<()> {
        let Elsewhere { core, percent } = self.outcome()?;
        if percent < ELSEWHERE_PERCENT_MIN {
            eprintln!("*** only {percent:.0} % of all packets were received on core {core}");
        }
        Ok(())
    }
}

fn refuse<T>(what: String) -> Result<T, Box<dyn Error>> {
    Err(Refused { what }.into())
}

/// Returns only if that failed.
fn start_inside() -> Result<io::Error, Box<dyn Error>> {
    carry_out("unshare", &[&NAMESPACES[..], &["true"]].concat())?;
    let mut inside = Command::new("unshare");
    inside.args(NAMESPACES).arg("--").arg(env::current_exe()?).args(env::args_os().skip(1));
    Ok(inside.env(INSIDE, "1").exec())
}

fn carry_out(program: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let command = || format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => refuse(format!("`{}`: {status}; it takes root", command())),
        Err(error) => refuse(format!("`{}`: {error}", command())),
    }
}

/// A set with this core in it, as the kernel reads it: hexadecimal, in groups of 32 cores.
fn mask(core: usize) -> String {
    let zeros = ",00000000".repeat(core / 32);
    format!("{:x}{zeros}", 1_u32 << (core % 32))
}

/// Whether two of these say the same, with or without zeros in front.
fn is_same(one: &str, other: &str) -> bool {
    let digits = |mask: &str| mask.trim().replace(',', "").trim_start_matches('0').to_owned();
    digits(one) == digits(other)
}

/// How many packets each core has received, of all network devices.
fn packets() -> io::Result<Vec<u64>> {
    packets_of(&fs::read_to_string("/proc/net/softnet_stat")?)
}

/// A line for each core: hexadecimal numbers, the first of which is that of packets, and the
/// thirteenth the core's own, which those before Linux 5.10 did not tell.
fn packets_of(softnet_stat: &str) -> io::Result<Vec<u64>> {
    let mut packets = Vec::new();
    for (row, line) in softnet_stat.lines().enumerate() {
        let mut fields = line.split_ascii_whitespace();
        let number = |field: &str| u64::from_str_radix(field, 16).map_err(io::Error::other);
        let received = fields.next().map_or(Ok(0), number)?;
        let core = fields.nth(11).map_or(Ok(row as u64), number)? as usize;
        if packets.len() <= core {
            packets.resize(core + 1, 0);
        }
        packets[core] = received;
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_a_bit_of_a_hexadecimal_number() {
        assert_eq!(mask(1), "2");
        assert_eq!(mask(31), "80000000");
        assert_eq!(mask(33), "2,00000000");
    }

    #[test]
    fn the_kernel_may_write_more_zeros_than_it_was_given() {
        assert!(is_same("2", "00000000,00000002\n"));
        assert!(!is_same("2", "0\n"));
    }

    #[test]
    fn packets_are_told_by_core_even_if_some_cores_are_off() {
        let rest = "0 0 0 0 0 0 0 0 0 0 0";
        let stat = format!("000000ff {rest} 00000000 0 0\n00000010 {rest} 00000002 0 0\n");

        assert_eq!(packets_of(&stat).expect("all numbers are there"), [0xff, 0, 0x10]);
    }

    #[test]
    fn old_kernels_tell_no_cores_and_packets_go_by_the_row() {
        let packets = packets_of("0000000a 0 0\n0000000b 0 0\n");

        assert_eq!(packets.expect("all numbers are there"), [10, 11]);
    }
}
