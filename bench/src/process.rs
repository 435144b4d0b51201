//! What the system says of a process: its processor time and its resident memory.

use std::fs;
use std::io;
use std::ops::Sub;
use std::time::Duration;

/// Processor time so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// Exact, from the scheduler.
    pub(crate) total: Duration,
    /// Sampled by the clock's tick: for the proportion of both.
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// The kernel tells times in ticks of this length, whatever its own clock is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// The processor time of all threads that a process has.
pub(crate) fn cpu(pid: u32) -> io::Result<Cpu> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two calls.
        if let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) {
            total += Duration::from_nanos(field(&schedstat, 0)?);
        }
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in the second field may hold spaces; what follows does not.
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks =
        |index| field(behind_name, index).map(|ticks| TICK * ticks.try_into().unwrap_or(u32::MAX));
    Ok(Cpu { total, user: ticks(11)?, system: ticks(12)? })
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
