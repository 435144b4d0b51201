//! The report's text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::{Run, percentile};
use crate::ledger::{Account, Cause};
use crate::options::{CLIENT_PAUSE, DIRECT_EVERY, NGINX_EVERY, TICKS_PER_SECOND};
use crate::run::broken;
use crate::scene::{KindOutcome, Outcome};
use crate::verdict::Promise;

/// One line for each server, kind and direction.
pub(crate) fn summary(run: &Run<'_>) -> String {
    let mut text = String::new();
    text.push_str(
        "| server | clients | direction | promised | expected | lost | twice | out of order | \
         links | catching up p50 / p99 |\n|---|---|---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for outcome in &run.outcomes {
        for kind in &outcome.kinds {
            line(&mut text, outcome, kind, "server → client", &kind.down);
            line(&mut text, outcome, kind, "client → server", &kind.up);
        }
    }
    text
}

fn line(
    text: &mut String,
    outcome: &Outcome,
    kind: &KindOutcome,
    way: &str,
    (promise, account): &(Promise, Account),
) {
    let Account { expected, lost, twice, disorder, links, .. } = account;
    let caught_up = match [50, 99].map(|part| percentile(&account.catch_up_micros, part)) {
        [Some(half), Some(most)] => format!("{} / {}", millis(half), millis(most)),
        [None, _] | [_, None] => "–".to_owned(),
    };
    let numbers = [*expected, *lost, *twice, *disorder, *links].map(grouped).join(" | ");
    let _ = writeln!(
        text,
        "| {} | {} × {} | {way} | {} | {numbers} | {caught_up} |",
        outcome.name,
        kind.clients,
        kind.name,
        promise.as_str(),
    );
}

/// The whole report.
pub(super) fn report(run: &Run<'_>) -> String {
    let deliveries: u64 = accounts(run).map(|account| account.expected).sum();
    let broken: Vec<String> = run.outcomes.iter().flat_map(broken).collect();
    let verdict = if broken.is_empty() {
        "Every promise was kept.".to_owned()
    } else {
        format!("**Broken:** {}.", broken.join("; "))
    };
    let mut text = format!(
        "# Delivery over bad links\n\n{verdict} {} deliveries were expected in a {} run of {} s \
         (`{}`).\n\n{}\n",
        grouped(deliveries),
        run.options.name(),
        run.took.as_secs(),
        run.options.command(run.seed),
        summary(run),
    );
    for what in &run.missing {
        let _ = writeln!(text, "**Not shown:** {what}.\n");
    }
    text.push_str(&legend(run));
    text.push_str(&losses(run));
    text.push_str(&servers(run));
    text
}

fn kinds<'a>(run: &'a Run<'_>) -> impl Iterator<Item = (&'a Outcome, &'a KindOutcome)> {
    run.outcomes.iter().flat_map(|outcome| outcome.kinds.iter().map(move |kind| (outcome, kind)))
}

fn accounts<'a>(run: &'a Run<'_>) -> impl Iterator<Item = &'a Account> {
    kinds(run).flat_map(|(_, kind)| [&kind.down.1, &kind.up.1])
}

fn legend(run: &Run<'_>) -> String {
    let severity = run.options.severity();
    let [_, (stop_low, stop_high)] = run.options.stops();
    format!(
        "Each server broadcasts {TICKS_PER_SECOND} frames per second and sends each client {} \
         directly; each client sends {} per second. Each client's link lives for {} to {} s, then \
         it is closed (3 of 10), reset (3 of 10), or silent for {} to {} s, during which the \
         server goes on believing in it (4 of 10). Before, one link of two is late by 5 to 150 ms, \
         one of five is narrow (6 to 64 kB/s), three of ten stand still one way for {} to {} s. \
         One client of {NGINX_EVERY} is behind nginx. For {} s, the servers' processes are \
         stopped now and then for {} to {} s.\n\n\
         *Expected* are those that the server's application has sent, and that clients have sent \
         on a link that they believed in. *Twice* counts each repetition. *Out of order* is what \
         comes behind something newer, repetitions after a reconnect apart. *Catching up* is from \
         the handshake to the last frame that was missed. *Links* are handshakes.\n\n",
        TICKS_PER_SECOND / DIRECT_EVERY,
        1_000 / CLIENT_PAUSE.as_millis(),
        severity.life.0.as_secs_f64(),
        severity.life.1.as_secs_f64(),
        severity.silence.0.as_secs_f64(),
        severity.silence.1.as_secs_f64(),
        severity.stall.0.as_secs_f64(),
        severity.stall.1.as_secs_f64(),
        run.options.bad_weather().as_secs(),
        stop_low.as_secs_f64(),
        stop_high.as_secs_f64(),
    )
}

