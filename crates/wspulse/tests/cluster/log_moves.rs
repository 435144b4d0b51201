//! Sessions that go on at another server go on in the logs of their rooms.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::cluster::AppendId;
use wspulse::testing::Dice;
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::{AppendError, Frame, RoomOptions, Server, ServerBuilder};
use wspulse_core::protocol::SessionKind;

use super::cluster_of;
use super::support::clients::{dial, hears_nothing};
use super::support::clock::settle;
use super::support::speaker::Speaker;
use super::traveller::{Traveller, come_somewhere, exactly_once};

fn logged() -> ServerBuilder {
    exactly_once().logged_rooms(|room| room == "lobby")
}

fn logged_with_history() -> ServerBuilder {
    logged().room_options(|_| RoomOptions::new().history(20, Duration::from_hours(1)))
}

/// With one id, until it is there.
async fn append(server: &Server, event: &str) {
    let (room, id) = (server.room("lobby"), AppendId::random());
    let within = Duration::from_millis(300);
    loop {
        match room.append(Frame::new(event)).with_id(id).within(within).await {
            Ok(_) => return,
            Err(AppendError::Unavailable { .. } | AppendError::Unknown { .. }) => {
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_in_a_log_where_it_was_whether_others_are_there_or_not() {
    for builder in [logged, logged_with_history] {
        let servers = cluster_of(&MemoryNetwork::new(), 3, builder).await;
        let mut ann = Traveller::begin(&servers[0]).await;
        let mut bob = dial(&servers[2], "bob").await;
        settle().await;
        let mut said = 0;
        for place in [1, 2, 0, 2, 1] {
            for _ in 0..3 {
                append(&servers[place], &said.to_string()).await;
                said += 1;
            }
            // Some of it waits here, and some is said before it is there.
            if place != 2 {
                assert_eq!(ann.next().await, (said - 3).to_string());
            }
            ann.comes_to(&servers[place]).await;
            while ann.had < said {
                let had = ann.had;
                assert_eq!(ann.next().await, had.to_string());
            }
        }
        for number in 0..said {
            assert_eq!(bob.frame().await.unwrap().event(), number.to_string());
        }
        hears_nothing(&mut bob).await;
        append(&servers[0], "last").await;
        assert_eq!(ann.next().await, "last");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_while_a_session_is_nowhere_waits_for_it_in_the_log() {
    let servers = cluster_of(&MemoryNetwork::new(), 2, logged).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    settle().await;
    append(&servers[1], "0").await;
    assert_eq!(ann.next().await, "0");
    // Its client is away, and its session is not taken along before it is back.
    for number in 1..50 {
        append(&servers[1], &number.to_string()).await;
    }
    ann.comes_to(&servers[1]).await;
    for number in 1..50 {
        assert_eq!(ann.next().await, number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_server_has_died_begins_anew_with_the_history_of_its_room() {
    let network = MemoryNetwork::new();
    let (first, engine) = super::node(&network, logged_with_history());
    let (second, _) = super::node(&network, logged_with_history());
    super::know_each_other(&[first.clone(), second.clone()]).await;
    let ann = Traveller::begin(&first).await;
    settle().await;
    append(&first, "acknowledged").await;
    // As by SIGKILL: nobody hears of it any more.
    engine.interrupt();
    sleep(Duration::from_secs(5)).await;
    let (mut speaker, hello) =
        Speaker::resume(&second, "/ws?id=ann&room=lobby", &ann.hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::New, "it hears that its session is gone");
    assert_eq!(speaker.hear().await, super::support::speaker::frame("acknowledged"));
}

/// Three servers append while nothing goes right, and a client goes from one to the next.
async fn life(mut dice: Dice) {
    const EACH: usize = 60;
    let seed = dice.seed();
    let network = MemoryNetwork::with_faults(seed, NetworkFaults::NONE);
    let builder = if seed.is_multiple_of(2) { logged } else { logged_with_history };
    let servers = cluster_of(&network, 3, builder).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    let _bob = dial(&servers[1], "bob").await;
    settle().await;
    // A server of which three beats in a row are lost is taken for dead, so few are.
    let mut faults = NetworkFaults::ALL;
    faults.interrupted_per_mille = 0;
    network.set_faults(faults);
    let appends = servers.iter().cloned().enumerate().map(|(place, server)| {
        let pause = dice.time(Duration::ZERO..Duration::from_millis(20));
        tokio::spawn(async move {
            for number in 0..EACH {
                append(&server, &format!("{place} {number}")).await;
                sleep(pause).await;
            }
        })
    });
    let appends: Vec<_> = appends.collect();
    let (mut heard, mut next) = (Vec::new(), 1);
    while heard.len() < 3 * EACH {
        heard.push(ann.next().await);
        if ann.had.is_multiple_of(13) {
            come_somewhere(&mut ann, &servers, next).await;
            next += 1;
        }
    }
    for appending in appends {
        appending.await.unwrap();
    }
    network.set_faults(NetworkFaults::NONE);
    let kept = servers[0].room("lobby").history(1_000).await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|it| it.frame.unwrap().event().to_owned()).collect();
    assert_eq!(kept.len(), 3 * EACH);
    assert_eq!(heard, kept, "seed {seed}");
}

#[test]
fn a_client_that_goes_from_server_to_server_hears_a_log_once_and_in_its_order_whatever_goes_wrong()
{
    wspulse::testing::play(20, life);
}
