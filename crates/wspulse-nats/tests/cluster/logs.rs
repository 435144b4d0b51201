//! Rooms with a log, around real NATS servers that are killed.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};
use wspulse::cluster::{AppendId, LogPosition};
use wspulse::testing::TestClient;
use wspulse::{Admission, AppendError, Frame, RoomOptions, Server};
use wspulse_nats::{Builder, LogOptions, LogStorage};

use crate::nats_server::NatsServer;

const PATIENCE: Duration = Duration::from_mins(1);

async fn server_of(builder: Builder) -> Server {
    let server = Server::builder_sync(|_| Ok(Admission::room("log")))
        .send_buffer_size(4096)
        .logged_rooms(|room| room == "log")
        .room_options(|_| RoomOptions::new().history(1_000, Duration::from_hours(1)))
        .cluster(builder.build().unwrap())
        .build()
        .unwrap();
    let cluster = server.cluster().unwrap();
    cluster.started().await.unwrap();
    let is_connected = async {
        while !cluster.is_connected() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, is_connected).await.expect("a connection");
    server
}

async fn member(server: &Server) -> TestClient<DuplexStream> {
    TestClient::connect(server, "/ws").await.expect("admitted")
}

/// Until it is there, with one id, so that it is there once.
async fn append(server: &Server, number: u32) -> LogPosition {
    let (room, id) = (server.room("log"), AppendId::random());
    let until_there = async {
        loop {
            let frame = Frame::new("n").json(&number).unwrap();
            match room.append(frame).with_id(id).await {
                Ok(position) => return position,
                Err(AppendError::Unavailable { .. } | AppendError::Unknown { .. }) => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, until_there).await.expect("appended")
}

async fn hears(member: &mut TestClient<DuplexStream>, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let frame = timeout(PATIENCE, member.frame()).await.expect("a frame").unwrap();
        numbers.push(frame.to_json().unwrap());
    }
    numbers
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn two_servers_append_at_once_and_all_hear_one_order_over_a_sigkill_of_nats() {
    let nats = NatsServer::with_jetstream("");
    let servers = [server_of(nats.builder()).await, server_of(nats.builder()).await];
    let mut members = [member(&servers[0]).await, member(&servers[1]).await];
    let appends = servers.clone().map(|server| {
        tokio::spawn(async move {
            for number in 0..300 {
                append(&server, number).await;
            }
        })
    });
    let first = hears(&mut members[0], 100).await;
    nats.kill();
    sleep(Duration::from_millis(300)).await;
    nats.start_again();
    for appending in appends {
        appending.await.unwrap();
    }
    let mut one = first;
    one.extend(hears(&mut members[0], 500).await);
    let other = hears(&mut members[1], 600).await;
    assert_eq!(one, other, "one order for all");
    for number in 0..300 {
        let count = one.iter().filter(|it| **it == number).count();
        assert_eq!(count, 2, "{number} of each, once");
    }
    // Who comes later, and to a server that was not there.
    let late = server_of(nats.builder()).await;
    assert_eq!(hears(&mut member(&late).await, 600).await, one);
    drop(members);
    for server in servers.into_iter().chain([late]) {
        server.close().await;
    }
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn what_a_server_has_appended_that_dies_meanwhile_is_heard_by_the_members_of_others() {
    let nats = NatsServer::with_jetstream("");
    let server = server_of(nats.builder()).await;
    let mut member = member(&server).await;
    let dying = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let builder = nats.builder();
    dying.spawn(async move {
        let server = server_of(builder).await;
        for number in 0.. {
            append(&server, number).await;
            let _ = acknowledge.send(number);
        }
    });
    for _ in 0..200 {
        timeout(PATIENCE, acknowledged.recv()).await.expect("an append").expect("a number");
    }
    // It stops where it is, and says nothing any more.
    dying.shutdown_background();
    let mut count = 200;
    while timeout(PATIENCE, acknowledged.recv()).await.expect("its end").is_some() {
        count += 1;
    }
    let heard = hears(&mut member, count).await;
    assert!(heard.into_iter().eq(0..u32::try_from(count).unwrap()));
    drop(member);
    server.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_log_of_three_nats_servers_loses_nothing_when_one_dies() {
    let [first, second, third] = NatsServer::three_with_jetstream();
    let builder = |nats: &NatsServer| {
        let all = [&first, &second, &third].into_iter();
        let others = all.filter(|it| it.url() != nats.url());
        let builder = others.fold(nats.builder(), |builder, other| builder.server(other.url()));
        builder.log(LogOptions::new().replicas(3))
    };
    let servers = [server_of(builder(&first)).await, server_of(builder(&third)).await];
    let mut members = [member(&servers[0]).await, member(&servers[1]).await];
    for number in 0..50 {
        append(&servers[number as usize % 2], number).await;
    }
    first.kill();
    for number in 50..100 {
        append(&servers[number as usize % 2], number).await;
    }
    let all: Vec<_> = (0..100).collect();
    for member in &mut members {
        assert_eq!(hears(member, 100).await, all);
    }
    drop(members);
    for server in servers {
        server.close().await;
    }
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn what_a_room_keeps_no_more_is_skipped_and_the_rest_is_read_from_any_place() {
    let nats = NatsServer::with_jetstream("");
    let builder = nats.builder().log(LogOptions::new().frames_per_room(400));
    let server = server_of(builder).await;
    let mut positions = Vec::new();
    for number in 0..900 {
        positions.push(append(&server, number).await);
    }
    let room = server.room("log");
    let numbers = |frames: Vec<wspulse::LoggedFrame>| -> Vec<u64> {
        frames.iter().map(|it| it.position.number).collect()
    };
    assert_eq!(numbers(room.history(3).await.unwrap()), [898, 899, 900]);
    assert_eq!(numbers(room.history(1_000).await.unwrap()), (501..=900).collect::<Vec<_>>());
    for after in [499, 500, 501, 650, 895] {
        let read = room.history_after(positions[after], 2).await.unwrap();
        let first = positions[after].number + 1;
        assert_eq!(numbers(read), [first, first + 1]);
    }
    let read = room.history_after(positions[0], 1).await.unwrap();
    assert_eq!(numbers(read), [501]);
    assert!(room.history_after(positions[899], 1).await.unwrap().is_empty());
    server.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_log_whose_nats_server_comes_back_without_its_disk_begins_anew() {
    let nats = NatsServer::with_jetstream("");
    let memory = || nats.builder().log(LogOptions::new().storage(LogStorage::Memory));
    let server = server_of(memory()).await;
    let mut member = member(&server).await;
    let first = append(&server, 0).await;
    append(&server, 1).await;
    nats.kill();
    // Epochs are seconds.
    sleep(Duration::from_millis(1_500)).await;
    nats.start_again();
    let anew = append(&server, 2).await;
    assert!(anew.epoch > first.epoch && anew.number == 1, "{anew}");
    assert_eq!(hears(&mut member, 3).await, [0, 1, 2]);
    drop(member);
    server.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn without_jetstream_nothing_is_appended_and_that_is_said_in_time() {
    let nats = NatsServer::start();
    let server = server_of(nats.builder().log(LogOptions::new())).await;
    let within = Duration::from_millis(500);
    let appended = server.room("log").append(Frame::new("n")).within(within);
    let refused = timeout(PATIENCE, appended.into_future()).await.unwrap().unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused}");
    server.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn the_permissions_that_the_readme_names_are_enough() {
    let nats = NatsServer::with_jetstream(
        "authorization { users = [ { user: test, password: secret, permissions: {
            publish: [\"wsp.test.>\", \"$JS.API.STREAM.CREATE.wsp_test_log\",
                      \"$JS.API.STREAM.UPDATE.wsp_test_log\", \"$JS.API.DIRECT.GET.wsp_test_log\"],
            subscribe: \"wsp.test.>\" } } ] }",
    );
    let builder = || nats.builder().user_and_password("test", "secret");
    let server = server_of(builder()).await;
    let mut member = member(&server).await;
    for number in 0..5 {
        append(&server, number).await;
    }
    assert_eq!(hears(&mut member, 5).await, [0, 1, 2, 3, 4]);
    drop(member);
    // Another option has the stream changed.
    let changed = server_of(builder().log(LogOptions::new().frames_per_room(2))).await;
    append(&changed, 5).await;
    assert_eq!(changed.room("log").history(10).await.unwrap().len(), 2);
    for server in [server, changed] {
        server.close().await;
    }
}
