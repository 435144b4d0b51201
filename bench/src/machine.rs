//! The machine that a run was made on, as the system describes it.

use std::fs;
use std::process::Command;

use crate::affinity;
use crate::report::Machine;

/// What is unknown is left empty rather than guessed.
pub(crate) fn describe() -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let meminfo = read("/proc/meminfo");
    let memory_kib = value(&meminfo, "MemTotal").split(' ').next().and_then(|n| n.parse().ok());
    Machine {
        cpu: value(&cpuinfo, "model name").to_owned(),
        cores: affinity::cores(),
        memory_bytes: memory_kib.unwrap_or(0_u64) * 1024,
        kernel: format!(
            "{}, TCP congestion control {}",
            read("/proc/sys/kernel/osrelease").trim(),
            read("/proc/sys/net/ipv4/tcp_congestion_control").trim()
        ),
        os: read("/etc/os-release")
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .map_or(String::new(), |name| name.trim_matches('"').to_owned()),
        rustc: output("rustc", "--version"),
        load_before: read("/proc/loadavg")
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0.0),
    }
}

/// The date, as ISO 8601 has it.
pub(crate) fn date() -> String {
    output("date", "+%F")
}

fn output(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
}
