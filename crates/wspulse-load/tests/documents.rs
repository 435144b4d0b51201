//! What the documents say can be done as it stands there.

use wspulse_load::{Plan, Wishes};

#[test]
fn the_file_for_the_chat_is_a_plan() {
    let wishes = Wishes::parse(include_str!("../chat.toml")).expect("it is understood");

    assert!(Plan::try_from(wishes).is_ok());
}

#[test]
fn the_file_in_the_readme_is_a_plan() {
    let readme = include_str!("../README.md");
    let file = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let wishes = Wishes::parse(file.expect("there is one")).expect("it is understood");

    // Its tokens are on another machine.
    let wishes = Wishes { tokens: None, ..wishes };
    assert!(Plan::try_from(wishes).is_ok());
}

#[test]
fn each_measure_that_the_readme_names_can_be_required() {
    let readme = include_str!("../README.md");
    let section = readme.split("## What to require").nth(1).expect("there is one");
    let table = section.split("\n## ").next().expect("it has an end");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    for cell in rows.filter_map(|row| row.split('|').nth(1)) {
        let mut before = "";
        for name in cell.split('`').skip(1).step_by(2) {
            let first = before.split('.').next().unwrap_or_default();
            let full =
                if name.starts_with('.') { format!("{first}{name}") } else { name.to_owned() };
            let is_fine = ["1", "1s"].iter().any(|value| {
                let wishes = Wishes {
                    url: Some("ws://a".to_owned()),
                    require: vec![format!("{full} < {value}")],
                    ..Wishes::default()
                };
                Plan::try_from(wishes).is_ok()
            });
            assert!(is_fine, "{full}");
            if !name.starts_with('.') {
                before = name;
            }
        }
    }
}
