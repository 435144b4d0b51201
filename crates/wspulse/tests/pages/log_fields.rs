//! The fields of all log lines and spans are those that are named here: none that is not can hold what
//! a client has said.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 7] = [
    "wspulse",
    "wspulse-core",
    "wspulse-client",
    "wspulse-prometheus",
    "wspulse-otel",
    "wspulse-inspector",
    "wspulse-load",
];

const MACROS: [&str; 10] = [
    "trace!",
    "debug!",
    "info!",
    "warn!",
    "error!",
    "trace_span!",
    "debug_span!",
    "info_span!",
    "warn_span!",
    "error_span!",
];

/// Whoever needs another one looks first at what may be in it.
const ALLOWED: [&str; 36] = [
    // Chosen by the application.
    "id",
    "room",
    "wanted_room",
    "chosen",
    "panic",
    "message",
    // The names of events, which are escaped.
    "event",
    // Only if the application asks for it.
    "peer_addr",
    // Numbers, times and texts of the library's own.
    "action",
    "backtrace",
    "bytes",
    "callback",
    "calls",
    "held",
    "line",
    "location",
    "not_logged",
    "option",
    "otel.kind",
    "payload_bytes",
    "reason",
    "refused",
    "rooms",
    "rooms_max",
    "sessions",
    "status",
    "transports",
    // Another server of the cluster, and how many of its frames are lost.
    "node",
    "heir",
    "full",
    "frames",
    "window",
    // Errors of the system, of HTTP, of codecs and of the application, and what became of transports:
    // `traces` has them hold no secret.
    "cause",
    "error",
    // How the macros are told where a line or span belongs.
    "target",
    "parent",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What is between the parentheses that begin here, cut at its commas.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
    let mut all = vec![String::new()];
    for character in text.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            '(' | '[' | '{' if !in_string => depth += 1,
            ')' | ']' | '}' if !in_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let is_cut = character == ',' && depth == 1 && !in_string;
        match all.last_mut() {
            Some(last) if !is_cut => last.push(character),
            Some(_) | None => all.push(String::new()),
        }
    }
    if let Some(first) = all.first_mut() {
        first.remove(0);
    }
    all.iter().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

/// The fields that an argument brings: its own, or those that a text names in braces.
fn fields(argument: &str) -> Vec<String> {
    if let Some(text) = argument.strip_prefix('"') {
        let holes = text.split('{').skip(1).filter_map(|rest| rest.split(['}', ':']).next());
        return holes.map(str::to_owned).collect();
    }
    let is_name = |it: &str| it.chars().all(|it| it.is_alphanumeric() || "._".contains(it));
    let name = argument.split(['=', ':']).next().unwrap_or(argument).trim();
    let name = name.trim_start_matches(['?', '%']);
    assert!(is_name(name), "what is the field of {argument:?}?");
    vec![name.to_owned()]
}

#[test]
fn every_field_of_a_log_line_or_span_is_one_that_may_be_there() {
    let (mut sites, mut seen, mut against) = (0, BTreeSet::new(), Vec::new());
    for name in CRATES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(name).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        for path in files {
            let text = fs::read_to_string(&path).expect("a source");
            assert!(!text.contains("use tracing::{debug"), "{}: say `tracing::`", path.display());
            for rest in text.split("tracing::").skip(1) {
                let Some(name) = MACROS.iter().find(|it| rest.starts_with(**it)) else { continue };
                sites += 1;
                for field in arguments(&rest[name.len()..]).iter().flat_map(|it| fields(it)) {
                    if !ALLOWED.contains(&&*field) {
                        against.push(format!("{}: {name} has {field}", path.display()));
                    }
                    seen.insert(field);
                }
            }
        }
    }
    assert!(sites > 40, "{sites} places were found");
    assert!(against.is_empty(), "{against:#?}");
    let idle: Vec<_> = ALLOWED.iter().filter(|it| !seen.contains(**it)).collect();
    assert!(idle.is_empty(), "nothing has these: {idle:?}");
}
