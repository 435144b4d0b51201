//! All code of `docs/testing.md` is in the template, which is compiled and run as a test.

use std::fs;
use std::path::Path;

use crate::support::pages::page;

#[test]
fn each_snippet_of_the_page_on_testing_is_in_the_template() {
    let page = page("testing.md");
    let template =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/template/tests/chat.rs");
    let template = fs::read_to_string(template).expect("the template");
    let snippets: Vec<_> = page
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end"))
        .collect();
    assert!(snippets.len() > 8, "{}", snippets.len());
    let missing: Vec<_> = snippets.iter().filter(|snippet| !template.contains(**snippet)).collect();
    assert!(missing.is_empty(), "not in the template: {missing:#?}");
}
