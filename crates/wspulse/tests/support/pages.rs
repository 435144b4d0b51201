//! Pages in `docs/`, and where the tests are that those name.

use std::fs;
use std::path::{Path, PathBuf};

/// The page's text.
pub(crate) fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks in a cell and is of the form `file::test_name`.
pub(crate) fn tests_in(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"))
}

/// Why a test that a page names is none, if it is none.
pub(crate) fn missing(file: &str, name: &str) -> Option<String> {
    match fs::read_to_string(path_of(file)) {
        Err(error) => Some(format!("{file}: {error}")),
        Ok(source) if !has_test(&source, name) => Some(format!("{file} has no test {name}")),
        Ok(_) => None,
    }
}

/// Where a file is that the page names, by the notation at its top.
fn path_of(file: &str) -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = server.join("../..");
    let core = server.with_file_name("wspulse-core");
    if let Some(file) = file.strip_prefix("faults/") {
        root.join("faults/tests").join(file)
    } else if let Some(file) = file.strip_prefix("core/src/") {
        core.join("src").join(file)
    } else if let Some(file) = file.strip_prefix("core/") {
        core.join("tests").join(file)
    } else if let Some(file) = file.strip_prefix("prometheus/") {
        server.with_file_name("wspulse-prometheus").join("tests").join(file)
    } else if let Some(file) = file.strip_prefix("inspector/") {
        server.with_file_name("wspulse-inspector").join("tests/inspector").join(file)
    } else if let Some(file) = file.strip_prefix("nats/") {
        server.with_file_name("wspulse-nats").join("tests/cluster").join(file)
    } else if let Some(file) = file.strip_prefix("src/") {
        server.join("src").join(file)
    } else {
        server.join("tests").join(file)
    }
}

/// Whether the source has a function of this name that is a test: by the attribute right above, or
/// by a macro that is given its name.
fn has_test(source: &str, name: &str) -> bool {
    let definition = format!("fn {name}(");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_given_to_macro = lines.iter().any(|line| *line == format!("{name},"));
    lines.iter().enumerate().filter(|(_, line)| line.contains(&definition)).any(|(at, _)| {
        if is_given_to_macro {
            return true;
        }
        let mut above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
        above.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}
