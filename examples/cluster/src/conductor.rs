//! Has NATS, three nodes and `HAProxy` started, serves the page, and does to them what it asks for.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Mutex;

use crate::process::{Action, Group, Process, State as Life};
use crate::start::{self, NODES, Reserved};

const GLANCE: Duration = Duration::from_millis(100); // at who has ended

/// Of the HTTP handlers.
struct Show {
    processes: Mutex<Vec<Process>>,
    /// Where the page is, with which all requests must come that do something.
    origin: String,
    /// Where the balancer takes orders.
    control: PathBuf,
}

/// How one of them is, for the page.
#[derive(Serialize)]
struct Seen {
    name: &'static str,
    state: Life,
    id: Option<u32>,
}

pub(crate) async fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let group = Group::new()?;
    let public = Reserved::new(address.parse()?)?;
    let (nats, nats_at) = start::nats(&group).await?;
    let (nodes, nodes_at) = start::nodes(nats_at.address, &group).await?;
    let page = TcpListener::bind(start::ANY).await?;
    let control = group.folder.path().join("haproxy.sock");
    let mut balancer =
        start::balancer(&public, page.local_addr()?, &nodes_at, &control, &group).await?;

    let origin = format!("http://{}", public.address);
    println!("open {origin}/");
    let processes = nodes.into_iter().chain([nats]).collect();
    let show = Arc::new(Show { processes: Mutex::new(processes), origin, control });
    tokio::select! {
        served = axum::serve(page, app(show.clone())).into_future() => served?,
        failed = watch(&show, &mut balancer) => failed?,
        () = stopped() => {}
    }
    let mut processes = std::mem::take(&mut *show.processes.lock().await);
    processes.push(balancer);
    Ok(group.end(processes).await?)
}

/// Notes who has ended, and starts who is to start again. Without the balancer there is no page.
async fn watch(show: &Show, balancer: &mut Process) -> io::Result<()> {
    loop {
        tokio::time::sleep(GLANCE).await;
        balancer.look()?;
        if balancer.state() == Life::Gone {
            return Err(io::Error::other("HAProxy has ended: see what it has said"));
        }
        for process in &mut *show.processes.lock().await {
            process.look()?;
        }
    }
}

fn app(show: Arc<Show>) -> Router {
    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("../../chat/client.js"));
    let own = ([(CONTENT_TYPE, "text/javascript")], include_str!("page.js"));
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", get(script)) // `@wspulse/client`, built
        .route("/page.js", get(own))
        .route("/control", get(state))
        .route("/control/{name}/cut", post(cut))
        .route("/control/{name}/{action}", post(act))
        .with_state(show)
}

async fn state(State(show): State<Arc<Show>>) -> Json<Vec<Seen>> {
    let processes = show.processes.lock().await;
    Json(
        processes.iter().map(|it| Seen { name: it.name, state: it.state(), id: it.id() }).collect(),
    )
}

type Answer = Result<StatusCode, (StatusCode, String)>;

async fn act(
    State(show): State<Arc<Show>>,
    Path((name, action)): Path<(String, Action)>,
    headers: HeaderMap,
) -> Answer {
    show.check(&headers)?;
    if action == Action::Drain && !NODES.contains(&&*name) {
        return Err((StatusCode::NOT_FOUND, format!("{name} is no node that can be drained")));
    }
    let mut processes = show.processes.lock().await;
    let process = processes.iter_mut().find(|process| process.name == name);
    let process = process.ok_or_else(|| (StatusCode::NOT_FOUND, format!("nobody is {name}")))?;
    process.act(action).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the balancer cut all connections to a node, which is none the worse for it.
async fn cut(
    State(show): State<Arc<Show>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    show.check(&headers)?;
    if !NODES.contains(&&*name) {
        return Err((StatusCode::NOT_FOUND, format!("nobody is {name}")));
    }
    let mut balancer = UnixStream::connect(&show.control).await.map_err(failed)?;
    let order = format!("shutdown sessions server rooms/{name}\n");
    balancer.write_all(order.as_bytes()).await.map_err(failed)?;
    balancer.read_to_end(&mut Vec::new()).await.map_err(failed)?; // it is done then
    Ok(StatusCode::NO_CONTENT)
}

fn failed(error: io::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

impl Show {
    /// No page from elsewhere kills anybody.
    fn check(&self, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
        if headers.get(ORIGIN).is_some_and(|origin| *origin == *self.origin) {
            return Ok(());
        }
        let hint = format!("open the page at {0}, or send `Origin: {0}`", self.origin);
        Err((StatusCode::FORBIDDEN, hint))
    }
}

/// Ctrl-C, or what a service manager sends.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}
