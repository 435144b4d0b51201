//! `docs/conformance.md` stays true: every behaviour has its row, every test that it names exists.

use std::fs;
use std::path::{Path, PathBuf};

/// The sections, with the number of behaviours in each.
const SECTIONS: [(&str, usize); 14] = [
    ("W", 14),
    ("H", 16),
    ("S", 29),
    ("O", 12),
    ("B", 10),
    ("P", 6),
    ("C", 7),
    ("M", 19),
    ("R", 12),
    ("E", 7),
    ("K", 8),
    ("KC", 11),
    ("KS", 13),
    ("D", 21),
];

/// Behaviours beyond the numbered ones.
const EXTRAS: [&str; 2] = ["KC-extra", "KS-extra"];

struct Row<'a> {
    id: &'a str,
    held_by: &'a str,
}

impl<'a> Row<'a> {
    /// What stands between backticks in the last column and is of the form `file::test_name`.
    fn tests(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.held_by.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"))
    }
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let ["", id, what, held_by, ""] = cells[..] else {
                panic!("a row has three columns: {line}");
            };
            assert!(!what.is_empty(), "{id} says nothing");
            Row { id, held_by }
        })
        .filter(|row| row.id != "id")
        .collect()
}

/// Where a file is that the page names, by the notation at its top.
fn path_of(file: &str) -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    let core = server.with_file_name("wspulse-core");
    if let Some(file) = file.strip_prefix("core/src/") {
        core.join("src").join(file)
    } else if let Some(file) = file.strip_prefix("core/") {
        core.join("tests").join(file)
    } else if let Some(file) = file.strip_prefix("src/") {
        server.join("src").join(file)
    } else {
        server.join("tests").join(file)
    }
}

/// Whether the source has a function of this name with a test's attribute right above.
fn has_test(source: &str, name: &str) -> bool {
    let definition = format!("fn {name}(");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().filter(|(_, line)| line.contains(&definition)).any(|(at, _)| {
        let mut above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
        above.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_behaviour_has_exactly_one_row() {
    let page = page();
    let mut found: Vec<_> = rows(&page).iter().map(|row| row.id.to_owned()).collect();
    let numbered = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}-{number}")));
    let mut wrong = Vec::new();
    for id in numbered.chain(EXTRAS.map(str::to_owned)) {
        let before = found.len();
        found.retain(|other| *other != id);
        match before - found.len() {
            1 => {}
            count => wrong.push(format!("{id} has {count} rows")),
        }
    }
    wrong.extend(found.into_iter().map(|id| format!("{id} is no behaviour")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_names_a_test_or_a_reason() {
    let page = page();
    let bare: Vec<_> = rows(&page)
        .iter()
        .filter(|row| row.tests().next().is_none())
        .filter(|row| {
            let reasons = ["Not applicable: ", "Not here yet"];
            !reasons.iter().any(|reason| row.held_by.starts_with(reason))
        })
        .map(|row| row.id)
        .collect();
    assert!(bare.is_empty(), "neither a test nor a reason: {}", bare.join(", "));
}

#[test]
fn every_test_that_is_named_exists() {
    let page = page();
    let mut broken = Vec::new();
    for row in rows(&page) {
        for (file, name) in row.tests() {
            match fs::read_to_string(path_of(file)) {
                Err(error) => broken.push(format!("{}: {file}: {error}", row.id)),
                Ok(source) if !has_test(&source, name) => {
                    broken.push(format!("{}: {file} has no test {name}", row.id));
                }
                Ok(_) => {}
            }
        }
    }
    assert!(broken.is_empty(), "tests that do not exist:\n{}", broken.join("\n"));
}
