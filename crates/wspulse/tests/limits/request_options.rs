//! The bounds of the options of requests.

use crate::support::bounds::{assert_refused, assert_valid};

#[test]
fn one_to_65536_requests_may_wait() {
    let rule = "must be at least 1 and at most 65536";
    assert_valid(|builder| builder.max_requests(1));
    assert_valid(|builder| builder.max_requests(65_536));
    assert_refused(|builder| builder.max_requests(0), "max_requests", "0", rule);
    assert_refused(|builder| builder.max_requests(65_537), "max_requests", "65537", rule);
}

#[test]
fn no_fewer_messages_are_read_ahead_than_at_other_times() {
    let rule = "messages must be at least 32 and at most 65536";
    assert_valid(|builder| builder.read_ahead(32, 1));
    assert_valid(|builder| builder.read_ahead(65_536, 1));
    assert_refused(|builder| builder.read_ahead(31, 1), "read_ahead", "31", rule);
    assert_refused(|builder| builder.read_ahead(65_537, 1), "read_ahead", "65537", rule);
}

#[test]
fn bytes_are_read_ahead_up_to_1_gib() {
    let rule = "bytes must be at least 1 and at most 1073741824 (1 GiB)";
    assert_valid(|builder| builder.read_ahead(32, 1 << 30));
    assert_refused(|builder| builder.read_ahead(32, 0), "read_ahead", "0", rule);
    let beyond = (1 << 30) + 1;
    assert_refused(|builder| builder.read_ahead(32, beyond), "read_ahead", "1073741825", rule);
}

#[test]
fn a_reply_and_an_error_are_told_apart() {
    let rule = "must be two different names, none of them empty";
    for (reply, error) in [("", "error"), ("reply", ""), ("same", "same")] {
        let events = format!("({reply:?}, {error:?})");
        assert_refused(|builder| builder.reply_events(reply, error), "reply_events", &events, rule);
    }
}
