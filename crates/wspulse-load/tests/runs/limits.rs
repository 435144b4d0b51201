//! What the system allows.

use crate::support::{assert_count, load, repeat};

#[tokio::test(flavor = "multi_thread")]
async fn clients_connect_from_the_addresses_that_they_are_given() {
    let url = repeat(|_| 1).await;

    let outcome = load(&url, "fan-out = \"echo\"\nsource = [\"127.0.0.1\"]").await.expect("a run");

    assert_count(&outcome, "connected", 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_of_this_machine_is_told_with_what_to_do() {
    let url = repeat(|_| 1).await;

    // An address that is for documents (RFC 5737).
    let file = "attempts = 0\nsource = [\"192.0.2.1\"]";
    let error = load(&url, file).await.expect_err("nobody is ready").to_string();

    assert!(error.contains("--source"), "{error}");
}
