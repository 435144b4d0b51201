//! `docs/conformance.md` stays true: every behaviour has its row, every test that it names exists.

use crate::support::pages::{missing, page, tests_in};

/// The sections, with the number of behaviours in each.
const SECTIONS: [(&str, usize); 15] = [
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
    ("G", 13),
    ("D", 25),
];

/// Behaviours beyond the numbered ones.
const EXTRAS: [&str; 2] = ["KC-extra", "KS-extra"];

struct Row<'a> {
    id: &'a str,
    held_by: &'a str,
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

#[test]
fn every_behaviour_has_exactly_one_row() {
    let page = page("conformance.md");
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
    let page = page("conformance.md");
    let bare: Vec<_> = rows(&page)
        .iter()
        .filter(|row| tests_in(row.held_by).next().is_none())
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
    let page = page("conformance.md");
    let mut broken = Vec::new();
    for row in rows(&page) {
        let missing = tests_in(row.held_by).filter_map(|(file, name)| missing(file, name));
        broken.extend(missing.map(|missing| format!("{}: {missing}", row.id)));
    }
    assert!(broken.is_empty(), "tests that do not exist:\n{}", broken.join("\n"));
}
