//! `docs/security.md` stays true: no cell of its table is empty, every test that it names exists.

use crate::support::pages::{missing, page, tests_in};

const COLUMNS: [&str; 4] = ["threat", "what wspulse does", "option and default", "test"];

/// The cells of the table of threats, row by row.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let table = page
        .lines()
        .skip_while(|line| !line.starts_with("| threat |"))
        .take_while(|line| line.starts_with('|'))
        .filter(|line| !line.starts_with("|---"));
    let rows = table.map(|line| {
        let line = line.trim_start_matches("| ").trim_end_matches(" |");
        line.split(" | ").map(str::trim).collect()
    });
    rows.collect()
}

#[test]
fn every_threat_has_an_answer_an_option_and_a_test() {
    let page = page("security.md");
    let rows = rows(&page);
    assert_eq!(rows[0], COLUMNS);
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in &rows[1..] {
        assert_eq!(row.len(), COLUMNS.len(), "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        let is_a_step = row[3].contains("`.ci/run ");
        assert!(is_a_step || tests_in(row[3]).next().is_some(), "no test: {row:?}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let page = page("security.md");
    let broken: Vec<_> = rows(&page)
        .iter()
        .flat_map(|row| tests_in(row[3]).collect::<Vec<_>>())
        .filter_map(|(file, name)| missing(file, name))
        .collect();
    assert!(broken.is_empty(), "tests that do not exist:\n{}", broken.join("\n"));
}
