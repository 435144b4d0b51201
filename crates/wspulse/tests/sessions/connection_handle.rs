//! A handle to a connection works as long as somebody holds it, and tells when the connection ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use wspulse::testing::{Received, TestClient};
use wspulse::{
    Admission, CloseCode, CloseFrame, Connection, ConnectionState, Disconnect, Frame, SendError,
    Server,
};

use crate::support::clients::{dial, numbered, numbers};
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::stage::Stage;

#[tokio::test(start_paused = true)]
async fn a_handle_knows_its_id_room_server_and_data() {
    let server = Server::builder_sync(|_| Ok(Admission::room("hall").id("ann").data(7_u32)))
        .build()
        .unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    let connection = server.connection("ann").unwrap();
    assert_eq!((connection.id(), connection.room_id()), ("ann", "hall"));
    assert_eq!(connection.room().id(), "hall");
    assert_eq!(connection.data::<u32>(), Some(&7));
    assert_eq!(connection.data::<String>(), None);
    connection.server().send("ann", numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_an_id_gets_a_random_uuid() {
    let mut stage = Stage::plain();
    let mut seen = Vec::new();
    let mut clients = Vec::new();
    for target in ["/ws", "/ws", "/ws?id="] {
        clients.push(TestClient::connect(&stage.server, target).await.unwrap());
        let id = stage.connected().await.id().to_owned();
        let dashes: Vec<_> = id.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!((id.len(), dashes), (36, vec![8, 13, 18, 23]));
        assert_eq!(&id[14..15], "4", "version 4: {id}");
        assert!(!seen.contains(&id));
        seen.push(id);
    }
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_found_before_its_transport_is_there() {
    let stage = Stage::plain();
    let mut ann = dial(&stage.server, "ann").await;
    // Its task has not run yet.
    let connection = stage.server.connection("ann").unwrap();
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert_eq!(stage.server.connections("lobby"), [connection]);
    stage.server.send("ann", numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn close_removes_at_once_then_tells_the_peer() {
    let mut stage = Stage::resuming();
    let (mut ann, connection) = stage.join("ann").await;
    connection.close();
    assert_eq!(connection.state(), ConnectionState::Closed);
    assert!(stage.server.connections("lobby").is_empty());
    assert!(matches!(stage.server.send("ann", numbered(1)), Err(SendError::NotFound { .. })));
    assert_eq!(ann.closed().await.unwrap(), Some(CloseFrame::new(CloseCode::NORMAL, "")));
    assert!(matches!(stage.disconnected().await, Disconnect::Closed));
}

#[tokio::test(start_paused = true)]
async fn close_flushes_what_was_accepted_before_it() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    connection.close();
    assert_eq!(numbers(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
    assert!(matches!(ann.receive().await.unwrap(), Received::Close(Some(_))));
}

#[tokio::test(start_paused = true)]
async fn close_counts_once() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    connection.close();
    connection.close();
    connection.clone().close();
    assert!(matches!(stage.disconnected().await, Disconnect::Closed));
    ann.closed().await.unwrap();
    connection.close();
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn disconnect_does_not_wait_for_the_peer() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(1)).unwrap();
    let before = Instant::now();
    connection.close();
    stage.disconnected().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_old_handle_does_not_touch_the_new_connection() {
    let mut stage = Stage::plain();
    let (_first, old) = stage.join("ann").await;
    old.close();
    stage.disconnected().await;
    let (mut second, new) = stage.join("ann").await;
    old.close();
    assert!(matches!(old.send(numbered(1)), Err(SendError::Closed { .. })));
    new.send(numbered(2)).unwrap();
    assert_eq!(numbers(&mut second, 1).await, [2]);
    assert_ne!(old, new);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_send_after_the_end_gives_the_frame_back_whether_it_can_be_encoded_or_not() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    connection.close();
    for frame in [numbered(1), Frame::new("n").with_payload("{")] {
        let refused = connection.send(frame.clone()).unwrap_err();
        assert!(matches!(refused, SendError::Closed { .. }));
        assert_eq!(refused.into_frame(), frame);
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_cannot_be_encoded_comes_back_and_nothing_is_queued() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let frame = Frame::new("n").with_payload("{");
    let refused = connection.send(frame.clone()).unwrap_err();
    assert!(matches!(refused, SendError::Encode { .. }));
    assert_eq!(refused.into_frame(), frame);
    assert_eq!(connection.outbound_stats().accepted, 0);
    connection.send(numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn done_waits_for_the_end_and_not_for_a_suspension() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    assert!(timeout(Duration::from_secs(1), connection.done()).await.is_err());
    let (_ann, _) = stage.rejoin("ann").await;
    assert!(timeout(Duration::from_secs(1), connection.done()).await.is_err());
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.done().await }
    });
    settle().await;
    connection.close();
    waiting.await.unwrap();
    connection.done().await;
}

#[tokio::test(start_paused = true)]
async fn done_tells_of_every_kind_of_end() {
    let mut stage = Stage::resuming();
    let ends: [fn(&Stage, &Connection); 3] = [
        |_, connection| connection.close(),
        |stage, _| stage.server.kick("ann").unwrap(),
        // The window passes.
        |_, _| {},
    ];
    for end in ends {
        let (ann, connection) = stage.join("ann").await;
        drop(ann);
        stage.dropped().await;
        let waiting = tokio::spawn({
            let connection = connection.clone();
            async move { connection.done().await }
        });
        settle().await;
        end(&stage, &connection);
        waiting.await.unwrap();
        assert_eq!(connection.state(), ConnectionState::Closed);
        stage.disconnected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn done_tells_of_a_clean_close_by_the_client() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    ann.close(Some(&CloseFrame::new(CloseCode::NORMAL, ""))).await.unwrap();
    connection.done().await;
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(cause) if cause.is_normal()));
}

#[tokio::test(start_paused = true)]
async fn done_inside_a_handler_of_the_same_connection_ends_with_a_kick() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let disconnect = tell.clone();
    let server = open_house()
        .on_message(move |connection, _| {
            let tell = tell.clone();
            async move {
                tell.send("waits").unwrap();
                connection.done().await;
                tell.send("done").unwrap();
            }
        })
        .on_disconnect(move |_, _| disconnect.send("disconnect").unwrap())
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(1)).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "waits");
    server.kick("ann").unwrap();
    assert_eq!(told.recv().await.unwrap(), "done");
    assert_eq!(told.recv().await.unwrap(), "disconnect");
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_end_its_own_connection_in_any_way() {
    let ends: [fn(Connection); 2] =
        [|connection| connection.close(), |connection| connection.server().kick("ann").unwrap()];
    for end in ends {
        let (tell, mut told) = mpsc::unbounded_channel();
        let server = open_house()
            .on_message(move |connection, _| end(connection))
            .on_disconnect(move |_, end| tell.send(end).unwrap())
            .build()
            .unwrap();
        let mut ann = dial(&server, "ann").await;
        ann.send(&numbered(1)).await.unwrap();
        ann.send(&numbered(2)).await.unwrap();
        ann.closed().await.unwrap();
        assert!(told.recv().await.unwrap().cause().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn handles_are_equal_if_they_are_of_one_connection() {
    let mut stage = Stage::plain();
    let (_ann, ann) = stage.join("ann").await;
    let (_bob, bob) = stage.join("bob").await;
    assert_eq!(ann, stage.server.connection("ann").unwrap());
    assert_ne!(ann, bob);
}

#[tokio::test(start_paused = true)]
async fn nothing_keeps_an_ended_connection_alive() {
    let data = Arc::new(());
    let kept = Arc::downgrade(&data);
    let data = std::sync::Mutex::new(Some(data));
    let server = Server::builder_sync(move |_| {
        let data = data.lock().unwrap().take().expect("connects once");
        Ok(Admission::room("lobby").id("ann").data(data))
    })
    .build()
    .unwrap();
    let ann = dial(&server, "ann").await;
    settle().await;
    assert!(kept.upgrade().is_some());
    drop(ann);
    settle().await;
    assert!(kept.upgrade().is_none());
}
