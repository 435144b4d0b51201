//! The report as text, and the line that tells how a run goes on.

use std::fmt::Write as _;

use wspulse_charts::{Unit, human};

use crate::outcome::{Ending, Outcome};
use crate::timeline::Moment;

/// One line on how the run goes on.
pub fn progress(moment: &Moment) -> String {
    let seconds = moment.at.as_secs();
    let mut line = format!(
        "{:>2}:{:02}  {}/{} connected  {} sent  {} received",
        seconds / 60,
        seconds % 60,
        moment.open,
        moment.clients,
        moment.sent,
        moment.received,
    );
    if let (Some(p50), Some(p99)) = (moment.p50_micros, moment.p99_micros) {
        let [p50, p99] = [p50, p99].map(|micros| human(micros, Unit::Micros));
        // Writing to a string does not fail.
        let _ = write!(line, "  p50 {p50}  p99 {p99}");
    }
    if moment.attempts_failed > 0 {
        let _ = write!(line, "  {} attempts failed", moment.attempts_failed);
    }
    line
}

/// The whole report.
pub fn report(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_into(&mut out, outcome);
    out
}

fn write_into(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let setting = &outcome.setting;
    writeln!(out, "wspulse-load: {} clients to {}", setting.clients, setting.url)?;
    if outcome.ending == Ending::Stopped {
        writeln!(out, "It was stopped early: these are the numbers up to then.")?;
    }
    write_numbers(out, outcome)?;
    if !outcome.causes.is_empty() {
        writeln!(out, "\nWhy connections failed and ended:")?;
        for (cause, times) in &outcome.causes {
            writeln!(out, "  {times:>8} × {cause}")?;
        }
    }
    for note in &outcome.notes {
        writeln!(out, "\nNote: {note}.")?;
    }
    if !outcome.verdicts.is_empty() {
        writeln!(out, "\nRequired:")?;
        for verdict in &outcome.verdicts {
            let word = if verdict.is_met { "met   " } else { "MISSED" };
            writeln!(out, "  {word}  {}  ({})", verdict.requirement, verdict.measured)?;
        }
    }
    Ok(())
}

/// All numbers but zeros, which are named in one line; times that belong together have an empty line
/// before them.
fn write_numbers(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let mut group = "";
    let mut zeros = Vec::new();
    for measured in &outcome.measured {
        let Some(value) = measured.value else { continue };
        let is_time = measured.unit == Unit::Micros;
        if value == 0.0 && !is_time {
            zeros.push(measured.name);
            continue;
        }
        let first = measured.name.split('.').next().unwrap_or_default();
        let this = if is_time { first } else { "" };
        if this != group {
            writeln!(out)?;
        }
        group = this;
        let shown = human(value, measured.unit);
        writeln!(out, "  {:<18} {shown:>12}  {}", measured.name, measured.what)?;
    }
    if zeros.is_empty() { Ok(()) } else { writeln!(out, "\n  0: {}", zeros.join(", ")) }
}
