//! No more sessions wait for their clients at once than may: one more ends as if it could not wait.

use tokio::task::yield_now;
use tokio::time::sleep;
use wspulse::testing::Recorder;
use wspulse::{ConnectionState, Disconnect, DisconnectReason, TransportLost};

use crate::support::clients::{Client, dial, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::Stage;

fn limited_to(sessions: usize) -> Stage {
    Stage::new(|builder| builder.resume_window(WINDOW).max_suspended(sessions))
}

#[tokio::test(start_paused = true)]
async fn as_many_sessions_as_the_limit_wait_for_their_clients() {
    let mut stage = limited_to(2);
    for id in ["ann", "bob"] {
        drop(stage.join(id).await);
        assert!(matches!(stage.dropped().await, TransportLost::EndOfStream));
    }
    let mut back = Vec::new();
    for id in ["ann", "bob"] {
        stage.server.send(id, numbered(1)).unwrap();
        let (mut client, _) = stage.rejoin(id).await;
        assert_eq!(numbers(&mut client, 1).await, [1]);
        back.push(client);
    }
}

#[tokio::test(start_paused = true)]
async fn one_more_ends_at_once_with_its_cause_and_others_do_not_notice() {
    let mut stage = limited_to(1);
    let (mut good, _) = stage.join("good").await;
    let (ann, ann_waits) = stage.join("ann").await;
    let (bob, bob_ends) = stage.join("bob").await;
    drop(ann);
    stage.dropped().await;
    drop(bob);
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::SuspendedLimit(TransportLost::EndOfStream)), "{end:?}");
    assert_eq!(bob_ends.state(), ConnectionState::Closed);
    assert_eq!(ann_waits.state(), ConnectionState::Suspended);
    stage.server.broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(numbers(&mut good, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_makes_room_for_another() {
    let mut stage = limited_to(1);
    let (bob, _) = stage.join("bob").await;
    drop(stage.join("ann").await);
    stage.dropped().await;
    let _ann = stage.rejoin("ann").await;
    drop(bob);
    stage.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_window_passes_or_that_is_kicked_makes_room_for_another() {
    let mut stage = limited_to(1);
    for id in ["ann", "bob", "cid"] {
        drop(stage.join(id).await);
        stage.dropped().await;
        if id == "ann" {
            sleep(WINDOW).await;
        } else {
            stage.server.kick(id).unwrap();
        }
        stage.disconnected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_moves_to_a_new_transport_needs_no_place() {
    let mut stage = Stage::new(|builder| {
        let moves = wspulse::DuplicatePolicy::Resume;
        builder.resume_window(WINDOW).max_suspended(1).duplicates(moves)
    });
    let (bob, _) = stage.join("bob").await;
    drop(bob);
    stage.dropped().await;
    let (_old, _) = stage.join("ann").await;
    let _new = dial(&stage.server, "ann").await;
    assert!(matches!(stage.dropped().await, TransportLost::Superseded));
    stage.restored().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_has_a_label_and_the_limit_is_counted() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).max_suspended(1).metrics(metrics));
    for id in ["ann", "bob"] {
        drop(stage.join(id).await);
        stage.next().await;
    }
    let closed = recorder.only("connection_closed");
    assert_eq!(closed, ["connection_closed lobby bob 0ns suspended_limit"]);
    assert_eq!(recorder.only("limit_reached"), ["limit_reached max_suspended"]);
    assert_eq!(DisconnectReason::SuspendedLimit.as_str(), "suspended_limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_lost_transports_leaves_exactly_as_many_waiting() {
    const CLIENTS: usize = 64;
    const LIMIT: usize = 10;
    let stage = limited_to(LIMIT);
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..CLIENTS {
        clients.push(dial(&stage.server, &number.to_string()).await);
    }
    for client in clients {
        tokio::spawn(async move { drop(client) });
    }
    let server = &stage.server;
    let suspended = || {
        let all = server.all_connections();
        all.iter().filter(|it| it.state() == ConnectionState::Suspended).count()
    };
    while server.connection_count() > LIMIT || suspended() < LIMIT {
        assert!(suspended() <= LIMIT);
        yield_now().await;
    }
    // All of them may come back, and then wait again.
    for connection in server.all_connections() {
        drop(dial(server, connection.id()).await);
    }
    while suspended() < LIMIT {
        yield_now().await;
    }
    assert_eq!(server.connection_count(), LIMIT);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_frees_all_places() {
    let mut stage = limited_to(1);
    drop(stage.join("ann").await);
    stage.dropped().await;
    stage.server.close().await;
    assert!(matches!(stage.disconnected().await, Disconnect::ServerClosed));
    settle().await;
    assert_eq!(stage.server.connection_count(), 0);
}
