//! What the system says of a process.

use std::fs;
use std::io;

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
