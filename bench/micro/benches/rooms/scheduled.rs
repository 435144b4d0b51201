//! How long a thread had a core, and how long it waited for one, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// What the calling thread has had so far. The kernel adds to it at each of its clock ticks, so
/// measure seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scheduled {
    /// On a core.
    pub(crate) ran: Duration,
    /// Ready to run, and off its core.
    pub(crate) waited: Duration,
    /// How often it was taken off its core.
    pub(crate) preempted: u64,
}

impl Scheduled {
    pub(crate) fn now() -> Self {
        let [ran, waited] = schedstat().map(Duration::from_nanos);
        Self { ran, waited, preempted: preemptions() }
    }

    pub(crate) fn since(before: Self) -> Self {
        let now = Self::now();
        Self {
            ran: now.ran.saturating_sub(before.ran),
            waited: now.waited.saturating_sub(before.waited),
            preempted: now.preempted.saturating_sub(before.preempted),
        }
    }
}

/// Nanoseconds on a core, and nanoseconds of waiting.
fn schedstat() -> [u64; 2] {
    let read = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let mut fields = read.split_whitespace().map(|field| field.parse().expect("a number"));
    [fields.next().expect("of three fields"), fields.next().expect("of three fields")]
}

fn preemptions() -> u64 {
    let read = fs::read_to_string("/proc/thread-self/status").expect("Linux has it");
    let line = read.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.expect("Linux counts them").trim().parse().expect("a number")
}

/// Resident memory of the process, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let read = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = read.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.expect("a process has memory").trim().trim_end_matches(" kB");
    kib.trim().parse::<u64>().expect("a number") * 1024
}
