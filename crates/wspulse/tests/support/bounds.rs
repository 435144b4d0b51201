//! Options at their bounds and beyond.

use wspulse::ServerBuilder;

use super::house::open_house;

/// Asserts that a server can be built with these options.
#[track_caller]
pub(crate) fn assert_valid(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) {
    configure(open_house()).build().expect("valid");
}

/// Asserts that an option is refused, and that its error names it, its value and the rule.
#[track_caller]
pub(crate) fn assert_refused(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
    option: &str,
    value: &str,
    rule: &str,
) {
    let error = configure(open_house()).build().expect_err("out of range");
    assert_eq!((error.option(), error.value(), error.rule()), (option, value, rule));
    assert_eq!(error.to_string(), format!("wspulse: {option}: {rule}, but is {value}"));
}
