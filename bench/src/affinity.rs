//! Who runs on which processor.
//!
//! Left to itself, a scheduler may well put a server and its load on one processor while another is
//! idle, since each wakes the other: seen here, at half the throughput. So every server has one
//! processor, and the load generator has another: figures are those of one processor.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// Puts this program onto the last processor.
pub(crate) fn pin_load() -> io::Result<()> {
    let last = thread::available_parallelism()?.get() - 1;
    if last == 0 {
        eprintln!("*** one processor only: load and servers share it, which no figure allows for");
    }
    let (last, pid) = (last.to_string(), std::process::id().to_string());
    let mut taskset = Command::new(TASKSET);
    taskset.args(["--all-tasks", "--cpu-list", "--pid", &last, &pid]).stdout(Stdio::null());
    let status = taskset.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("taskset failed")) }
}

/// The start of a command whose program runs on the first processor.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(TASKSET);
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

/// Part of util-linux, which every Linux has.
const TASKSET: &str = "taskset";
