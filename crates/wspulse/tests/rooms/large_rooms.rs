//! Large rooms wake their members in waves: nobody waits behind a whole room, nobody is left out.

use std::time::Duration;

use futures_util::FutureExt;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::{Builder, Runtime};
use wspulse::testing::request_parts;
use wspulse::{Admission, Frame};

use crate::support::clients::{dial_room, named};
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::taker::Taker;

#[tokio::test(start_paused = true)]
async fn a_message_to_another_room_does_not_wait_for_a_large_rooms_broadcast() {
    const MEMBERS: usize = 2000;
    let server = open_house().build().unwrap();
    let (large, small) = (Taker::default(), Taker::default());
    for id in 0..MEMBERS {
        large.join(&server, "large", &id.to_string()).await;
    }
    small.join(&server, "small", &MEMBERS.to_string()).await;
    settle().await;

    server.broadcast("large", named(1)).unwrap();
    server.broadcast("small", named(1)).unwrap();
    while small.writes() == 0 {
        tokio::task::yield_now().await;
    }
    let before = large.writes();
    assert!(before <= MEMBERS / 10, "{before} members were served before");
    settle().await;
    assert_eq!(large.writes(), MEMBERS);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn broadcasts_that_come_while_a_large_room_is_served_share_writes() {
    const MEMBERS: usize = 2000;
    let server = open_house().build().unwrap();
    let taker = Taker::default();
    for id in 0..MEMBERS {
        taker.join(&server, "large", &id.to_string()).await;
    }
    settle().await;

    server.broadcast("large", named(1)).unwrap();
    while taker.writes() == 0 {
        tokio::task::yield_now().await;
    }
    server.broadcast("large", named(2)).unwrap();
    settle().await;
    let writes = taker.writes();
    assert!(writes <= MEMBERS + MEMBERS / 10, "{writes} writes of 2 messages to {MEMBERS}");
    for connection in server.connections("large") {
        assert_eq!(connection.outbound_stats().sent, 2);
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_leave_nobody_unserved() {
    let server = open_house().build().unwrap();
    let taker = Taker::default();
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut next_id = 0;
    for _ in 0..300 {
        taker.join(&server, "large", &next_id.to_string()).await;
        next_id += 1;
    }
    for number in 0..500 {
        server.broadcast("large", named(number)).unwrap();
        for _ in 0..random.random_range(0..6) {
            tokio::task::yield_now().await;
        }
        for _ in 0..random.random_range(0..4) {
            let id = random.random_range(0..next_id);
            // It may be gone already.
            let _ = server.kick(&id.to_string());
        }
        for _ in 0..random.random_range(0..4) {
            taker.join(&server, "large", &next_id.to_string()).await;
            next_id += 1;
        }
    }
    settle().await;
    let connections = server.connections("large");
    assert!(!connections.is_empty());
    for connection in connections {
        let stats = connection.outbound_stats();
        assert_eq!((stats.pending, stats.dropped), (0, 0), "{} of seed {seed}", connection.id());
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_room_that_empties_and_fills_again_is_served() {
    let server = open_house().build().unwrap();
    for round in 0..3 {
        let taker = Taker::default();
        for id in 0..200 {
            taker.join(&server, "large", &id.to_string()).await;
        }
        settle().await;
        server.broadcast("large", named(round)).unwrap();
        settle().await;
        assert_eq!(taker.writes(), 200);
        for id in 0..200 {
            server.kick(&id.to_string()).unwrap();
        }
        settle().await;
        assert_eq!(server.room_count(), 0);
    }
    server.close().await;
}

fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// The kind: a guard that is made inside an async block exists only once that is polled.
#[test]
fn waves_that_are_dropped_before_their_first_poll_leave_nobody_unserved() {
    /// As many as a room can have without waves.
    const MEMBERS: usize = 32;
    let (lasting, ending) = (paused_runtime(), paused_runtime());
    let server = open_house().build().unwrap();
    let taker = Taker::default();
    lasting.block_on(async {
        for id in 0..MEMBERS {
            taker.join(&server, "large", &id.to_string()).await;
        }
        settle().await;
    });
    {
        let _inside = ending.enter();
        let handshake = server.handshake(request_parts("/ws")).unwrap();
        let admitted = handshake.admit(Admission::room("large").id("last")).now_or_never();
        drop(admitted.expect("alone, it waits for nobody").unwrap());
    }
    drop(ending);
    lasting.block_on(async {
        server.broadcast("large", named(1)).unwrap();
        settle().await;
        assert_eq!(taker.writes(), MEMBERS);
        server.close().await;
    });
}

#[tokio::test(start_paused = true)]
async fn whoever_has_replied_is_in_the_answer_however_many_have_while_one_is_silent() {
    // More than a task may look at in one poll.
    const MEMBERS: usize = 500;
    let server = open_house().build().unwrap();
    let mut clients = Vec::new();
    for id in 0..MEMBERS {
        clients.push(dial_room(&server, "large", &id.to_string()).await);
    }
    settle().await;
    let asking = server.room("large").request(Frame::new("who")).within(Duration::from_secs(5));
    let asking = tokio::spawn(asking);
    for client in &mut clients[1..] {
        let question = client.frame().await.unwrap();
        client.send(&Frame::new("reply").with_id(question.id())).await.unwrap();
    }
    let answers = asking.await.unwrap().unwrap();
    let unanswered = answers.iter().filter(|(_, answer)| answer.is_err());
    let silent: Vec<_> = unanswered.map(|(member, _)| member.id()).collect();
    assert_eq!(silent, ["0"]);
}
