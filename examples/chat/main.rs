//! A chat to open in two browser tabs.
//!
//! ```text
//! cargo run --release --example chat [-- --port 3000]
//! ```
//!
//! The page (`chat.js`) shows the reconnect loop that an application would write. Its "Cut
//! network" button makes this server drop the tab's TCP connection for some seconds: the session
//! survives, and what was said meanwhile arrives when the tab is back. `/metrics` is for Prometheus.

mod cut;
mod room;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use wspulse::{Admission, ConfigError, ConnectRequest, DuplicatePolicy, Rejection, Server, origin};
use wspulse_prometheus::PrometheusCollector;

use cut::{CuttableListener, Network};
use room::{Member, Rooms};

/// A message's text is bounded by `room::TEXT_CHARS_MAX`; this leaves space for JSON around it.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// How long a tab may be away before its session ends.
const RESUME_WINDOW: Duration = Duration::from_mins(1);
const NAME_CHARS_MAX: usize = 24;
const ROOM_CHARS_MAX: usize = 32;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Standard output is for the address alone, so that scripts can read it.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let network = Arc::new(Network::default());
    let metrics = PrometheusCollector::builder().build()?;
    let server = chat_server(Arc::clone(&network), metrics.clone())?;
    let app = Router::new()
        .route("/", get(asset("text/html; charset=utf-8", include_str!("index.html"))))
        .route("/chat.css", get(asset("text/css; charset=utf-8", include_str!("chat.css"))))
        .route("/chat.js", get(asset("text/javascript; charset=utf-8", include_str!("chat.js"))))
        // Open to all here, who are on this machine; elsewhere it belongs behind a login.
        .route_service("/metrics", metrics.handler())
        .route_service("/ws", server.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port()?)).await?;
    println!("open http://{}/", listener.local_addr()?);
    // For the button that cuts the network; otherwise the listener itself will do.
    let listener = CuttableListener { listener, network };
    tokio::select! {
        result = wspulse::serve(listener, app) => result?,
        // Every client is told (close code 1001) and every callback finishes. Plain HTTP
        // connections are not waited for: browsers keep them open without a request on them.
        stopped = stop_signal() => {
            stopped?;
            server.close().await;
        }
    }
    Ok(())
}

fn chat_server(network: Arc<Network>, metrics: PrometheusCollector) -> Result<Server, ConfigError> {
    let rooms = Rooms::default();
    Server::builder_sync(move |request| admit(&request, &rooms, &network))
        .metrics(metrics)
        .on_connect(room::joined)
        .on_message(|conn, frame| room::received(&conn, &frame))
        .on_transport_drop(|conn, _cause| room::announce_members(&conn))
        .on_transport_restore(room::came_back)
        .on_disconnect(|conn, _reason| room::announce_members(&conn))
        // Without this, any web page could open a connection with its visitor's cookies.
        .check_origin(origin::same_origin())
        .resume_window(RESUME_WINDOW)
        // A tab whose network changed may be back before the server has missed it.
        .duplicates(DuplicatePolicy::Resume)
        .heartbeat(Duration::from_secs(10), Duration::from_secs(25))
        .max_message_size(MESSAGE_BYTES_MAX)
        .build()
}

/// Decides who may connect: `/ws?id=…&name=…&room=…`.
///
/// The id is a random one that the tab made up and keeps to itself: whoever knows it can take the
/// session over. An application with logins derives it from the login instead.
fn admit(
    request: &ConnectRequest,
    rooms: &Rooms,
    network: &Arc<Network>,
) -> Result<Admission, Rejection> {
    let id = request.query("id").filter(|id| is_tab_id(id)).ok_or_else(|| bad_request("id"))?;
    let name = label(request, "name", NAME_CHARS_MAX)?;
    let room = label(request, "room", ROOM_CHARS_MAX)?;
    network.connect(&id, request)?;
    let member = Member::new(name, rooms.enter(&room), Arc::clone(network));
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
