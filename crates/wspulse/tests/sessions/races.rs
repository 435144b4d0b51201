//! Ends, losses and returns that happen at the same time, on many threads, leave nothing undecided.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{Barrier, mpsc};
use tokio::task::yield_now;
use wspulse::testing::{Refused, TestClient};
use wspulse::{Connection, ConnectionState, Disconnect, DuplicatePolicy, Server};
use wspulse_core::OVERTAKEN;

use crate::support::clients::{Client, numbered, numbers};
use crate::support::house::open_house;
use crate::support::stage::Told;

const ROUNDS: usize = 200;

/// A server whose callbacks tell, each after it has given other tasks a turn.
fn telling(policy: DuplicatePolicy) -> (Server, mpsc::UnboundedReceiver<Told>) {
    let (tell, told) = mpsc::unbounded_channel();
    let [connect, lose, restore, disconnect] = [(); 4].map(|()| tell.clone());
    let later = |tell: mpsc::UnboundedSender<Told>, told| async move {
        yield_now().await;
        tell.send(told).unwrap();
    };
    let server = open_house()
        .resume_window(Duration::from_mins(5))
        .duplicates(policy)
        .on_connect(move |conn| later(connect.clone(), Told::Connect(conn)))
        .on_transport_drop(move |conn, cause| later(lose.clone(), Told::Drop(conn, cause)))
        .on_transport_restore(move |conn, _| later(restore.clone(), Told::Restore(conn)))
        .on_disconnect(move |conn, end| later(disconnect.clone(), Told::Disconnect(conn, end)))
        .build()
        .unwrap();
    (server, told)
}

/// Everything that was told of each connection, by name, once the server is closed.
async fn lives(
    server: &Server,
    mut told: mpsc::UnboundedReceiver<Told>,
) -> Vec<(Connection, Vec<&'static str>)> {
    server.close().await;
    let mut lives: Vec<(Connection, Vec<&'static str>)> = Vec::new();
    while let Ok(told) = told.try_recv() {
        let name = told.name();
        let (Told::Connect(connection)
        | Told::Message(connection, _)
        | Told::Drop(connection, _)
        | Told::Restore(connection)
        | Told::Disconnect(connection, _)) = told;
        match lives.iter_mut().rev().find(|(known, _)| *known == connection) {
            Some((_, life)) => life.push(name),
            None => lives.push((connection, vec![name])),
        }
    }
    lives
}

/// Comes again as long as too many connections of this id are ending.
async fn dial_patiently(server: &Server) -> Client {
    loop {
        match TestClient::connect(server, "/ws?id=ann").await {
            Ok(client) => return client,
            Err(Refused(response)) => assert!(response.headers().contains_key("retry-after")),
        }
        yield_now().await;
    }
}

async fn everything_at_once(policy: DuplicatePolicy) {
    let (server, told) = telling(policy);
    for _ in 0..ROUNDS {
        let ann = dial_patiently(&server).await;
        let connection = server.connection("ann").unwrap();
        let start = Arc::new(Barrier::new(4));
        let kick = tokio::spawn({
            let (server, start) = (server.clone(), Arc::clone(&start));
            async move {
                start.wait().await;
                drop(server.kick("ann"));
            }
        });
        let close = tokio::spawn({
            let (connection, start) = (connection.clone(), Arc::clone(&start));
            async move {
                start.wait().await;
                connection.close();
            }
        });
        let lose = tokio::spawn({
            let start = Arc::clone(&start);
            async move {
                start.wait().await;
                drop(ann);
            }
        });
        let come_back = tokio::spawn({
            let (server, start) = (server.clone(), Arc::clone(&start));
            async move {
                start.wait().await;
                drop(TestClient::connect(&server, "/ws?id=ann").await);
            }
        });
        for task in [kick, close, lose, come_back] {
            task.await.unwrap();
        }
        connection.done().await;
        assert_eq!(connection.state(), ConnectionState::Closed);
    }
    let lives = lives(&server, told).await;
    assert!(lives.len() >= ROUNDS);
    for (_, life) in lives {
        assert_eq!(life.first(), Some(&"connect"));
        assert_eq!(life.last(), Some(&"disconnect"));
        let mut middle = life[1..life.len() - 1].iter();
        while let Some(name) = middle.next() {
            assert_eq!(*name, "drop", "in {life:?}");
            assert!(matches!(middle.next(), None | Some(&"restore")), "in {life:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_connection_ends_once_whatever_races_where_duplicates_replace() {
    everything_at_once(DuplicatePolicy::Replace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_connection_ends_once_whatever_races_where_duplicates_resume() {
    everything_at_once(DuplicatePolicy::Resume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn duplicates_from_many_threads_live_one_after_the_other() {
    let (server, mut told) = telling(DuplicatePolicy::Replace);
    let clients = Arc::new(Mutex::new(Vec::new()));
    let dialling = (0..4).map(|_| {
        let (server, clients) = (server.clone(), Arc::clone(&clients));
        tokio::spawn(async move {
            for _ in 0..ROUNDS / 4 {
                let client = dial_patiently(&server).await;
                clients.lock().unwrap().push(client);
            }
        })
    });
    join_all(dialling.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
    assert_eq!(server.connection_count(), 1);
    assert_eq!(server.connections("lobby").len(), 1);
    let last = server.connection("ann").unwrap();
    let mut lives = 0;
    loop {
        let next = told.recv().await.unwrap();
        let Told::Connect(begun) = next else { panic!("{next:?} came") };
        lives += 1;
        if begun == last {
            break;
        }
        let next = told.recv().await.unwrap();
        let Told::Disconnect(ended, Disconnect::Duplicate) = next else { panic!("{next:?} came") };
        assert_eq!(begun, ended);
    }
    server.kick("ann").unwrap();
    let mut clients = std::mem::take(&mut *clients.lock().unwrap());
    let closes = join_all(clients.iter_mut().map(TestClient::closed)).await;
    let closes = closes.into_iter().filter_map(Result::ok).flatten();
    let overtaken = closes.filter(|close| *close == OVERTAKEN).count();
    assert_eq!(lives + overtaken, ROUNDS, "each lived, or a newer one had come before it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_was_admitted_is_served_although_its_window_ends() {
    let window = Duration::from_millis(1);
    let server = open_house()
        .resume_window(window)
        .on_message(|connection, frame| drop(connection.send(frame)))
        .build()
        .unwrap();
    for round in 0..300 {
        drop(dial_patiently(&server).await);
        // Round by round a little later: sometimes just when the window ends.
        let gone_at = Instant::now();
        while gone_at.elapsed() < window + Duration::from_micros(5) * round {
            yield_now().await;
        }
        let mut ann = dial_patiently(&server).await;
        ann.send(&numbered(7)).await.unwrap();
        assert_eq!(numbers(&mut ann, 1).await, [7]);
        server.kick("ann").unwrap();
        assert_eq!(ann.closed().await.unwrap().unwrap().reason(), "kicked");
    }
}
