//! `Summary`: the numbers of a run, and [`MEASURES`], which gives each of them its name.

use wspulse_charts::Unit;

use crate::histogram::{Times, float};
use crate::tally::Tally;

/// The numbers of a run that has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    pub(crate) clients: u64,
    pub(crate) connected: u64,
    pub(crate) attempts_failed: u64,
    pub(crate) disconnects: u64,
    pub(crate) cuts: u64,
    pub(crate) sessions_resumed: u64,
    pub(crate) sessions_renewed: u64,
    pub(crate) due: u64,
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
    pub(crate) unknown: u64,
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    pub(crate) stray: u64,
    pub(crate) other: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) connecting_seconds: f64,
    pub(crate) sending_seconds: f64,
    pub(crate) latency: Times,
    pub(crate) connect: Times,
    pub(crate) reconnect: Times,
    pub(crate) lag: Times,
}

impl Summary {
    /// What was counted, without what the run alone knows.
    pub(crate) fn of(tally: &Tally) -> Self {
        Self {
            connected: tally.ready.get(),
            attempts_failed: tally.attempts_failed.get(),
            disconnects: tally.disconnects.get(),
            cuts: tally.cuts.get(),
            sessions_resumed: tally.sessions_resumed.get(),
            sessions_renewed: tally.sessions_renewed.get(),
            sent: tally.sent.get(),
            unsent: tally.unsent.get(),
            unknown: tally.unknown.get(),
            expected: tally.expected.get(),
            received: tally.received.get(),
            duplicates: tally.duplicates.get(),
            late: tally.late.get(),
            stray: tally.stray.get(),
            other: tally.other.get(),
            bytes_sent: tally.bytes_sent.get(),
            bytes_received: tally.bytes_received.get(),
            connect: tally.connect.lock().clone(),
            reconnect: tally.reconnect.lock().clone(),
            lag: tally.lag.lock().clone(),
            ..Self::default()
        }
    }

    /// Copies that should have come and have not.
    const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

/// A number of a run by its name, as requirements and the JSON file have it.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// What it says.
    pub(crate) what: &'static str,
    /// None if there is nothing that it could be of.
    pub(crate) value: fn(&Summary) -> Option<f64>,
}

impl Measure {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        MEASURES.iter().find(|measure| measure.name == name)
    }
}

impl std::fmt::Debug for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn count(
    name: &'static str,
    what: &'static str,
    value: fn(&Summary) -> Option<f64>,
) -> Measure {
    Measure { name, unit: Unit::Count, what, value }
}

const fn time(
    name: &'static str,
    what: &'static str,
    value: fn(&Summary) -> Option<f64>,
) -> Measure {
    Measure { name, unit: Unit::Micros, what, value }
}

const fn percent(
    name: &'static str,
    what: &'static str,
    value: fn(&Summary) -> Option<f64>,
) -> Measure {
    Measure { name, unit: Unit::Percent, what, value }
}

const fn per_second(
    name: &'static str,
    what: &'static str,
    value: fn(&Summary) -> Option<f64>,
) -> Measure {
    Measure { name, unit: Unit::PerSecond, what, value }
}

fn percentage(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * float(part) / float(whole))
}

fn over(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| float(count) / seconds)
}

