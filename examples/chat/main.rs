//! A chat to open in two browser tabs.
//!
//! ```text
//! cargo run --release --example chat [-- --port 3000]
//! ```
//!
//! The page (`chat.js`) uses the client of `clients/typescript`, built into `client.js`. Its buttons
//! cut the tab's connection in several ways: the session survives, and what was said meanwhile
//! arrives once, in both directions. `/metrics` is for Prometheus.
//!
//! So that it can be cut, the pages come to the server by a proxy in this process (`network.rs`).

mod network;
mod room;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use wspulse::{Admission, ConfigError, ConnectRequest, Delivery, Rejection, Server, origin};
use wspulse_prometheus::PrometheusCollector;

use network::{Network, Order};
use room::{Member, Rooms};

/// A message's text is bounded by `room::TEXT_CHARS_MAX`; this leaves space for JSON around it.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// How long a tab may be away before its session ends.
const RESUME_WINDOW: Duration = Duration::from_mins(1);
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const NAME_CHARS_MAX: usize = 24;
const ROOM_CHARS_MAX: usize = 32;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Standard output is for the address alone, so that scripts can read it.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let metrics = PrometheusCollector::builder().build()?;
    let server = chat_server(metrics.clone())?;
    let network = Arc::new(Network::default());
    let app = Router::new()
        .route("/", get(asset("text/html; charset=utf-8", include_str!("index.html"))))
        .route("/chat.css", get(asset("text/css; charset=utf-8", include_str!("chat.css"))))
        .route("/chat.js", get(asset(JAVASCRIPT, include_str!("chat.js"))))
        .route("/view.js", get(asset(JAVASCRIPT, include_str!("view.js"))))
        .route("/client.js", get(asset(JAVASCRIPT, include_str!("client.js"))))
        .route("/network/{cable}/{order}", post(operate))
        .with_state(Arc::clone(&network))
        // Open to all here, who are on this machine; elsewhere it belongs behind a login.
        .route_service("/metrics", metrics.handler())
        .route_service("/ws", server.clone());
    let pages = TcpListener::bind((Ipv4Addr::LOCALHOST, port()?)).await?;
    println!("open http://{}/", pages.local_addr()?);
    // Without buttons that cut the network, that listener would be the server's.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // Every client is told (close code 1001) and every callback finishes. Plain HTTP connections
    // are not waited for: browsers keep them open without a request on them.
    let stopped = async {
        stop_signal().await?;
        server.close().await;
        std::io::Result::Ok(())
    };
    tokio::select! {
        result = wspulse::serve(listener, app) => result?,
        result = network.carry(pages, address) => result?,
        result = stopped => result?,
    }
    Ok(())
}

fn chat_server(metrics: PrometheusCollector) -> Result<Server, ConfigError> {
    let rooms = Rooms::default();
    Server::builder_sync(move |request| admit(&request, &rooms))
        .metrics(metrics)
        .on_connect(|conn| room::joined(&conn))
        .on_message(|conn, frame| room::received(&conn, &frame))
        .on_transport_drop(|conn, _cause| room::announce_members(&conn))
        .on_transport_restore(|conn, _resumed| room::announce_members(&conn))
        .on_disconnect(|conn, _reason| room::announce_members(&conn))
        // Without this, any web page could open a connection with its visitor's cookies.
        .check_origin(origin::same_origin())
        .resume_window(RESUME_WINDOW)
        // A session that was resumed has missed nothing and has nothing twice, in both directions.
        .delivery(Delivery::ExactlyOnce)
        // Short, so that one need not wait for long to see a silence noticed.
        .heartbeat(Duration::from_secs(3), Duration::from_secs(8))
        .max_message_size(MESSAGE_BYTES_MAX)
        .build()
}

/// Decides who may connect: `/ws?id=…&name=…&room=…`.
///
/// The id is a random one that the tab made up and keeps to itself: a page that comes with it anew
/// takes the place of the one before. An application with logins derives it from the login instead.
fn admit(request: &ConnectRequest, rooms: &Rooms) -> Result<Admission, Rejection> {
    let id = request.query("id").filter(|id| is_tab_id(id)).ok_or_else(|| bad_request("id"))?;
    let name = label(request, "name", NAME_CHARS_MAX)?;
    let room = label(request, "room", ROOM_CHARS_MAX)?;
    let member = Member::new(name, rooms.enter(&room));
    Ok(Admission::room(room).id(&*id).data(member))
}

fn is_tab_id(id: &str) -> bool {
    (16..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A query parameter that others will see: some visible text, not too long.
fn label(
    request: &ConnectRequest,
    parameter: &'static str,
    chars_max: usize,
) -> Result<String, Rejection> {
    request
        .query(parameter)
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty() && !text.contains(char::is_control))
        .filter(|text| text.chars().count() <= chars_max)
        .ok_or_else(|| bad_request(parameter))
}

fn bad_request(parameter: &str) -> Rejection {
    Rejection::with_status(StatusCode::BAD_REQUEST, format!("missing or invalid: {parameter}"))
}

/// The page's buttons: `/network/CABLE/ORDER`. A cable's name is a secret of its page.
async fn operate(
    State(network): State<Arc<Network>>,
    Path((cable, order)): Path<(String, String)>,
) -> StatusCode {
    match Order::parse(&order) {
        Some(order) if network.obey(&cable, order) => StatusCode::NO_CONTENT,
        _ => StatusCode::NOT_FOUND,
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

/// The port from `--port`, else from the environment's `PORT`, else 3000; 0 takes a free one.
fn port() -> Result<u16, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = match arguments.next().as_deref() {
        Some("--port") => arguments.next().ok_or("--port needs a number")?,
        Some(unknown) => return Err(format!("unknown argument {unknown}; try --port 3000").into()),
        None => std::env::var("PORT").unwrap_or_else(|_| "3000".into()),
    };
    port.parse().map_err(|error| format!("port {port:?}: {error}").into())
}

/// Waits for Ctrl-C, or for the SIGTERM that service managers send.
async fn stop_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
