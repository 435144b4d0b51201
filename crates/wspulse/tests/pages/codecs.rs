//! The rules of codecs in `docs/wire.md` stay true: each names a test, and that test exists.

use crate::support::pages::{missing, page, tests_in};

/// The rows of the table that begins with this one.
fn rows<'p>(page: &'p str, head: &str) -> Vec<&'p str> {
    let table = page.lines().skip_while(|line| !line.starts_with(head));
    table.take_while(|line| line.starts_with('|')).skip(2).collect()
}

#[test]
fn every_rule_of_codecs_names_tests_that_exist() {
    let page = page("wire.md");
    for (head, rows_min) in [("| what | the rule | test |", 15), ("| value | to JSON |", 12)] {
        let rows = rows(&page, head);
        assert!(rows.len() >= rows_min, "{} rows", rows.len());
        for row in rows {
            let cell = row.trim_end_matches(" |").rsplit(" | ").next().expect("a cell");
            assert!(tests_in(cell).next().is_some(), "no test: {row}");
            let broken: Vec<_> =
                tests_in(cell).filter_map(|(file, name)| missing(file, name)).collect();
            assert!(broken.is_empty(), "{broken:?}");
        }
    }
}
