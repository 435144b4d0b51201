//! Who runs on which core.
//!
//! Left to itself, a scheduler may well put a server and its load on one core while another is idle,
//! since each wakes the other: seen here, at half the throughput. So every server has one core, and
//! the load generator has another: figures are those of one core. Only where scaling is asked for has
//! a server more.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

/// Where a server runs that has one core.
pub(crate) const FIRST: Range<usize> = 0..1;

/// How many cores this program was allowed when it was first asked, which is before it is put onto
/// one of them.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// The core of a load generator with one thread: the last one.
pub(crate) fn load_core() -> usize {
    cores() - 1
}

/// The cores that are left where a server has the first ones, or all if there are none left.
pub(crate) fn beside(servers: usize, cores: usize) -> Range<usize> {
    if servers < cores { servers..cores } else { 0..cores }
}

/// Puts this program onto the last core.
pub(crate) fn pin_load() -> io::Result<()> {
    let last = load_core();
    if last == 0 {
        eprintln!("*** one core only: load and servers share it, which no figure allows for");
    }
    pin(&["--all-tasks"], &std::process::id().to_string(), last)
}

/// Puts another process, with all its threads, onto a core.
pub(crate) fn pin_process(pid: u32, core: usize) -> io::Result<()> {
    pin(&["--all-tasks"], &pid.to_string(), core)
}

/// Puts the calling thread onto a core.
pub(crate) fn pin_thread(core: usize) -> io::Result<()> {
    let link = fs::read_link("/proc/thread-self")?;
    let thread = link.file_name().ok_or_else(|| io::Error::other("a thread without a number"))?;
    pin(&[], &thread.to_string_lossy(), core)
}

fn pin(options: &[&str], id: &str, core: usize) -> io::Result<()> {
    let mut taskset = Command::new(TASKSET);
    taskset.args(options).args(["--cpu-list", "--pid", &core.to_string(), id]);
    let status = taskset.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("taskset failed")) }
}

/// The start of a command whose program runs on these cores.
pub(crate) fn command(program: &Path, cores: &Range<usize>) -> Command {
    let mut command = Command::new(TASKSET);
    command.args(["--cpu-list", &format!("{}-{}", cores.start, cores.end - 1)]).arg(program);
    command
}

/// Part of util-linux, which every Linux has.
const TASKSET: &str = "taskset";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_has_the_cores_that_servers_leave_or_shares_all_of_them() {
        assert_eq!(beside(1, 2), 1..2);
        assert_eq!(beside(2, 4), 2..4);
        assert_eq!(beside(2, 2), 0..2);
    }
}
