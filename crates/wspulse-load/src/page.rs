//! The report as one HTML page that needs nothing else.

use std::fmt::Write as _;

use wspulse_charts::human;

use crate::outcome::{Ending, Outcome};
use crate::plots::plots;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1f2328;background:#fff}table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;\
text-align:left;border-bottom:1px solid #d0d7de}td.n{text-align:right;font-variant-numeric:tabular-nums;\
white-space:nowrap}.met{color:#116329}.missed{color:#b3261e;font-weight:700}svg{max-width:100%;height:auto;\
margin:1rem 0;border:1px solid #d0d7de;border-radius:6px}code{font-family:ui-monospace,monospace}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th{border-color:#30363d}\
.met{color:#56d364}.missed{color:#ff7b72}}";

/// The whole page.
pub fn page(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_into(&mut out, outcome);
    out
}

fn write_into(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let setting = &outcome.setting;
    let url = escape(&setting.url);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>wspulse-load: {url}</title><style>{STYLE}</style></head><body>\n\
         <h1>{} clients to {url}</h1>\n",
        setting.clients
    )?;
    let (rooms, senders) = (setting.rooms, setting.senders);
    writeln!(
        out,
        "<p>{rooms} rooms, {senders} senders in each, {} messages of {} bytes in a second each, \
         for {:.1} s.</p>",
        setting.rate, setting.message_bytes, setting.duration_seconds
    )?;
    if outcome.ending == Ending::Stopped {
        writeln!(out, "<p class=\"missed\">It was stopped early.</p>")?;
    }
    write_verdicts(out, outcome)?;
    for note in &outcome.notes {
        writeln!(out, "<p><strong>Note:</strong> {}.</p>", escape(note))?;
    }
    for plot in plots(outcome) {
        writeln!(out, "{plot}")?;
    }
    writeln!(out, "<h2>All numbers</h2>\n<table>")?;
    for measured in &outcome.measured {
        let Some(value) = measured.value else { continue };
        writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td>{}</td></tr>",
            measured.name,
            human(value, measured.unit),
            escape(measured.what)
        )?;
    }
    writeln!(out, "</table>")?;
    if !outcome.causes.is_empty() {
        writeln!(out, "<h2>Why connections failed and ended</h2>\n<table>")?;
        for (cause, times) in &outcome.causes {
            writeln!(out, "<tr><td class=\"n\">{times}</td><td>{}</td></tr>", escape(cause))?;
        }
        writeln!(out, "</table>")?;
    }
    writeln!(out, "</body></html>")
}

fn write_verdicts(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if outcome.verdicts.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Required</h2>\n<table>")?;
    for verdict in &outcome.verdicts {
        let word = if verdict.is_met { "met" } else { "missed" };
        writeln!(
            out,
            "<tr><td class=\"{word}\">{word}</td><td><code>{}</code></td><td class=\"n\">{}</td></tr>",
            escape(&verdict.requirement),
            escape(&verdict.measured)
        )?;
    }
    writeln!(out, "</table>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
