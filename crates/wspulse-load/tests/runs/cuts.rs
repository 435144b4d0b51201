//! Connections that are cut, and clients that come back.

use crate::support::{assert_count, load, repeat, rooms, value};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed_and_lose_nothing() {
    let url = rooms().await;

    let file = "protocol = \"wspulse.1\"\ncut-every = \"100ms\"\nbackoff = \"1ms\"";
    let outcome = load(&url, file).await.expect("a run");

    assert!(value(&outcome, "sessions.resumed") > 0.0, "{outcome:?}");
    assert!(value(&outcome, "reconnect.max") > 0.0);
    assert_count(&outcome, "lost", 0);
    assert_count(&outcome, "duplicates", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_connections_come_back_as_new_ones() {
    let url = repeat(|_| 1).await;

    let file = "fan-out = \"echo\"\ncut-every = \"100ms\"\nbackoff = \"1ms\"\nsettle = \"100ms\"";
    let outcome = load(&url, file).await.expect("a run");

    assert!(value(&outcome, "sessions.renewed") > 0.0, "{outcome:?}");
    assert_count(&outcome, "sessions.resumed", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_may_not_come_back_send_no_more() {
    let url = repeat(|_| 1).await;

    let file = "fan-out = \"echo\"\ncut-every = \"50ms\"\nattempts = 0\nsettle = \"0s\"";
    let outcome = load(&url, file).await.expect("a run");

    assert!(value(&outcome, "unsent") > 0.0, "{outcome:?}");
    assert!(outcome.notes.iter().any(|note| note.contains("not sent")), "{:?}", outcome.notes);
    let accounted = value(&outcome, "sent") + value(&outcome, "unsent");
    assert!((accounted - value(&outcome, "due")).abs() < 0.5, "{outcome:?}");
}