/// All numbers of a run, in the order in which they are shown.
pub(crate) static MEASURES: [Measure; 40] = [
    count("clients", "clients that were to connect", |s| Some(float(s.clients))),
    count("connected", "of them became ready", |s| Some(float(s.connected))),
    percent("connected.percent", "became ready", |s| percentage(s.connected, s.clients)),
    per_second("connected.rate", "became ready in a second", |s| {
        over(s.connected, s.connecting_seconds)
    }),
    time("connect.p50", "from when it was due to ready, half of them", |s| {
        s.connect.percentile(50.0)
    }),
    time("connect.p99", "99 of 100", |s| s.connect.percentile(99.0)),
    time("connect.max", "the longest", |s| s.connect.max()),
    count("attempts.failed", "attempts to connect that failed", |s| Some(float(s.attempts_failed))),
    count("disconnects", "connections that were lost", |s| Some(float(s.disconnects))),
    count("cuts", "of them were cut on purpose", |s| Some(float(s.cuts))),
    count("sessions.resumed", "came back to their session", |s| Some(float(s.sessions_resumed))),
    count("sessions.renewed", "came back to another one, or to none", |s| {
        Some(float(s.sessions_renewed))
    }),
    time("reconnect.p50", "from the loss to the new connection, half of them", |s| {
        s.reconnect.percentile(50.0)
    }),
    time("reconnect.p99", "99 of 100", |s| s.reconnect.percentile(99.0)),
    time("reconnect.max", "the longest", |s| s.reconnect.max()),
    count("due", "messages that were due", |s| Some(float(s.due))),
    count("sent", "of them were sent", |s| Some(float(s.sent))),
    count("unsent", "of them were not: a full outbox, or a client that had ended", |s| {
        Some(float(s.unsent))
    }),
    count("unknown", "were sent, and the session ended before the server said it had them", |s| {
        Some(float(s.unknown))
    }),
    per_second("sent.rate", "were sent in a second", |s| over(s.sent, s.sending_seconds)),
    count("expected", "copies that should come of those that were sent", |s| {
        Some(float(s.expected))
    }),
    count("received", "copies that came, each counted once", |s| Some(float(s.received))),
    per_second("received.rate", "came in a second", |s| over(s.received, s.sending_seconds)),
    count("lost", "copies that did not come", |s| Some(float(s.lost()))),
    percent("lost.percent", "did not come", |s| percentage(s.lost(), s.expected)),
    count("duplicates", "copies that came once more", |s| Some(float(s.duplicates))),
    count("late", "copies that came behind a newer one of the same sender", |s| {
        Some(float(s.late))
    }),
    count("stray", "copies that came to whom they were not meant for", |s| Some(float(s.stray))),
    count("other", "messages that were no copies", |s| Some(float(s.other))),
    Measure {
        name: "bytes.sent",
        unit: Unit::Bytes,
        what: "in messages",
        value: |s| Some(float(s.bytes_sent)),
    },
    Measure {
        name: "bytes.received",
        unit: Unit::Bytes,
        what: "in messages",
        value: |s| Some(float(s.bytes_received)),
    },
    time("latency.p50", "from when a message was due to its copy, half of them", |s| {
        s.latency.percentile(50.0)
    }),
    time("latency.p90", "9 of 10", |s| s.latency.percentile(90.0)),
    time("latency.p99", "99 of 100", |s| s.latency.percentile(99.0)),
    time("latency.p99.9", "999 of 1,000", |s| s.latency.percentile(99.9)),
    time("latency.p99.99", "9,999 of 10,000", |s| s.latency.percentile(99.99)),
    time("latency.max", "the longest", |s| s.latency.max()),
    time("lag.p50", "how late this program sent, half of them", |s| s.lag.percentile(50.0)),
    time("lag.p99", "99 of 100", |s| s.lag.percentile(99.0)),
    time("lag.max", "the longest", |s| s.lag.max()),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn value(summary: &Summary, name: &str) -> Option<f64> {
        (Measure::find(name).expect("it is measured").value)(summary)
    }

    #[test]
    fn lost_is_what_was_expected_and_has_not_come() {
        let summary = Summary { expected: 200, received: 190, ..Summary::default() };

        assert_eq!(value(&summary, "lost"), Some(10.0));
        assert_eq!(value(&summary, "lost.percent"), Some(5.0));
    }

    #[test]
    fn what_nothing_was_measured_of_has_no_value() {
        let summary = Summary::default();

        for name in ["latency.p99", "lost.percent", "received.rate", "connected.percent"] {
            assert_eq!(value(&summary, name), None, "{name}");
        }
    }

    #[test]
    fn no_two_measures_have_one_name() {
        for (index, measure) in MEASURES.iter().enumerate() {
            let first = MEASURES.iter().position(|other| other.name == measure.name);
            assert_eq!(first, Some(index), "{measure:?}");
        }
    }
}
