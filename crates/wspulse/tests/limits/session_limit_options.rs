//! The bounds of the options that limit sessions, and the errors for values beyond them.

use std::time::Duration;

use wspulse::{InboundRate, Limit, OverRate, ServerBuilder};

use crate::support::bounds::{assert_refused, assert_valid};

const NS: Duration = Duration::from_nanos(1);

#[test]
fn messages_per_second_and_their_burst_are_1_to_1000000() {
    let rule = "messages per second and their burst must be at least 1 and at most 1000000";
    for over in [OverRate::Pause, OverRate::Close] {
        let rate = |per_second, burst| InboundRate::new(over).messages(per_second, burst);
        assert_valid(|builder| builder.inbound_rate(rate(1, 1)));
        assert_valid(|builder| builder.inbound_rate(rate(1_000_000, 1_000_000)));
        for (per_second, burst) in [(0, 1), (1, 0), (1_000_001, 1), (1, 1_000_001)] {
            let value = format!("Rate {{ per_second: {per_second}, burst: {burst} }}");
            let over = |builder: ServerBuilder| builder.inbound_rate(rate(per_second, burst));
            assert_refused(over, "inbound_rate", &value, rule);
        }
    }
}

#[test]
fn bytes_per_second_and_their_burst_are_1_to_1000000000() {
    let rule = "bytes per second and their burst must be at least 1 and at most 1000000000";
    let rate = |per_second, burst| InboundRate::new(OverRate::Pause).bytes(per_second, burst);
    assert_valid(|builder| builder.inbound_rate(rate(1, 1)));
    assert_valid(|builder| builder.inbound_rate(rate(1_000_000_000, 1_000_000_000)));
    for (per_second, burst) in [(0, 1), (1, 0), (1_000_000_001, 1), (1, 1_000_000_001)] {
        let value = format!("Rate {{ per_second: {per_second}, burst: {burst} }}");
        let over = |builder: ServerBuilder| builder.inbound_rate(rate(per_second, burst));
        assert_refused(over, "inbound_rate", &value, rule);
    }
}

#[test]
fn an_inbound_rate_limits_something() {
    let rule = "must limit messages, bytes or both";
    let value = "InboundRate { messages: None, bytes: None, over: Pause }";
    let nothing = InboundRate::new(OverRate::Pause);
    assert_refused(|builder| builder.inbound_rate(nothing), "inbound_rate", value, rule);
}

#[test]
fn a_burst_over_which_a_client_is_closed_holds_the_largest_message() {
    let rule = "the burst of bytes must hold a message of max_message_size and its header \
                of 14 bytes, else such a message would close its connection";
    let rate = |burst| InboundRate::new(OverRate::Close).bytes(1, burst);
    assert_valid(|builder| builder.max_message_size(100).inbound_rate(rate(114)));
    let below = |builder: ServerBuilder| builder.max_message_size(100).inbound_rate(rate(113));
    assert_refused(below, "inbound_rate", "Rate { per_second: 1, burst: 113 }", rule);
}

#[test]
fn the_max_message_fragments_are_1_to_1048576() {
    let rule = "must be at least 1 and at most 1048576";
    assert_valid(|builder| builder.max_message_fragments(1));
    assert_valid(|builder| builder.max_message_fragments(1_048_576));
    for (fragments, value) in [(0, "0"), (1_048_577, "1048577")] {
        let over = |builder: ServerBuilder| builder.max_message_fragments(fragments);
        assert_refused(over, "max_message_fragments", value, rule);
    }
}

#[test]
fn the_message_timeout_is_positive_and_at_most_1_h() {
    let rule = "must be positive and at most 1 h";
    assert_valid(|builder| builder.message_timeout(NS));
    assert_valid(|builder| builder.message_timeout(Duration::from_hours(1)));
    let none = |builder: ServerBuilder| builder.message_timeout(Duration::ZERO);
    assert_refused(none, "message_timeout", "0ns", rule);
    let over = |builder: ServerBuilder| builder.message_timeout(Duration::from_hours(1) + NS);
    assert_refused(over, "message_timeout", "3600.000000001s", rule);
}

#[test]
fn the_send_buffer_bytes_are_1_byte_to_1_gib() {
    let rule = "must be at least 1 and at most 1073741824 (1 GiB)";
    assert_valid(|builder| builder.send_buffer_bytes(1));
    assert_valid(|builder| builder.send_buffer_bytes(1024 * 1024 * 1024));
    for (bytes, value) in [(0, "0"), (1024 * 1024 * 1024 + 1, "1073741825")] {
        let over = |builder: ServerBuilder| builder.send_buffer_bytes(bytes);
        assert_refused(over, "send_buffer_bytes", value, rule);
    }
}

#[test]
fn max_queued_bytes_is_at_least_1() {
    assert_valid(|builder| builder.max_queued_bytes(1));
    assert_valid(|builder| builder.max_queued_bytes(usize::MAX));
    let none = |builder: ServerBuilder| builder.max_queued_bytes(0);
    assert_refused(none, "max_queued_bytes", "0", "must be at least 1");
}

#[test]
fn max_suspended_is_at_least_1() {
    let rule = "must be at least 1; without a resume_window none is suspended";
    assert_valid(|builder| builder.max_suspended(1));
    assert_valid(|builder| builder.max_suspended(usize::MAX));
    assert_refused(|builder| builder.max_suspended(0), "max_suspended", "0", rule);
}

#[test]
fn the_labels_of_limits_are_their_options_names() {
    let labels = Limit::ALL.map(Limit::as_str);
    assert_eq!(
        labels,
        [
            "inbound_rate",
            "max_message_fragments",
            "message_timeout",
            "send_buffer_bytes",
            "max_queued_bytes",
            "max_suspended",
            "max_rooms_per_connection",
            "max_requests",
        ]
    );
}
