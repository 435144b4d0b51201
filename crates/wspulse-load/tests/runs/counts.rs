//! What is counted, and what is said of it.

use crate::support::{assert_count, load, plan, repeat, value};

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_of_any_server_is_a_copy() {
    let url = repeat(|_| 1).await;

    let outcome = load(&url, "fan-out = \"echo\"").await.expect("a run");

    assert_count(&outcome, "due", 60);
    assert_count(&outcome, "received", 60);
    assert!(outcome.latency_micros_by_percentile.len() > 5, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_back_is_lost() {
    let url = repeat(|number| number % 2).await;

    let file = "fan-out = \"echo\"\nsettle = \"300ms\"";
    let outcome = load(&url, file).await.expect("a run");

    assert_count(&outcome, "lost", 30);
    assert_count(&outcome, "lost.percent", 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_is_received_once_and_a_duplicate() {
    let url = repeat(|_| 2).await;

    let outcome = load(&url, "fan-out = \"echo\"\nclients = 1").await.expect("a run");

    assert_count(&outcome, "received", 10);
    // The last one's second copy may still be on its way when all have come once.
    assert!(value(&outcome, "duplicates") >= 9.0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_as_long_as_it_should_be() {
    let url = repeat(|_| 1).await;

    let file = "fan-out = \"echo\"\nclients = 1\nmessage-bytes = 1000";
    let outcome = load(&url, file).await.expect("a run");

    assert_count(&outcome, "bytes.sent", 10_000);
    assert_count(&outcome, "bytes.received", 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_messages_only_connects() {
    let url = repeat(|_| 1).await;

    let outcome = load(&url, "rate = 0.0").await.expect("a run");

    assert_count(&outcome, "connected", 6);
    assert_count(&outcome, "due", 0);
    assert_eq!(outcome.value("latency.p99"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_passes_nothing_on_is_a_reason_to_look_at_the_plan() {
    let url = repeat(|_| 0).await;

    let file = "fan-out = \"echo\"\nsettle = \"0s\"";
    let outcome = load(&url, file).await.expect("a run");

    assert!(outcome.notes.iter().any(|note| note.contains("`fan-out`")), "{:?}", outcome.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_required_is_met_or_missed() {
    let url = repeat(|_| 1).await;

    let file = "fan-out = \"echo\"\nrequire = [\"lost = 0\", \"latency.p50 < 1us\"]";
    let outcome = load(&url, file).await.expect("a run");

    let met: Vec<_> = outcome.verdicts.iter().map(|verdict| verdict.is_met).collect();
    assert_eq!(met, [true, false]);
    assert!(!outcome.is_met());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_reports_what_there_was() {
    let url = repeat(|_| 1).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);

    let plan = plan(&url, "fan-out = \"echo\"\nduration = \"10min\"");
    let stopped = async { stopped.await.expect("it is stopped") };
    let outcome = wspulse_load::run(plan, stopped, move |moment| {
        if moment.received > 0
            && let Some(stop) = stop.take()
        {
            let _ = stop.send(());
        }
    });
    let outcome = outcome.await.expect("a run");

    assert_eq!(outcome.ending, wspulse_load::Ending::Stopped);
    assert!(value(&outcome, "received") > 0.0);
    assert_count(&outcome, "lost", 0);
}
