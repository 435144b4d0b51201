//! The bounds of the options that limit who gets in, and the errors for values beyond them.

use wspulse::ServerBuilder;

use crate::support::bounds::{assert_refused, assert_valid};
use crate::support::house::open_house;

const MIB: usize = 1024 * 1024;

#[test]
fn a_limit_on_connections_is_at_least_1() {
    let rule = "must be at least 1";
    assert_valid(|builder| builder.max_connections(1).max_connections_per_addr(1));
    assert_valid(|builder| builder.max_connections(usize::MAX));
    assert_valid(|builder| builder.max_connections_per_addr(usize::MAX));
    assert_refused(|builder| builder.max_connections(0), "max_connections", "0", rule);
    let none = |builder: ServerBuilder| builder.max_connections_per_addr(0);
    assert_refused(none, "max_connections_per_addr", "0", rule);
}

#[test]
fn the_max_request_header_bytes_are_1_kib_to_1_mib() {
    let rule = "must be at least 1024 and at most 1048576 (1 MiB)";
    let option = "max_request_header_bytes";
    assert_valid(|builder| builder.max_request_header_bytes(1024));
    assert_valid(|builder| builder.max_request_header_bytes(MIB));
    assert_refused(|builder| builder.max_request_header_bytes(1023), option, "1023", rule);
    assert_refused(|builder| builder.max_request_header_bytes(MIB + 1), option, "1048577", rule);
}

#[test]
fn the_max_request_headers_are_5_to_1024() {
    let rule = "must be at least 5 and at most 1024";
    assert_valid(|builder| builder.max_request_headers(5));
    assert_valid(|builder| builder.max_request_headers(1024));
    assert_refused(|builder| builder.max_request_headers(4), "max_request_headers", "4", rule);
    let over = |builder: ServerBuilder| builder.max_request_headers(1025);
    assert_refused(over, "max_request_headers", "1025", rule);
}

#[test]
fn by_default_connections_are_not_limited() {
    let options = format!("{:?}", open_house());
    assert!(options.contains("connections_max: None"), "{options}");
    assert!(options.contains("connections_per_addr_max: None"), "{options}");
}
