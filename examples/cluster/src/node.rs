//! A server of a cluster: what is said to its room on one server is heard on all, and its clients may
//! come to any of them.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use wspulse::cluster::{Gap, GapIn, Missed};
use wspulse::{Admission, Connection, Delivery, Frame, Rejection, Server, ServerBuilder, origin};
use wspulse_nats::NatsEngine;

const ROOM: &str = "lobby";
const TICK: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_secs(3); // over so long its clients are sent away

/// What a node says ten times a second. A page that has all numbers has missed nothing.
#[derive(Serialize)]
struct Tick<'a> {
    /// The process: one that is started again counts anew.
    from: String,
    node: &'a str,
    number: u64,
}

/// So many of a node's frames are lost, for the cluster has them no more.
#[derive(Serialize)]
struct Lost {
    from: String,
    /// None, if nobody knows.
    frames: Option<u64>,
}

pub(crate) fn builder(name: &str) -> ServerBuilder {
    let greet = {
        let name = name.to_owned();
        move |conn: Connection| tell(&conn, "node", &name)
    };
    Server::builder_sync(|request| {
        let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room(ROOM).id(tab))
    })
    .on_connect(greet.clone())
    .on_transport_restore(move |conn, _| greet(conn))
    .on_message(|conn, frame| {
        let _ = conn.room().broadcast(frame.with_event("said").with_id("")); // to all, on all nodes
    })
    .on_gap(|gap| tell_gap(&gap))
    .check_origin(origin::same_origin())
    .delivery(Delivery::ExactlyOnce) // with it, sessions go on at any server
    .resume_window(Duration::from_secs(30))
    .drain_retry(Duration::from_millis(250)) // the others are there: nobody has to wait for this one
}

fn tell(conn: &Connection, event: &str, what: &(impl Serialize + ?Sized)) {
    if let Ok(frame) = Frame::new(event).json(what) {
        let _ = conn.send(frame); // it may have ended
    }
}

/// What is lost for good is told to whoever lacks it, at its place in the order.
fn tell_gap(gap: &Gap) {
    let frames = match gap.missed {
        Missed::Frames(frames) => Some(frames),
        Missed::Unknown | _ => None,
    };
    let lost = Lost { from: gap.origin.to_string(), frames };
    let Ok(frame) = Frame::new("lost").json(&lost) else { return };
    match &gap.within {
        GapIn::Room(room) => drop(room.local().broadcast(frame)),
        GapIn::Connection(conn) => drop(conn.send(frame)),
        GapIn::User(_) | GapIn::Everybody | _ => {} // nothing is sent to them here
    }
}

pub(crate) async fn count(server: Server, name: String) {
    let Some(cluster) = server.cluster() else { return };
    let (from, mut number) = (cluster.id().to_string(), 1);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip); // after it stood still
    loop {
        ticks.tick().await;
        let tick = Tick { from: from.clone(), node: &name, number };
        let Ok(frame) = Frame::new("tick").json(&tick) else { return };
        if server.broadcast(ROOM, frame).is_ok() {
            number += 1;
        }
    }
}

pub(crate) fn app(server: Server) -> Router {
    let health = server.clone();
    let ready = move || async move {
        // 404 has HAProxy send nobody here any more, and keep those who are (`disable-on-404`). After
        // a 503 it would cut them all at once, and nothing would be left to drain.
        if health.is_draining() { StatusCode::NOT_FOUND } else { StatusCode::OK }
    };
    Router::new().route_service("/ws", server).route("/healthz", get(ready))
}

pub(crate) async fn run(name: &str, address: &str, nats: &str) -> Result<(), Box<dyn Error>> {
    let engine = NatsEngine::builder(nats).cluster("example").build()?;
    let server = builder(name).cluster(engine).build()?;
    if let Some(cluster) = server.cluster() {
        cluster.started().await?; // whoever comes may have a session elsewhere
    }
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(count(server.clone(), name.to_owned()));
    wspulse::serve(listener, app(server.clone()))
        .max_pending_per_addr(usize::MAX) // the balancer is one address
        .with_graceful_shutdown(async move {
            terminated().await;
            server.drain(DRAIN).await;
        })
        .await?;
    Ok(())
}

/// What a service manager sends.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        terminate.recv().await;
    }
}
