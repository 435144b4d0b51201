//! The bounds of the options of serving, and the errors for values beyond them.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use wspulse::Server;
use wspulse::serve::Serve;

use crate::support::house::open_house;

const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

type Configure = fn(Serve<TcpListener, Server>) -> Serve<TcpListener, Server>;

async fn configured(configure: Configure) -> Serve<TcpListener, Server> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    configure(wspulse::serve(listener, open_house().build().unwrap()))
}

/// With valid options it serves, and goes on.
async fn assert_valid(configure: Configure) {
    let stopped = configured(configure).await.with_graceful_shutdown(async {});
    let served = timeout(HOUR, stopped.into_future()).await.expect("it was told to stop");
    served.expect("valid");
}

async fn assert_refused(configure: Configure, option: &str, value: &str, rule: &str) {
    let error = configured(configure).await.await.expect_err("out of range");
    assert_eq!((error.option(), error.value(), error.rule()), (option, value, rule));
}

#[tokio::test]
async fn the_handshake_timeout_is_positive_and_at_most_5_min() {
    let (option, rule) = ("handshake_timeout", "must be positive and at most 5 min");
    assert_valid(|serve| serve.handshake_timeout(NS)).await;
    assert_valid(|serve| serve.handshake_timeout(300 * SECOND)).await;
    assert_refused(|serve| serve.handshake_timeout(Duration::ZERO), option, "0ns", rule).await;
    let over: Configure = |serve| serve.handshake_timeout(300 * SECOND + NS);
    assert_refused(over, option, "300.000000001s", rule).await;
}

#[tokio::test]
async fn the_request_timeout_is_positive_and_at_most_24_h_or_none() {
    let (option, rule) = ("request_timeout", "must be positive and at most 24 h");
    assert_valid(|serve| serve.request_timeout(Some(NS))).await;
    assert_valid(|serve| serve.request_timeout(Some(24 * HOUR))).await;
    assert_valid(|serve| serve.request_timeout(None)).await;
    let none: Configure = |serve| serve.request_timeout(Some(Duration::ZERO));
    assert_refused(none, option, "0ns", rule).await;
    let over: Configure = |serve| serve.request_timeout(Some(24 * HOUR + NS));
    assert_refused(over, option, "86400.000000001s", rule).await;
}

#[tokio::test]
async fn the_drain_timeout_is_positive_and_at_most_1_h() {
    let (option, rule) = ("drain_timeout", "must be positive and at most 1 h");
    assert_valid(|serve| serve.drain_timeout(NS)).await;
    assert_valid(|serve| serve.drain_timeout(HOUR)).await;
    assert_refused(|serve| serve.drain_timeout(Duration::ZERO), option, "0ns", rule).await;
    let over: Configure = |serve| serve.drain_timeout(HOUR + NS);
    assert_refused(over, option, "3600.000000001s", rule).await;
}

#[tokio::test]
async fn at_least_1_connection_may_be_pending() {
    let rule = "must be at least 1";
    assert_valid(|serve| serve.max_pending_per_addr(1)).await;
    assert_valid(|serve| serve.max_pending_per_addr(usize::MAX)).await;
    assert_refused(|serve| serve.max_pending_per_addr(0), "max_pending_per_addr", "0", rule).await;
}

#[tokio::test]
async fn the_limits_of_a_head_are_those_of_the_server() {
    let rule = "must be at least 1024 and at most 1048576 (1 MiB)";
    let option = "max_request_header_bytes";
    assert_valid(|serve| serve.max_request_header_bytes(1024).max_request_headers(5)).await;
    assert_valid(|serve| serve.max_request_header_bytes(1 << 20).max_request_headers(1024)).await;
    assert_refused(|serve| serve.max_request_header_bytes(1023), option, "1023", rule).await;
    let over: Configure = |serve| serve.max_request_header_bytes((1 << 20) + 1);
    assert_refused(over, option, "1048577", rule).await;
    let (option, rule) = ("max_request_headers", "must be at least 5 and at most 1024");
    assert_refused(|serve| serve.max_request_headers(4), option, "4", rule).await;
    assert_refused(|serve| serve.max_request_headers(1025), option, "1025", rule).await;
}

#[tokio::test]
async fn the_tcp_keepalive_is_1_s_to_9_h_or_none() {
    let (option, rule) = ("tcp_keepalive", "must be at least 1 s and at most 9 h");
    assert_valid(|serve| serve.tcp_keepalive(Some(SECOND))).await;
    assert_valid(|serve| serve.tcp_keepalive(Some(9 * HOUR))).await;
    assert_valid(|serve| serve.tcp_keepalive(None)).await;
    let under: Configure = |serve| serve.tcp_keepalive(Some(Duration::from_nanos(999_999_999)));
    assert_refused(under, option, "999.999999ms", rule).await;
    let over: Configure = |serve| serve.tcp_keepalive(Some(9 * HOUR + NS));
    assert_refused(over, option, "32400.000000001s", rule).await;
}

#[tokio::test]
async fn the_tcp_user_timeout_is_1_s_to_24_h_or_none() {
    let (option, rule) = ("tcp_user_timeout", "must be at least 1 s and at most 24 h");
    assert_valid(|serve| serve.tcp_user_timeout(Some(SECOND))).await;
    assert_valid(|serve| serve.tcp_user_timeout(Some(24 * HOUR))).await;
    assert_valid(|serve| serve.tcp_user_timeout(None)).await;
    let under: Configure = |serve| serve.tcp_user_timeout(Some(Duration::from_nanos(999_999_999)));
    assert_refused(under, option, "999.999999ms", rule).await;
    let over: Configure = |serve| serve.tcp_user_timeout(Some(24 * HOUR + NS));
    assert_refused(over, option, "86400.000000001s", rule).await;
}
