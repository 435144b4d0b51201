//! What the system says of a process: its processor time and its resident memory; and of all cores.

use std::fs;
use std::io;
use std::iter::Sum;
use std::ops::Sub;
use std::time::Duration;

/// Processor time so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Exact, from the scheduler.
    pub(crate) total: Duration,
    /// How long threads were ready and had no core, all of them together.
    pub(crate) waited: Duration,
    /// Sampled by the clock's tick: for the proportion of both.
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

/// What all cores did so far, sampled by the clock's tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    /// For processes and for the kernel.
    pub(crate) busy: Duration,
    /// What the machine's host had others do.
    pub(crate) stolen: Duration,
}

impl Sub for Cores {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }
}

pub(crate) fn cores() -> io::Result<Cores> {
    cores_of(&fs::read_to_string("/proc/stat")?)
}

/// The first line has the sums over all cores: user, nice, system, idle, iowait, irq, softirq, steal.
fn cores_of(stat: &str) -> io::Result<Cores> {
    let ticks = |index| field(stat, index).map(|ticks| TICK * ticks.try_into().unwrap_or(u32::MAX));
    let mut busy = Duration::ZERO;
    for index in [1, 2, 3, 6, 7] {
        busy += ticks(index)?;
    }
    Ok(Cores { busy, stolen: ticks(8)? })
}

impl Sum for Cpu {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            total: sum.total + one.total,
            waited: sum.waited + one.waited,
            user: sum.user + one.user,
            system: sum.system + one.system,
        })
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            waited: self.waited.saturating_sub(earlier.waited),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// The kernel tells times in ticks of this length, whatever its own clock is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// The processor time of all threads that a process has.
pub(crate) fn cpu(pid: u32) -> io::Result<Cpu> {
    let (mut total, mut waited) = (Duration::ZERO, Duration::ZERO);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two calls.
        if let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) {
            total += Duration::from_nanos(field(&schedstat, 0)?);
            waited += Duration::from_nanos(field(&schedstat, 1)?);
        }
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in the second field may hold spaces; what follows does not.
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks =
        |index| field(behind_name, index).map(|ticks| TICK * ticks.try_into().unwrap_or(u32::MAX));
    Ok(Cpu { total, waited, user: ticks(11)?, system: ticks(12)? })
}

/// Resident memory in bytes.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    Ok(field(line.unwrap_or(""), 0)? * 1024)
}

fn field(text: &str, index: usize) -> io::Result<u64> {
    let parsed = text.split_ascii_whitespace().nth(index).and_then(|field| field.parse().ok());
    parsed.ok_or_else(|| io::Error::other(format!("no number {index} in {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_busy_with_all_but_waiting() {
        let stat = "cpu  10 20 30 1000 2000 1 2 7 0 0\ncpu0 5 10 15 500 1000 1 1 7 0 0\n";
        let cores = cores_of(stat).expect("all numbers are there");

        assert_eq!((cores.busy, cores.stolen), (TICK * 63, TICK * 7));
    }
}
