//! The bars that wspulse is held to.

use crate::report::{Bar, Direction, LIMIT_BATCHED, OURS, Report, SERVER_CPU, WIRE_BYTES};
use crate::scenario::PROMISING;

const UWEBSOCKETS: &str = "uwebsockets";
const COMPRESSING: &str = "wspulse+compression";
const AT_LEAST_ONCE: &str = PROMISING[0];

/// How many times what is delivered at most once may delivery at least once cost.
const PROMISE_MAX: f64 = 1.05;

/// All of them, whether they were measured or not; those for a promise of delivery where the variants
/// that make one take part.
pub(crate) fn all(report: &Report) -> Vec<Bar> {
    let mut bars = if report.receives_elsewhere() {
        beside_the_limit(report, &[("fanout-window1-100", 1.15), ("fanout-saturated-1000", 1.3)])
    } else {
        on_the_loopback(report)
    };
    if takes_part(report, AT_LEAST_ONCE) {
        bars.extend(price_of_a_promise(report));
    }
    if takes_part(report, COMPRESSING) {
        bars.extend(price_of_compression(report));
    }
    if !report.receives_elsewhere() {
        bars.extend(PROMISING.into_iter().flat_map(|variant| of_a_promise(report, variant)));
    }
    bars
}

/// Where each side's receive work is done on the core that sends, as the loopback has it.
fn on_the_loopback(report: &Report) -> Vec<Bar> {
    let relative = |scenario, key, (ours, versus), bound| {
        Bar::relative(report, scenario, key, (ours, versus), Direction::AtMost, bound)
    };
    let beside_uwebsockets =
        |scenario, key, bound| relative(scenario, key, (OURS, UWEBSOCKETS), bound);
    let inbound = |scenario| relative(scenario, SERVER_CPU, ("wspulse-raw", UWEBSOCKETS), 1.15);
    let absolute =
        |scenario, key, bound| Bar::absolute(report, scenario, key, OURS, Direction::AtMost, bound);
    let mut bars = beside_the_limit(
        report,
        &[
            ("fanout-window1-100", 1.05),
            ("fanout-saturated-1000", 1.15),
            ("fanout-saturated-10000", 1.2),
            ("rooms-1000x10", 1.15),
        ],
    );
    bars.extend([
        absolute("rooms-1000x10", "room_spread", 2.0),
        absolute("rooms-1000x10", "fairness", 1.5),
        beside_uwebsockets("rooms-paced-60", SERVER_CPU, 1.0),
        beside_uwebsockets("echo-1", "p50_us", 1.0),
        beside_uwebsockets("echo-1", "p99_us", 1.0),
        absolute("idle-cpu-10000", "server_cores", 0.8),
        beside_uwebsockets("idle-cpu-10000", "server_cores", 1.0),
        beside_uwebsockets("idle-memory-10000", "connect_us", 1.2),
        absolute("idle-memory-10000", "idle_kib", 1.6),
        absolute("idle-memory-10000", "burst_kib", 2.5),
        absolute("idle-memory-1000", "idle_kib", 3.0),
        Bar::absolute(report, "scaling-1000x10", "by_time", OURS, Direction::AtLeast, 1.8),
        inbound("inbound-64-batched"),
        inbound("inbound-64-single"),
        inbound("inbound-16k"),
        absolute("suspended-memory-10000", "total_mib", 64.0),
        absolute("reconnect-storm-10000", "ratio", 1.5),
        absolute("slow-consumers-1000", "p99_ratio", 1.1),
        absolute("presence-1000", "frames_max", 40.0),
    ]);
    bars.extend(beside_peers(report));
    bars
}

