//! Time is the test's: what takes long takes none.

use std::time::Duration;

use tokio::time::Instant;
use wspulse::testing::TestServer;
use wspulse::{Admission, CallbackKind, Disconnect, Server, ServerBuilder};

const GRACE: Duration = Duration::from_secs(30);

/// How much real time that may take.
const REAL_MAX: Duration = Duration::from_millis(5);

/// How often it is tried. The machine may have something else to do at any one time.
const TRIES: u32 = 50;

fn builder() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann"))).resume_window(GRACE)
}

/// Cuts a client off and waits for its session to end: how much time that takes, on the test's
/// clock and in truth.
async fn grace_period() -> (Duration, Duration) {
    let test = TestServer::new(builder()).unwrap().patience(2 * GRACE);
    let ann = test.client("ann").connect("/ws").await;
    let (virtual_at, real_at) = (Instant::now(), std::time::Instant::now());
    ann.link().cut();
    let end = test.callbacks().expect_disconnect("ann").await;
    assert!(matches!(end, Disconnect::GraceExpired { .. }), "{end:?}");
    (virtual_at.elapsed(), real_at.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_grace_period_of_30_s_passes_within_5_ms() {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let (by_the_clock, real) = grace_period().await;
        assert!((GRACE..GRACE + GRACE / 100).contains(&by_the_clock), "{by_the_clock:?}");
        shortest = shortest.min(real);
        if shortest <= REAL_MAX {
            println!("{by_the_clock:?} on the test's clock took {real:?}");
            return;
        }
    }
    panic!("{GRACE:?} took {shortest:?} at the least, of {TRIES} times");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_in_a_time_that_passes_happens_in_its_order() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws").await;
    ann.link().cut();
    test.pass(Duration::from_secs(29)).await;
    test.callbacks().expect_transport_drop("ann").await;
    test.callbacks().refute(CallbackKind::Disconnect, "ann").await;
    test.pass(Duration::from_secs(1)).await;
    assert_eq!(test.server().connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_answers_pings_however_long_it_says_nothing() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws").await;
    test.pass(Duration::from_hours(3)).await;
    test.callbacks().refute(CallbackKind::TransportDrop, "ann").await;
    ann.ignore_pings();
    test.pass(Duration::from_mins(1)).await;
    test.callbacks().expect_transport_drop("ann").await;
}

#[tokio::test]
#[should_panic(expected = "start_paused = true")]
async fn a_time_that_passes_in_truth_fails_the_test() {
    let test = TestServer::new(builder()).unwrap();
    test.pass(Duration::from_secs(1)).await;
}
