//! What the system allows: descriptors, and ports to connect from.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a process has open beside its clients: files, the terminal, the runtime's own.
const DESCRIPTORS_BESIDE: u64 = 32;

/// What Linux has by default. Where nothing says so, only what fails is told.
const PORTS_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// More clients than this process may have descriptors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{clients} clients take {needed} descriptors, and this process may have {allowed}: \
     raise the limit (`ulimit -Hn {needed}` as root, or LimitNOFILE= in a unit of systemd), \
     or run several of these with fewer clients each"
)]
pub struct DescriptorsError {
    clients: usize,
    needed: u64,
    allowed: u64,
}

/// Which limits were hit in the course of a run.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    descriptors: AtomicBool,
    ports: AtomicBool,
}

/// Raises the limit of descriptors as far as these clients need.
pub(crate) fn make_room(clients: usize) -> Result<(), DescriptorsError> {
    let needed = clients as u64 + DESCRIPTORS_BESIDE;
    let allowed = allow(needed);
    if allowed < needed { Err(DescriptorsError { clients, needed, allowed }) } else { Ok(()) }
}

/// How many descriptors this process may have now, if it needs so many.
#[cfg(unix)]
fn allow(needed: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= needed {
        return current;
    }
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: Some(needed.min(most)), maximum: limit.maximum };
    // One that cannot be raised is the one that there is.
    setrlimit(Resource::Nofile, raised).map_or(current, |()| needed.min(most))
}

#[cfg(not(unix))]
const fn allow(_needed: u64) -> u64 {
    u64::MAX
}

/// How many ports there are to connect from, for each local address and each one of the server.
pub(crate) fn ports() -> Option<u64> {
    parse_ports(&std::fs::read_to_string(PORTS_FILE).ok()?)
}

fn parse_ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

/// What to do where there are too few ports.
const PORTS_ADVICE: &str = "widen the range (`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`), \
     or give more local addresses (`--source 127.0.0.2 --source 127.0.0.3`)";

/// A word of warning where there are fewer ports than clients.
pub(crate) fn warn_of_ports(clients: usize, addresses: usize) -> Option<String> {
    let ports = ports()? * addresses.max(1) as u64;
    let is_short = ports < clients as u64;
    is_short.then(|| {
        format!("{clients} clients connect from {ports} local ports, and some will find none: {PORTS_ADVICE}")
    })
}

impl Hits {
    /// Notes what an attempt to open a socket has failed by.
    pub(crate) fn note(&self, error: &io::Error) {
        if is_out_of_descriptors(error) {
            self.descriptors.store(true, Ordering::Relaxed);
        }
        if error.kind() == io::ErrorKind::AddrNotAvailable {
            self.ports.store(true, Ordering::Relaxed);
        }
    }

    /// What was hit, with what to do.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.descriptors.load(Ordering::Relaxed) {
            notes.push(
                "the limit of descriptors was hit, of this process or of the system: raise it \
                 (`ulimit -n`, `sysctl fs.file-max`), or connect fewer clients"
                    .to_owned(),
            );
        }
        if self.ports.load(Ordering::Relaxed) {
            notes.push(format!("no local port was free to connect from: {PORTS_ADVICE}"));
        }
        notes
    }
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;

    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(not(unix))]
const fn is_out_of_descriptors(_error: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_ports_is_counted_with_both_ends() {
        assert_eq!(parse_ports("32768\t60999\n"), Some(28_232));
        assert_eq!(parse_ports(""), None);
    }

    #[test]
    fn more_clients_than_descriptors_are_refused_with_what_to_do() {
        let error = make_room(1 << 40).expect_err("no process may have so many").to_string();

        assert!(error.contains("ulimit"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_limit_that_was_hit_is_told_with_what_to_do() {
        use rustix::io::Errno;

        let hits = Hits::default();
        assert_eq!(hits.notes(), [""; 0]);

        hits.note(&Errno::MFILE.into());
        hits.note(&Errno::ADDRNOTAVAIL.into());

        let notes = hits.notes();
        assert!(notes[0].contains("ulimit -n") && notes[1].contains("--source"), "{notes:?}");
    }
}
