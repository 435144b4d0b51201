//! From `OpenMetrics` to Prometheus' text format 0.0.4: the encoder writes the former only.

/// The same metrics. Counters are called by their series' names, there are neither units nor
/// exemplars, and no end is marked.
pub(crate) fn from_open_metrics(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    // A family's help comes before its type, which decides how the family is called.
    let mut help = None;
    for line in page.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            push(&mut text, &[without_exemplar(line)]);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), said) => help = said,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    "stateset" => ("", "gauge"),
                    "unknown" => ("", "untyped"),
                    _ => ("", kind),
                };
                if let Some(help) = help.take() {
                    push(&mut text, &["# HELP ", name, suffix, " ", help]);
                }
                push(&mut text, &["# TYPE ", name, suffix, " ", kind]);
            }
            // A unit, or the end.
            _ => {}
        }
    }
    text
}

fn push(text: &mut String, parts: &[&str]) {
    text.extend(parts.iter().copied().chain(["\n"]));
}

/// A series and its value. What comes before the first space that is not in quotes is the series.
fn without_exemplar(line: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let space = line.bytes().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            b' ' => return !is_quoted,
            _ => {}
        }
        false
    });
    let value = space.unwrap_or(line.len());
    line[value..].find(" # ").map_or(line, |exemplar| &line[..value + exemplar])
}
