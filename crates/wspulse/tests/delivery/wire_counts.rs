//! Counts over real sockets: what has to arrive arrives every time.
//!
//! Each test prints its count; `cargo test --test delivery wire_counts -- --nocapture` shows them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tungstenite::Message;
use wspulse::testing::TestClient;
use wspulse::{Frame, Server};

use crate::support::clients::named;
use crate::support::house::open_house;
use crate::support::http::serve_at_ws;

const ENDS: usize = 300;
/// How many clients one test has at a time.
const CLIENTS: usize = 10;

/// A WebSocket client that shares no code with the server.
type ForeignClient = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn foreign(address: SocketAddr, id: &str) -> ForeignClient {
    let url = format!("ws://{address}/ws?room=lobby&id={id}");
    connect_async(url).await.expect("connected").0
}

/// Reads up to the server's close frame and says its code and reason.
async fn told(client: &mut ForeignClient) -> Option<(u16, String)> {
    while let Some(Ok(message)) = client.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
        }
    }
    None
}

/// Runs `trial` so many times, some at a time, and counts how often it is true.
async fn count<Fut>(trials: usize, trial: impl Fn(usize) -> Fut) -> usize
where
    Fut: Future<Output = bool> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut right = 0;
    for number in 0..trials {
        if running.len() == CLIENTS {
            right += usize::from(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(trial(number));
    }
    right + running.join_all().await.into_iter().filter(|right| *right).count()
}

async fn count_ends(what: &str, end: fn(&Server, &str), code: u16, reason: &'static str) {
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    let right = count(ENDS, |number| {
        let server = server.clone();
        async move {
            let id = number.to_string();
            let mut client = foreign(address, &id).await;
            end(&server, &id);
            told(&mut client).await == Some((code, reason.to_owned()))
        }
    })
    .await;
    println!("{what}: {right} of {ENDS} close frames ({code} {reason:?})");
    assert_eq!(right, ENDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kicked_client_reads_why() {
    count_ends("kick", |server, id| server.kick(id).unwrap(), 1000, "kicked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_closed_client_reads_a_normal_closure() {
    count_ends("close", |server, id| server.connection(id).unwrap().close(), 1000, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replaced_client_reads_why() {
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    let right = count(ENDS, |number| async move {
        let id = number.to_string();
        let mut old = foreign(address, &id).await;
        let mut new = foreign(address, &id).await;
        let duplicate = Some((1000, "duplicate connection id".to_owned()));
        let was_told = told(&mut old).await == duplicate;
        new.close(None).await.unwrap();
        was_told
    })
    .await;
    println!("duplicate: {right} of {ENDS} close frames");
    assert_eq!(right, ENDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_of_a_server_that_closes_reads_why() {
    let mut right = 0;
    for _ in 0..ENDS / CLIENTS {
        let server = open_house().build().unwrap();
        let address = serve_at_ws(&server).await;
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let mut client = foreign(address, &number.to_string()).await;
            clients.spawn(async move { told(&mut client).await });
        }
        server.close().await;
        let shutdown = Some((1001, "server shutting down".to_owned()));
        right += clients.join_all().await.iter().filter(|told| **told == shutdown).count();
    }
    println!("shutdown: {right} of {ENDS} close frames");
    assert_eq!(right, ENDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_and_the_send_behind_it_are_never_swapped() {
    const RUNS: usize = 200;
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(foreign(address, &number.to_string()).await);
    }
    let mut swapped = 0;
    for run in 0..RUNS {
        let id = (run % CLIENTS).to_string();
        server.broadcast("lobby", named(2 * run)).unwrap();
        server.send(&id, named(2 * run + 1)).unwrap();
        for (number, client) in clients.iter_mut().enumerate() {
            let broadcast = client.next().await.unwrap().unwrap();
            swapped += usize::from(broadcast != text(2 * run));
            if number == run % CLIENTS {
                let sent = client.next().await.unwrap().unwrap();
                swapped += usize::from(sent != text(2 * run + 1));
            }
        }
    }
    println!("broadcast, then send: {swapped} of {RUNS} swapped");
    assert_eq!(swapped, 0);
}

fn text(number: usize) -> Message {
    Message::text(format!(r#"{{"event":"{number}"}}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_frames_sent_before_a_close_arrive_before_it() {
    const RUNS: usize = 100;
    const SENDS: usize = 20;
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    let right = count(RUNS, |number| {
        let server = server.clone();
        async move {
            let id = number.to_string();
            let mut client = foreign(address, &id).await;
            let connection = server.connection(&id).unwrap();
            for number in 0..SENDS {
                connection.send(named(number)).unwrap();
            }
            connection.close();
            for number in 0..SENDS {
                if client.next().await.and_then(Result::ok) != Some(text(number)) {
                    return false;
                }
            }
            told(&mut client).await == Some((1000, String::new()))
        }
    })
    .await;
    println!("{SENDS} sends, then close: all arrived in {right} of {RUNS} runs");
    assert_eq!(right, RUNS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_read_its_101_is_found_by_a_kick() {
    const RUNS: usize = 2000;
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    let found = count(RUNS, |number| {
        let server = server.clone();
        async move {
            let target = format!("/ws?id={number}");
            let client = TestClient::connect_tcp(address, &target).await.unwrap();
            let found = server.kick(&number.to_string()).is_ok();
            drop(client);
            found
        }
    })
    .await;
    println!("kick right after the 101: {found} of {RUNS} found");
    assert_eq!(found, RUNS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_read_its_101_is_told_of_a_shutdown() {
    const SERVERS: usize = 15;
    const CLIENTS: usize = 100;
    let mut told = 0;
    for _ in 0..SERVERS {
        let server = open_house().build().unwrap();
        let address = serve_at_ws(&server).await;
        let mut connecting = JoinSet::new();
        for _ in 0..CLIENTS {
            connecting.spawn(TestClient::connect_tcp(address, "/ws"));
        }
        let mut clients = JoinSet::new();
        while let Some(client) = connecting.join_next().await {
            let mut client = client.unwrap().unwrap();
            clients.spawn(async move { client.closed().await });
        }
        server.close().await;
        for close in clients.join_all().await {
            let close = close.ok().flatten();
            let close = close.as_ref().map(|frame| (frame.code().as_u16(), frame.reason()));
            told += usize::from(close == Some((1001, "server shutting down")));
        }
    }
    println!("shutdown right after the 101: {told} of {} told", SERVERS * CLIENTS);
    assert_eq!(told, SERVERS * CLIENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_amid_handshakes_tells_all_it_has_let_in_and_refuses_the_others() {
    const SERVERS: usize = 10;
    const CLIENTS: usize = 40;
    let (mut told, mut refused) = (0, 0);
    for round in 0..SERVERS {
        let server = open_house().build().unwrap();
        let address = serve_at_ws(&server).await;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(async move {
                let mut client = TestClient::connect_tcp(address, "/ws").await?;
                client.closed().await
            });
        }
        // From before the first handshake to after the last one.
        tokio::time::sleep(Duration::from_micros(800 * round as u64)).await;
        server.close().await;
        for outcome in clients.join_all().await {
            match outcome {
                Ok(Some(close)) if close.code().as_u16() == 1001 => told += 1,
                Err(error) if error.to_string().starts_with("HTTP/1.1 503 ") => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    println!("shutdown amid handshakes: {told} told, {refused} refused, none in between");
    assert_eq!(told + refused, SERVERS * CLIENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_echo_comes_back_in_order() {
    const CLIENTS: usize = 8;
    const FRAMES: usize = 200;
    let server = open_house()
        .on_message(|connection, frame: Frame| async move { connection.send(frame).unwrap() })
        .build()
        .unwrap();
    let address = serve_at_ws(&server).await;
    let right = count(CLIENTS, |number| async move {
        let client = foreign(address, &number.to_string()).await;
        let (mut sink, mut stream) = client.split();
        let writing = tokio::spawn(async move {
            for number in 0..FRAMES {
                sink.send(text(number)).await.unwrap();
            }
            sink
        });
        for number in 0..FRAMES {
            if stream.next().await.and_then(Result::ok) != Some(text(number)) {
                return false;
            }
        }
        writing.await.is_ok()
    })
    .await;
    println!("echo: {right} of {CLIENTS} clients got all {FRAMES} frames in order");
    assert_eq!(right, CLIENTS);
}
