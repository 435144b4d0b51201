//! What a server counts while somebody watches it.

use std::time::Duration;

use tokio::time::advance;
use wspulse::metrics::Totals;
use wspulse::testing::TestClient;
use wspulse::{DropReason, Frame};

use crate::support::clients::{dial, named};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::{echo, open_house};

#[tokio::test(start_paused = true)]
async fn a_server_counts_while_it_is_watched_and_no_longer() {
    let server = echo().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    for round in 1..=3 {
        ann.send(&Frame::new("n")).await.unwrap();
        ann.frame().await.unwrap();
        settle().await;
        // The echo before this watch is in nobody's count.
        let watch = server.watch();
        assert_eq!(watch.totals().received, round - 1);
        ann.send(&Frame::new("n")).await.unwrap();
        ann.frame().await.unwrap();
        settle().await;
        let Totals { received, received_bytes, sent, sent_bytes, .. } = watch.totals();
        assert_eq!((received, sent), (round, round));
        let frame_bytes = r#"{"event":"n"}"#.len() as u64;
        assert_eq!((received_bytes, sent_bytes), (round * frame_bytes, round * frame_bytes));
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_watch_see_the_same_and_the_last_one_ends_it() {
    let server = open_house().build().unwrap();
    let _ann = dial(&server, "ann").await;
    let (first, second) = (server.watch(), server.watch());
    server.broadcast("lobby", named(1)).unwrap();
    assert_eq!(first.totals(), second.totals());
    drop(first);
    server.broadcast("lobby", named(2)).unwrap();
    let Totals { broadcasts, fan_out, .. } = second.totals();
    assert_eq!((broadcasts, fan_out), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn drops_are_counted_by_reason_and_sessions_by_what_becomes_of_them() {
    let server = open_house().resume_window(WINDOW).send_buffer_size(1).build().unwrap();
    let watch = server.watch();
    drop(dial(&server, "ann").await);
    settle().await;
    for number in 1..=3 {
        server.broadcast("lobby", named(number)).unwrap();
    }
    let totals = watch.totals();
    assert_eq!(totals.dropped(DropReason::Evicted), 2);
    assert_eq!(totals.dropped(DropReason::Ended), 0);
    let _ann = dial(&server, "ann").await;
    settle().await;
    let Totals { suspended, resumed, .. } = watch.totals();
    assert_eq!((suspended, resumed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_a_tapped_connection_is_timed_until_its_socket_has_taken_it() {
    let server = open_house().build().unwrap();
    let mut ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    let _bob = dial(&server, "bob").await;
    let _tap = server.connection("ann").unwrap().tap(1);
    let watch = server.watch();
    settle().await;
    server.broadcast("lobby", Frame::new("longer than what fits")).unwrap();
    settle().await;
    advance(Duration::from_millis(300)).await;
    ann.frame().await.unwrap();
    settle().await;
    // Bob, whom nobody taps, is not timed.
    let counted: Vec<_> =
        watch.totals().fan_out_latency.counts().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Some(Duration::from_millis(500)), 1)]);
}

#[tokio::test(start_paused = true)]
async fn one_broadcast_in_a_while_is_timed() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let _tap = server.connection("ann").unwrap().tap(1);
    let watch = server.watch();
    for number in 0..100 {
        server.broadcast("lobby", named(number)).unwrap();
        ann.frame().await.unwrap();
        advance(Duration::from_millis(10)).await;
    }
    let timed: u64 = watch.totals().fan_out_latency.counts().map(|(_, count)| count).sum();
    assert!((15..=20).contains(&timed), "{timed} in a second");
}
