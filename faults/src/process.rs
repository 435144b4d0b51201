//! What the system says of a process.

use std::fs;
use std::io;
use std::time::Duration;

/// Resident memory in KiB. Exact: the sums in `status` lag behind by some pages for each thread.
///
/// # Errors
///
/// That of reading `/proc`, if the process has ended for instance.
pub fn resident_kib(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = rss.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no Rss in {rollup:?}")))
}

/// How much processor time it has had, in user space and in the kernel.
///
/// # Errors
///
/// That of reading `/proc`, if the process has ended for instance.
pub fn processor(pid: u32) -> io::Result<Duration> {
    /// Linux counts in hundredths of a second on all machines that there are today.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything.
    let numbers = stat.rsplit_once(") ").map_or("", |(_, numbers)| numbers);
    let number = |place| numbers.split(' ').nth(place)?.parse::<u32>().ok();
    let ticks = number(11).zip(number(12)).map(|(user, kernel)| user + kernel);
    ticks.map(|ticks| TICK * ticks).ok_or_else(|| io::Error::other(format!("no times in {stat:?}")))
}

/// How many descriptors are open.
///
/// # Errors
///
/// That of reading `/proc`.
pub fn descriptors(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Makes sure that this process, and those that it starts, may open so many descriptors.
///
/// # Panics
///
/// If the limit is lower; the text says how to raise it.
pub fn require_descriptors(needed: usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("every process can read its own");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next()).unwrap_or("0");
    let limit = if soft == "unlimited" { usize::MAX } else { soft.parse().unwrap_or(0) };
    assert!(limit >= needed, "{limit} descriptors are too few: say `ulimit -n {needed}` first");
}
