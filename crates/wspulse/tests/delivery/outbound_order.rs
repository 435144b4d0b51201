//! Frames arrive in the order in which they were accepted, whichever way they were sent.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;
use wspulse::Frame;
use wspulse::testing::TestClient;

use crate::support::clients::{number, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;
use crate::support::stage::Stage;

const SENDERS: usize = 4;
const EACH: usize = 200;

#[tokio::test(start_paused = true)]
async fn a_broadcast_and_a_send_of_one_task_keep_their_order() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    for round in 0..50 {
        stage.server.broadcast("lobby", numbered(4 * round)).unwrap();
        connection.send(numbered(4 * round + 1)).unwrap();
        stage.server.send("ann", numbered(4 * round + 2)).unwrap();
        connection.room().broadcast(numbered(4 * round + 3)).unwrap();
    }
    assert_eq!(numbers(&mut ann, 200).await, (0..200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_order_survives_a_suspension() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..5 {
        connection.send(numbered(number)).unwrap();
    }
    settle().await;
    drop(ann);
    stage.dropped().await;
    for number in 5..10 {
        stage.server.broadcast("lobby", numbered(number)).unwrap();
    }
    let (mut ann, _) = stage.rejoin("ann").await;
    connection.send(numbered(10)).unwrap();
    assert_eq!(numbers(&mut ann, 11).await, (0..11).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_a_restore_sends_comes_after_what_was_buffered() {
    let server = open_house()
        .resume_window(WINDOW)
        .on_transport_restore(|connection, _| drop(connection.send(numbered(3))))
        .build()
        .unwrap();
    drop(TestClient::connect(&server, "/ws?id=ann").await.unwrap());
    settle().await;
    for number in 0..3 {
        server.send("ann", numbered(number)).unwrap();
    }
    let mut ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    assert_eq!(numbers(&mut ann, 4).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_connect_sends_comes_before_any_reply() {
    let server = open_house()
        .on_connect(|connection| drop(connection.send(numbered(0))))
        .on_message(|connection, frame| drop(connection.send(frame)))
        .build()
        .unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    for number in 1..4 {
        ann.send(&numbered(number)).await.unwrap();
    }
    assert_eq!(numbers(&mut ann, 4).await, [0, 1, 2, 3]);
}

/// A frame of one of several senders.
fn signed(sender: usize, number: usize) -> Frame {
    Frame::new("n").json(&(sender * EACH + number)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_members_hear_the_broadcasts_of_many_threads_in_one_order() {
    let server = open_house().send_buffer_size(SENDERS * EACH).build().unwrap();
    let mut members = Vec::new();
    for _ in 0..8 {
        members.push(TestClient::connect(&server, "/ws").await.unwrap());
    }
    let start = Arc::new(Barrier::new(SENDERS + members.len()));
    let senders = (0..SENDERS).map(|sender| {
        let (server, start) = (server.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            for number in 0..EACH {
                server.broadcast("lobby", signed(sender, number)).unwrap();
                if number % 8 == sender {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let members = members.into_iter().map(|mut member| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            numbers(&mut member, SENDERS * EACH).await
        })
    });
    let heard = join_all(members.collect::<Vec<_>>()).await;
    let heard: Vec<_> = heard.into_iter().map(Result::unwrap).collect();
    join_all(senders).await.into_iter().for_each(Result::unwrap);
    for other in &heard[1..] {
        assert_eq!(*other, heard[0]);
    }
    for sender in 0..SENDERS {
        let of_sender: Vec<_> =
            heard[0].iter().copied().filter(|number| number / EACH == sender).collect();
        assert_eq!(of_sender, (sender * EACH..(sender + 1) * EACH).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_sender_of_many_keeps_its_own_order() {
    let server = open_house().send_buffer_size(SENDERS * EACH).build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    let start = Arc::new(Barrier::new(SENDERS));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (server, start) = (server.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                for number in 0..EACH {
                    server.send("ann", signed(sender, number)).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; SENDERS];
    for _ in 0..SENDERS * EACH {
        let heard = number(&ann.frame().await.unwrap());
        let sender = heard / EACH;
        assert_eq!(heard % EACH, next[sender]);
        next[sender] += 1;
    }
    join_all(senders).await.into_iter().for_each(Result::unwrap);
    assert_eq!(next, [EACH; SENDERS]);
}
