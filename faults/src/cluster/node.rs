//! A server of a cluster, as a process: it talks to its rooms when it is told to, and says what it
//! has said.

mod appending;
mod churn;
mod sessions;
mod talking;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use wspulse::cluster::{Gap, GapIn, Missed, NodeId};
use wspulse::{Admission, ConfigError, Frame, Rejection, Server};
use wspulse_nats::{Builder, LogOptions, NatsEngine};

use super::order::{LOST, LOST_ON_THE_WAY, NodeView, Order, Payload};
use talking::Talking;

/// Whom it belongs to.
#[derive(Debug, Clone, Parser)]
pub struct NodeOptions {
    /// A NATS server, each; none: the server is alone.
    #[arg(long)]
    nats: Vec<String>,
    /// Clients have sessions, and what they send is noted in this file. SIGTERM drains the server.
    #[arg(long)]
    handled: Option<PathBuf>,
    /// Rooms have a log, which so many NATS servers keep, and what is appended is noted in this file.
    #[arg(long, requires = "appended")]
    log_replicas: Option<u8>,
    #[arg(long)]
    appended: Option<PathBuf>,
}

/// How long a member is kept of which no byte comes: longer than any case takes.
const PING: std::time::Duration = std::time::Duration::from_mins(5);
const PONG: std::time::Duration = std::time::Duration::from_mins(10);

/// Serves until standard input ends. Prints `LISTENING port` first.
///
/// # Errors
///
/// If it cannot listen, or is told something that it does not understand.
pub async fn run(options: NodeOptions) -> Result<(), Box<dyn Error>> {
    let server = room_server(&options)?;
    if let Some(cluster) = server.cluster() {
        cluster.started().await?;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("LISTENING {}", listener.local_addr()?.port());
    // All clients of a machine are one address.
    let serve = wspulse::serve(listener, server.clone()).max_pending_per_addr(usize::MAX);
    let mut talking = Talking::new(options.appended.as_deref())?;
    tokio::select! {
        result = serve.into_future() => return Ok(result?),
        done = obey(&server, &mut talking) => return done,
        drained = sessions::drained(&server) => drained?,
    }
    // What a drained server has said is all that it ever will.
    answer(&talking.end().await?)
}

fn room_server(options: &NodeOptions) -> Result<Server, Box<dyn Error>> {
    let builder = Server::builder_sync(|request| {
        let admission = Admission::room(request.query("room").ok_or_else(Rejection::unauthorized)?);
        Ok(match request.query("id") {
            None => admission,
            Some(id) => admission.id(id),
        })
    })
    .check_origin(|_| true)
    .heartbeat(PING, PONG)
    .send_buffer_size(4096)
    .send_buffer_bytes(64 * 1024 * 1024)
    .on_gap(|gap| tell(&gap));
    let builder = match &options.handled {
        None => builder,
        Some(handled) => sessions::with_sessions(builder, handled)?,
    };
    let built: Result<_, ConfigError> = match options.nats.split_first() {
        None => builder.build(),
        Some((first, others)) => {
            let engine =
                others.iter().fold(NatsEngine::builder(first).cluster("faults"), Builder::server);
            match options.log_replicas {
                None => builder.cluster(engine.build()?).build(),
                Some(replicas) => {
                    let engine = engine.log(LogOptions::new().replicas(replicas)).build()?;
                    builder.logged_rooms(|_| true).cluster(engine).build()
                }
            }
        }
    };
    Ok(built?)
}

/// Members are told how many frames they lack, at that place in the order.
fn tell(gap: &Gap) {
    let frames = match gap.missed {
        Missed::Frames(frames) => frames,
        Missed::Unknown | _ => 0,
    };
    let told = |event| {
        let told = Frame::new(event).json(&Payload(mark(gap.origin), frames, 0, ""));
        told.expect("numbers are JSON")
    };
    match &gap.within {
        GapIn::Room(room) => drop(room.local().broadcast(told(LOST))),
        // It has come with its session, and lacks what the others here do not.
        GapIn::Connection(connection) => drop(connection.send(told(LOST_ON_THE_WAY))),
        // Nothing is said to them.
        GapIn::User(_) | GapIn::Everybody | _ => {}
    }
}

/// Enough of an id to tell the nodes of a test apart.
fn mark(id: NodeId) -> u32 {
    let [a, b, c, d, ..] = *id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

async fn obey(server: &Server, talking: &mut Talking) -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Order::View => answer(&view(server, talking.said()))?,
            Order::Talk(talk) => {
                talking.begin(server, own_mark(server), talk);
                answer(&())?;
            }
            Order::Hush => answer(&talking.hush(server, own_mark(server)).await?)?,
            Order::Churn(churn) => {
                churn::run(server, churn).await;
                answer(&())?;
            }
        }
    }
    Ok(())
}

fn answer(answer: &impl Serialize) -> Result<(), Box<dyn Error>> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

/// 0, if it is alone.
fn own_mark(server: &Server) -> u32 {
    server.cluster().map_or(0, |cluster| mark(cluster.id()))
}

fn view(server: &Server, said: u64) -> NodeView {
    let connections = server.all_connections();
    let dropped = connections.iter().map(|conn| conn.outbound_stats().dropped).sum();
    let mut view = NodeView {
        mark: own_mark(server),
        connections: connections.len(),
        said,
        dropped,
        ..NodeView::default()
    };
    if let Some(cluster) = server.cluster() {
        let readings = cluster.readings();
        view.is_connected = cluster.is_connected();
        view.others = cluster.nodes().iter().filter(|node| !node.is_silent).count();
        view.asked = readings.asked;
        view.messages_unsent = readings.messages_unsent;
        view.kept_bytes = readings.kept_bytes;
        view.foreign = readings.frames_foreign;
    }
    view
}