/// What was lost where nothing was promised, by the end of the link that it was on.
fn losses(run: &Run<'_>) -> String {
    let mut text = "## What was lost, to what\n\n| server | clients | direction | lost to |\n\
                    |---|---|---|---|\n"
        .to_owned();
    for outcome in &run.outcomes {
        for kind in &outcome.kinds {
            let both = [("server → client", &kind.down.1), ("client → server", &kind.up.1)];
            for (way, account) in both.into_iter().filter(|(_, account)| account.lost > 0) {
                let causes = by_cause(&account.lost_by);
                let _ = writeln!(text, "| {} | {} | {way} | {causes} |", outcome.name, kind.name);
            }
        }
    }
    text + "\n"
}

fn by_cause(lost_by: &BTreeMap<Cause, u64>) -> String {
    let told = lost_by.iter().map(|(cause, lost)| format!("{} {}", cause.as_str(), grouped(*lost)));
    told.collect::<Vec<_>>().join(", ")
}

fn servers(run: &Run<'_>) -> String {
    let mut text = "## The servers\n\n| server | clients | RSS at the start | most | at the end | \
                    stopped | sessions | resumed | ended early | sends refused |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for outcome in &run.outcomes {
        let memory = || outcome.memory.iter().map(|(_, kib)| *kib);
        let mib =
            |kib: Option<u64>| kib.map_or("–".to_owned(), |kib| format!("{} MiB", kib / 1024));
        let stopped: Duration = outcome.stops.iter().sum();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} × {:.1} s | {} | {} | {} | {} |",
            outcome.name,
            outcome.clients,
            mib(memory().next()),
            mib(memory().max()),
            mib(memory().next_back()),
            outcome.stops.len(),
            stopped.as_secs_f64()
                / f64::from(u32::try_from(outcome.stops.len().max(1)).unwrap_or(1)),
            outcome.sent.sessions,
            grouped(outcome.sent.resumed),
            outcome.sent.ended.len(),
            grouped(outcome.sent.refused.len() as u64),
        );
    }
    for (outcome, kind) in kinds(run).filter(|(_, kind)| kind.ended > 0) {
        let (server, kind, ended) = (outcome.name, kind.name, kind.ended);
        let _ = writeln!(
            text,
            "\n{server}, {kind}: {ended} × a client has ended for good without being asked to, and \
             was followed by another one."
        );
    }
    for (outcome, kind) in kinds(run).filter(|(_, kind)| kind.sessions_lost > 0) {
        let (server, kind, lost) = (outcome.name, kind.name, kind.sessions_lost);
        let _ = writeln!(text, "\n{server}, {kind}: {lost} × a client was told of a new session.");
    }
    text.push_str("\n![Resident memory](memory.svg)\n\n![Catching up](catch-up.svg)\n");
    for (outcome, end) in run
        .outcomes
        .iter()
        .flat_map(|outcome| outcome.sent.ended.iter().map(move |end| (outcome, end)))
    {
        let _ = writeln!(text, "\n- {}: session ended early: {end}", outcome.name);
    }
    text
}

fn millis(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        return format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    }
    format!("{} ms", grouped(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
    }
}
