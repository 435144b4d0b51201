//! A transport that the application cuts is gone like one that the network has lost.

use wspulse::testing::Received;
use wspulse::{ConnectionState, Disconnect, Frame, TransportLost};

use crate::support::clients::{dial, named};
use crate::support::clock::settle;
use crate::support::stage::Stage;

#[tokio::test(start_paused = true)]
async fn a_cut_session_waits_for_its_client() {
    let mut stage = Stage::resuming();
    let (mut ann, connection) = stage.join("ann").await;
    connection.cut();
    assert!(matches!(stage.dropped().await, TransportLost::Cut));
    assert_eq!(connection.state(), ConnectionState::Suspended);
    // Not even a close frame: as if the network had failed.
    assert_eq!(ann.receive().await.unwrap(), Received::End);

    connection.send(Frame::new("missed")).unwrap();
    let (mut ann, same) = stage.rejoin("ann").await;
    assert_eq!(same, connection);
    assert_eq!(ann.frame().await.unwrap().event(), "missed");
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_without_a_window_ends() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    connection.cut();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::Cut)), "{end:?}");
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_cut_of_a_suspended_or_ended_connection_does_nothing() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection.cut();
    // Not the next transport either.
    let (mut ann, _) = stage.rejoin("ann").await;
    connection.send(named(1)).unwrap();
    assert_eq!(ann.frame().await.unwrap(), named(1));
    stage.is_silent().await;

    connection.close();
    stage.disconnected().await;
    connection.cut();
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_transport_is_lent_is_cut_when_it_is_back() {
    let mut stage = Stage::resuming();
    let mut clients = Vec::new();
    for number in 0..40 {
        clients.push(dial(&stage.server, &number.to_string()).await);
        stage.connected().await;
    }
    settle().await;
    stage.server.broadcast("lobby", named(1)).unwrap();
    stage.server.connection("7").unwrap().cut();
    assert!(matches!(stage.dropped().await, TransportLost::Cut));
    for (_, client) in clients.iter_mut().enumerate().filter(|(number, _)| *number != 7) {
        assert_eq!(client.frame().await.unwrap(), named(1));
    }
}
