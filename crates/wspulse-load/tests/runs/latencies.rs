//! From when latencies are counted.

use std::time::Duration;

use crate::support::{listen, load, repeat_on, value};

/// How long the server reads nothing. It is what is measured, and waits for nothing.
const STALL: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_is_charged_for_each_message_that_was_due_meanwhile() {
    let address = listen(|stream| async move {
        let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
        tokio::time::sleep(STALL).await;
        repeat_on(socket, |_| 1).await;
    })
    .await;

    let file = "fan-out = \"echo\"\nclients = 1\nrate = 100.0\nduration = \"200ms\"";
    let outcome = load(&format!("ws://{address}/"), file).await.expect("a run");

    // All 20 were due within 200 ms, and none came before 300 ms: the last but one waited for 100.
    assert!(value(&outcome, "latency.max") > 250_000.0, "{outcome:?}");
    assert!(value(&outcome, "latency.p50") > 150_000.0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_moment_of_a_run_has_its_latencies() {
    let url = crate::support::repeat(|_| 1).await;

    let outcome = load(&url, "fan-out = \"echo\"").await.expect("a run");

    assert!(outcome.moments.iter().any(|moment| moment.p99_micros.is_some()), "{outcome:?}");
    let last = outcome.moments.last().expect("a moment");
    assert_eq!((last.sent, last.received), (60, 60));
}
