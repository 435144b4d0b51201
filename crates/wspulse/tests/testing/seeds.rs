//! A seed plays a life again, to the line.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use wspulse::testing::{Dice, TestServer, play};
use wspulse::{Admission, Delivery, DuplicatePolicy, Frame, Server, ServerBuilder};

/// How many frames a life has.
const FRAMES: u64 = 8;

fn builder() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_message(|conn, frame| drop(conn.send(frame)))
        .resume_window(Duration::from_mins(5))
        .duplicates(DuplicatePolicy::Resume)
        .delivery(Delivery::AtLeastOnce)
}

/// A life whose link fails again and again; returns its trace.
async fn life(mut dice: Dice) -> String {
    let test = TestServer::new(builder()).unwrap();
    let mut ann = test.client("ann").connect("/ws").await;
    for number in 0..FRAMES {
        test.server().send("ann", Frame::new("n").json(&number).unwrap()).unwrap();
        dice.disturb(ann.link()).await;
        ann.reconnect().await;
    }
    for number in 0..FRAMES {
        ann.expect_json("n", number).await;
    }
    test.trace().to_string()
}

#[test]
fn a_seed_replays_a_life_to_the_line() {
    let once = play(30, life);
    let again = play(30, life);
    assert_eq!(once, again);
    let distinct: std::collections::HashSet<_> = once.iter().collect();
    assert_eq!(distinct.len(), once.len(), "each seed is a life of its own");
}

#[test]
fn a_life_that_fails_says_its_seed() {
    let played = catch_unwind(AssertUnwindSafe(|| {
        play(10, |dice| async move { assert_ne!(dice.seed(), 3, "of all numbers") })
    }));
    let failed = played.expect_err("it fails");
    let text = failed.downcast_ref::<String>().expect("a text");
    assert_eq!(text, "the life of seed 3 has failed: WSPULSE_SEED=3 plays it again");
}

#[test]
fn the_numbers_of_a_seed_are_those_of_splitmix64() {
    // The first of seed 1234567, as published with the algorithm.
    let mut dice = Dice::new(1_234_567);
    assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
    assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
}
