//! A server whose clients are slow, wrong and silent, and whose callbacks are no better.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use wspulse::{Admission, Frame, Rejection, RoomOptions, Server};
use wspulse_client::{Client, Event};
use wspulse_prometheus::PrometheusCollector;

use crate::Failed;
use crate::raw::Deaf;

const STEP: Duration = Duration::from_millis(100);
const REPLY: Duration = Duration::from_millis(500);
/// More than the sockets' buffers take, within a second.
const NEWS_BYTES: usize = 256 * 1024;
const BUFFER_FRAMES: usize = 8;
const ROOM: &str = "board";

/// Serves it and its clients, and prints where its metrics are.
pub(crate) async fn run() -> Result<(), Failed> {
    let metrics = PrometheusCollector::builder().build()?;
    let server = build(&metrics)?;
    let app = Router::new()
        .route_service("/metrics", metrics.handler())
        .route_service("/ws", server.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    println!("metrics of the board: http://{address}/metrics");
    let mut tasks = JoinSet::new();
    tasks.spawn(async { Ok(wspulse::serve(listener, app).await?) });
    tasks.spawn(broadcast(server.clone()));
    tasks.spawn(ask(server, "patient"));
    tasks.spawn(answer(address));
    tasks.spawn(be_deaf(address));
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

fn build(metrics: &PrometheusCollector) -> Result<Server, Failed> {
    let server = Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room(ROOM).id(&*id))
    })
    .metrics(metrics.clone())
    .room_options(|_| RoomOptions::new().history(4, Duration::MAX))
    .send_buffer_size(BUFFER_FRAMES)
    .send_buffer_bytes(NEWS_BYTES * BUFFER_FRAMES)
    .max_rooms_per_connection(1)
    .on_message(|conn, frame| match frame.event() {
        "panic" => panic!("as I was asked to"),
        // What no callback may do.
        "block" => std::thread::sleep(STEP * 2),
        // It is in as many rooms as it may be.
        _ => drop(conn.join("attic")),
    })
    .build()?;
    Ok(server)
}

/// Large news for everybody, and where something is, of which the newest is enough.
async fn broadcast(server: Server) -> Result<(), Failed> {
    let large = "n".repeat(NEWS_BYTES);
    loop {
        sleep(STEP).await;
        server.broadcast(ROOM, Frame::new("news").json(&large)?)?;
        for place in 0..3 {
            server.broadcast(ROOM, Frame::new("moved").json(&place)?.conflate("cursor"))?;
        }
        server.broadcast_all(Frame::new("time"))?;
    }
}

/// Asks a client, over and over; every third question it does not answer.
async fn ask(server: Server, id: &str) -> Result<(), Failed> {
    for number in 0_u64.. {
        sleep(STEP).await;
        if let Some(client) = server.connection(id) {
            let event = if number % 3 == 0 { "silence" } else { "question" };
            // It is one of the outcomes that are counted.
            let _ = client.request(Frame::new(event)).within(REPLY).await;
        }
    }
    Ok(())
}

/// The client that is asked: it answers twice, and asks for what should not be.
async fn answer(address: SocketAddr) -> Result<(), Failed> {
    let url = format!("ws://{address}/ws?id=patient");
    let (client, mut messages) = Client::builder(url).connect()?;
    let wishes = ["join", "block", "panic"];
    let mut asked = 0;
    while let Some(event) = messages.next().await {
        if let Event::Message(frame) = event
            && frame.event() == "question"
        {
            client.reply(&frame, Frame::default())?;
            client.reply(&frame, Frame::default())?;
            client.post(Frame::new(wishes[asked % wishes.len()]))?;
            asked += 1;
        }
    }
    Ok(())
}

/// Clients that read nothing, until the server has had enough of them.
async fn be_deaf(address: SocketAddr) -> Result<(), Failed> {
    loop {
        let mut stays = Deaf::connect(address, "stays").await?;
        let mut is_there = true;
        while is_there {
            let mut leaves = Deaf::connect(address, "leaves").await?;
            sleep(STEP * 10).await;
            is_there = leaves.talk_nonsense().await.is_ok() && stays.talk_nonsense().await.is_ok();
        }
    }
}
