//! The bars that wspulse is held to.

use crate::report::{Bar, Direction, OURS, Report};
use crate::scenario::PROMISING;

/// All of them, whether they were measured or not; those for a promise of delivery where the variants
/// that make one take part.
pub(crate) fn all(report: &Report) -> Vec<Bar> {
    let relative = |scenario, key, ours, versus, direction, bound| {
        Bar::relative(report, scenario, key, (ours, versus), direction, bound)
    };
    let at_least = |scenario, versus, bound| {
        relative(scenario, "rate", "wspulse", versus, Direction::AtLeast, bound)
    };
    let at_most = |scenario, key, ours, versus, bound| {
        relative(scenario, key, ours, versus, Direction::AtMost, bound)
    };
    let absolute =
        |scenario, key, bound| Bar::absolute(report, scenario, key, OURS, Direction::AtMost, bound);
    let mut bars = vec![
        at_least("fanout-saturated-1000", "uwebsockets", 1.5),
        at_least("fanout-saturated-1000", "axum", 3.0),
        at_least("fanout-saturated-1000", "gws", 10.0),
        at_least("fanout-saturated-10000", "uwebsockets", 4.0),
        at_least("fanout-saturated-10000", "axum", 8.0),
        at_most("fanout-window1-100", "server_us", "wspulse", "limit", 1.1),
        at_most("echo-1", "p50_us", "wspulse", "uwebsockets", 1.2),
        at_least("rooms-1000x10", "uwebsockets", 1.2),
        at_most("inbound-64-batched", "server_us", "wspulse-raw", "uwebsockets", 1.15),
        at_most("inbound-64-single", "server_us", "wspulse-raw", "uwebsockets", 1.15),
        at_most("inbound-16k", "server_us", "wspulse-raw", "uwebsockets", 1.15),
        absolute("idle-memory-10000", "idle_kib", 1.91),
        absolute("idle-memory-10000", "burst_kib", 2.5),
        absolute("suspended-memory-10000", "total_mib", 64.0),
        absolute("reconnect-storm-10000", "ratio", 1.5),
        absolute("slow-consumers-1000", "p99_ratio", 1.1),
        absolute("presence-1000", "frames_max", 40.0),
        Bar::growth(
            report,
            ("fanout-saturated-100", "fanout-saturated-10000"),
            "server_us",
            Direction::AtMost,
            1.2,
        ),
        absolute("idle-cpu-10000", "server_cores", 1.0),
    ];
    bars.extend(PROMISING.into_iter().flat_map(|variant| of_a_promise(report, variant)));
    bars
}

/// Those of a variant that promises more than delivery at most once, if it takes part.
fn of_a_promise(report: &Report, variant: &str) -> Vec<Bar> {
    if report.subjects.iter().all(|subject| subject.name != variant) {
        return Vec::new();
    }
    let bars = [
        ("unacknowledged-10000", "total_mib", 64.0),
        ("returning-10000", "ratio", 1.5),
        ("catch-up-1000", "p99_us", 500_000.0),
    ];
    let bar = |(scenario, key, bound)| {
        Bar::absolute(report, scenario, key, variant, Direction::AtMost, bound)
    };
    bars.map(bar).into()
}