/// Deliveries beside other servers, and how their cost grows with a room.
fn beside_peers(report: &Report) -> Vec<Bar> {
    let at_least = |(scenario, versus, bound)| {
        Bar::relative(report, scenario, "rate", (OURS, versus), Direction::AtLeast, bound)
    };
    let growth = ("fanout-saturated-100", "fanout-saturated-10000");
    let bars = [
        ("fanout-saturated-1000", UWEBSOCKETS, 1.5),
        ("fanout-saturated-1000", "axum", 3.0),
        ("fanout-saturated-1000", "gws", 10.0),
        ("fanout-saturated-10000", UWEBSOCKETS, 4.0),
        ("fanout-saturated-10000", "axum", 8.0),
        ("rooms-1000x10", UWEBSOCKETS, 1.2),
    ];
    let bars = bars.into_iter().map(at_least);
    bars.chain([Bar::growth(report, growth, SERVER_CPU, Direction::AtMost, 1.2)]).collect()
}

/// The server's processor time, beside a bare loop that batches as well.
fn beside_the_limit(report: &Report, bounds: &[(&str, f64)]) -> Vec<Bar> {
    let bar = |(scenario, bound): &(&str, f64)| {
        let pair = (OURS, LIMIT_BATCHED);
        Bar::relative(report, scenario, SERVER_CPU, pair, Direction::AtMost, *bound)
    };
    bounds.iter().map(bar).collect()
}

/// What delivery at least once costs, in those scenarios that wspulse is measured by.
fn price_of_a_promise(report: &Report) -> Vec<Bar> {
    let scenarios: &[(&str, &str)] = if report.receives_elsewhere() {
        &[("fanout-window1-100", SERVER_CPU), ("fanout-saturated-1000", SERVER_CPU)]
    } else {
        &[
            ("fanout-window1-100", SERVER_CPU),
            ("fanout-saturated-1000", SERVER_CPU),
            ("fanout-saturated-10000", SERVER_CPU),
            ("rooms-1000x10", SERVER_CPU),
            ("rooms-1000x10", "room_p99_us"),
            ("rooms-1000x10", "fairness"),
            ("rooms-paced-60", SERVER_CPU),
            ("echo-1", "p50_us"),
            ("echo-1", "p99_us"),
            ("idle-cpu-10000", "server_cores"),
            ("idle-memory-10000", "connect_us"),
            ("idle-memory-10000", "idle_kib"),
            ("idle-memory-1000", "idle_kib"),
            ("scaling-1000x10", "server_us_2"),
        ]
    };
    let bar = |(scenario, key): &(&str, &str)| {
        let pair = (AT_LEAST_ONCE, OURS);
        Bar::relative(report, scenario, key, pair, Direction::AtMost, PROMISE_MAX)
    };
    scenarios.iter().map(bar).collect()
}

/// What compression costs and saves, beside messages as they are and beside others who compress.
fn price_of_compression(report: &Report) -> [Bar; 6] {
    let bar = |scenario, key, versus, direction, bound| {
        Bar::relative(report, scenario, key, (COMPRESSING, versus), direction, bound)
    };
    let (at_least, at_most) = (Direction::AtLeast, Direction::AtMost);
    [
        bar("compressed-1024", SERVER_CPU, OURS, at_most, 1.25),
        bar("compressed-1024", WIRE_BYTES, OURS, at_most, 0.333),
        bar("compressed-positions-1024", WIRE_BYTES, OURS, at_most, 0.333),
        bar("compressed-1024", "rate", "uwebsockets+shared", at_least, 5.0),
        bar("compressed-1024", "rate", "ws+deflate", at_least, 20.0),
        // Nothing, as far as a process's memory repeats from run to run.
        bar("idle-memory-10000", "idle_kib", OURS, at_most, 1.01),
    ]
}

fn takes_part(report: &Report, variant: &str) -> bool {
    report.subjects.iter().any(|subject| subject.name == variant)
}

/// Those of a variant that promises more than delivery at most once, if it takes part.
fn of_a_promise(report: &Report, variant: &str) -> Vec<Bar> {
    if !takes_part(report, variant) {
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
