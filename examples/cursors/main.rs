//! A board on which 100 people who are not there, and you, move their cursors 30 times a second.
//!
//! ```text
//! cargo run --release --example cursors [-- --port 3001]
//! ```
//!
//! The page has a dial for how slow its link is, and a switch for conflation. With it a slow link
//! shows every cursor where it is now, and skips where it was. Without it the link shows what is in
//! the queue: where the cursors were some time ago, and the page says how long.
//!
//! So that the link can be slow, pages come to the server by a proxy in this process (`link.rs`).

mod link;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, MissedTickBehavior, interval};
use wspulse::{
    Admission, ConfigError, ConnectRequest, Connection, Frame, Overflow, Rejection, Server, origin,
};

use link::Links;

const PEOPLE: usize = 100;
const TICK: Duration = Duration::from_millis(33);
/// As many as there may be, so that a backlog is to be seen where nothing keeps it short.
const SEND_BUFFER_FRAMES: usize = 4096;
/// What the system has taken is not in the send buffer any more, and nothing replaces it there: so
/// it takes little, or the newest position would wait behind that.
const SOCKET_BUFFER_BYTES: u32 = 4 * 1024;

/// The rooms: two boards that show the same.
const CONFLATED: &str = "conflated";
const QUEUED: &str = "queued";

/// The one who moves, and where to, each from 0 to 1.
#[derive(Clone, Copy, Serialize)]
struct Cursor {
    who: usize,
    x: f64,
    y: f64,
    /// The mover's own clock, for its own use.
    at: f64,
}

#[derive(Deserialize)]
struct Move {
    x: f64,
    y: f64,
    at: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Standard output is for the address alone, so that scripts can read it.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let server = board()?;
    let links = Arc::new(Links::default());
    let app = Router::new()
        .route("/", get(asset("text/html; charset=utf-8", include_str!("index.html"))))
        .route("/cursors.css", get(asset("text/css; charset=utf-8", include_str!("cursors.css"))))
        .route("/cursors.js", get(asset("text/javascript", include_str!("cursors.js"))))
        .route("/link/{link}/{bytes_per_second}", post(slow_down))
        .with_state(Arc::clone(&links))
        .route_service("/ws", server.clone());
    let pages = TcpListener::bind((Ipv4Addr::LOCALHOST, port()?)).await?;
    println!("open http://{}/", pages.local_addr()?);
    // Without a dial for slow links, that listener would be the server's.
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(1024)?;
    let address = listener.local_addr()?;
    tokio::select! {
        result = wspulse::serve(listener, app) => result?,
        result = links.carry(pages, address) => result?,
        () = move_people(&server) => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    server.close().await;
    Ok(())
}

fn board() -> Result<Server, ConfigError> {
    let newest = AtomicUsize::new(PEOPLE);
    Server::builder_sync(move |request| admit(&request, &newest))
        .on_connect(|conn| {
            // It goes in front of all cursors, and no cursor overtakes it.
            let _ = Frame::new("you").json(&who(&conn)).map(|frame| conn.send(frame));
        })
        .on_message(|conn, frame| received(&conn, &frame))
        .check_origin(origin::same_origin())
        .send_buffer_size(SEND_BUFFER_FRAMES)
        .build()
}

/// `/ws?board=conflated` or `/ws?board=queued`; `link` is for the proxy.
fn admit(request: &ConnectRequest, newest: &AtomicUsize) -> Result<Admission, Rejection> {
    let board = request.query("board").filter(|board| [CONFLATED, QUEUED].contains(&&**board));
    let Some(board) = board else {
        let line = "board must be conflated or queued";
        return Err(Rejection::with_status(StatusCode::BAD_REQUEST, line));
    };
    let who = newest.fetch_add(1, Ordering::Relaxed);
    Ok(Admission::room(&*board).data(who))
}

fn who(conn: &Connection) -> usize {
    conn.data().copied().unwrap_or_default()
}

fn received(conn: &Connection, frame: &Frame) {
    // What is no move is somebody's own page, and moves nothing.
    if let Ok(Move { x, y, at }) = frame.to_json() {
        let cursor = Cursor { who: who(conn), x: x.clamp(0.0, 1.0), y: y.clamp(0.0, 1.0), at };
        show(conn.server(), conn.room_id(), &cursor);
    }
}

/// Tells everybody on a board where a cursor is. All of conflation is here.
fn show(server: &Server, board: &str, cursor: &Cursor) {
    let Ok(frame) = Frame::new("cursor").json(cursor) else { return };
    let told = if board == CONFLATED {
        // The newest position is enough, and none is of any use to a client that is away.
        server.broadcast(board, frame.conflate(format!("cursor:{}", cursor.who)).volatile())
    } else {
        // Every position waits for its turn, and those for which there is no room never get one.
        server.broadcast(board, frame.on_overflow(Overflow::Refuse))
    };
    if let Err(error) = told {
        tracing::debug!(%error, "nobody was told");
    }
}

/// The people who are not there, each on a course of its own.
async fn move_people(server: &Server) {
    let (mut ticks, started) = (interval(TICK), Instant::now());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let time = started.elapsed().as_secs_f64();
        for board in [CONFLATED, QUEUED] {
            if server.connections(board).is_empty() {
                continue;
            }
            for who in 0..PEOPLE {
                show(server, board, &course(who, time));
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "they are a hundred")]
fn course(who: usize, time: f64) -> Cursor {
    let own = who as f64;
    let round = |speed: f64| 0.5 + 0.45 * (time * speed + own * 2.4).sin();
    let (x, y) = (round(0.3 + own * 0.003), round(0.5 - own * 0.002));
    // To a ten-thousandth, as a page has no more pixels.
    Cursor { who, x: (x * 1e4).round() / 1e4, y: (y * 1e4).round() / 1e4, at: 0.0 }
}

/// The page's dial: `/link/LINK/BYTES_PER_SECOND`. A link's name is a secret of its page.
async fn slow_down(
    State(links): State<Arc<Links>>,
    Path((link, bytes_per_second)): Path<(String, u32)>,
) -> StatusCode {
    if links.set_rate(&link, bytes_per_second) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

/// A file of the page. The policy lets the page load and connect to nothing but this server.
fn asset(
    content_type: &'static str,
    body: &'static str,
) -> impl IntoResponse + Clone + Send + Sync + 'static {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, body)
}

/// The port from `--port`, else 3001; 0 takes a free one.
fn port() -> Result<u16, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--port") => {
            let port = arguments.next().ok_or("--port needs a number")?;
            port.parse().map_err(|error| format!("port {port:?}: {error}").into())
        }
        Some(unknown) => Err(format!("unknown argument {unknown}; try --port 3001").into()),
        None => Ok(3001),
    }
}
