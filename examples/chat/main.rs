//! A chat to open in two browser tabs.
//!
//! ```text
//! cargo run --release --example chat [-- --port 3000]
//! ```
//!
//! | file | what |
//! |---|---|
//! | `talk.rs` | what is said: the events, and who hears them |
//! | `servers.rs` | the room servers: options, who is let in, deploys |
//! | `chat.js`, `talks.js`, `view.js` | the page: what happens, what it knows, what is to be seen |
//! | `client.js`, `codecs.js` | the client of `clients/typescript`, built, and other codecs than JSON |
//! | `network.rs` | a proxy in this process that the page's buttons cut |
//!
//! `/metrics` is for Prometheus, `/inspector` shows what the server has.

mod network;
mod servers;
mod talk;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use wspulse_prometheus::PrometheusCollector;

use network::{Network, Order};
use talk::Chat;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Standard output is for the address alone, so that scripts can read it.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let metrics = PrometheusCollector::builder().build()?;
    let chat = Arc::new(Chat::default());
    servers::deploy(&chat, &metrics)?;
    let network = Arc::new(Network::default());
    let app = Router::new()
        .route("/", get(asset("text/html; charset=utf-8", include_str!("index.html"))))
        .route("/chat.css", get(asset("text/css; charset=utf-8", include_str!("chat.css"))))
        .route("/chat.js", get(asset(JAVASCRIPT, include_str!("chat.js"))))
        .route("/talks.js", get(asset(JAVASCRIPT, include_str!("talks.js"))))
        .route("/view.js", get(asset(JAVASCRIPT, include_str!("view.js"))))
        .route("/client.js", get(asset(JAVASCRIPT, include_str!("client.js"))))
        .route("/codecs.js", get(asset(JAVASCRIPT, include_str!("codecs.js"))))
        .route("/network/{cable}/{order}", post(operate))
        .with_state(Arc::clone(&network))
        // Open to all here, who are on this machine; elsewhere it belongs behind a login.
        .route_service("/metrics", metrics.handler())
        .route("/deploy", post(deploy).with_state((Arc::clone(&chat), metrics)))
        // With one server for good it is `.route_service("/inspector", inspector)`.
        .route("/inspector", any(inspect).with_state(Arc::clone(&chat)))
        // With one server for good it is `.route_service("/ws", server)`.
        .route("/ws", get(enter).with_state(Arc::clone(&chat)));
    let pages = TcpListener::bind((Ipv4Addr::LOCALHOST, port()?)).await?;
    println!("open http://{}/", pages.local_addr()?);
    // Without buttons that cut the network, that listener would be the server's.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // Every client is told (close code 1001) and every callback finishes. Plain HTTP connections
    // are not waited for: browsers keep them open without a request on them.
    let stopped = async {
        stop_signal().await?;
        for server in chat.servers.all() {
            server.close().await;
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        result = wspulse::serve(listener, app) => result?,
        result = network.carry(pages, address) => result?,
        result = stopped => result?,
    }
    Ok(())
}

async fn enter(State(chat): State<Arc<Chat>>, request: Request) -> Response {
    match chat.servers.newest() {
        Some(server) => server.serve(request).await.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn inspect(State(chat): State<Arc<Chat>>, request: Request) -> Response {
    match chat.servers.inspector() {
        Some(inspector) => inspector.respond(request).await.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Anybody may deploy here.
async fn deploy(State((chat, metrics)): State<(Arc<Chat>, PrometheusCollector)>) -> StatusCode {
    match servers::deploy(&chat, &metrics) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(error) => {
            tracing::error!("{error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
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
fn port() -> Result<u16, Box<dyn Error + Send + Sync>> {
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
