//! A whole small application: whoever logs in gets a token, enters rooms, and misses nothing over a
//! bad link or a deploy. It has metrics, an inspector for its admin, and tests.
//!
//! ```text
//! cargo run -p example-app [-- 127.0.0.1:3000 127.0.0.1:9000]
//! ```
//!
//! The second address is for Prometheus alone: `/metrics` is not for everybody. [`builder`] has the room
//! server's options, [`app`] the HTTP around it. `main` puts the two together as they are;
//! `tests.rs` does so in memory, and may change an option first.

mod login;
mod talk;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Html;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use wspulse::router::RouterError;
use wspulse::{
    Admission, ConnectRequest, Delivery, Frame, Rejection, Server, ServerBuilder, origin,
};
use wspulse_inspector::{Access, Inspector};
use wspulse_prometheus::PrometheusCollector;

use login::{Keys, login, renew};

const DRAIN: Duration = Duration::from_secs(5); // over so long a deploy sends its clients away

/// Of the HTTP handlers.
type App = (Server, Arc<Keys>);

fn builder(keys: Arc<Keys>, metrics: PrometheusCollector) -> Result<ServerBuilder, RouterError> {
    Ok(Server::builder_sync(move |request| admit(&request, &keys))
        .router(talk::events()?)
        .metrics(metrics)
        .on_expiring(|conn| drop(conn.send(Frame::new("token.wanted"))))
        .check_origin(origin::same_origin()) // or any page could come with its reader's cookie
        .max_message_size(16 * 1024)
        .delivery(Delivery::ExactlyOnce)
        .resume_window(Duration::from_secs(60))
        .answer_failures(true))
}

fn admit(request: &ConnectRequest, keys: &Keys) -> Result<Admission, Rejection> {
    let (user, until) = keys.verify(request.headers()).ok_or_else(Rejection::unauthorized)?;
    // Each tab has an id of its own, or a second one would take the place of the first. No user's name
    // has a `/`: `login` sees to that.
    let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
    Ok(Admission::room("lobby").user(&user).id(format!("{user}/{tab}")).expires_at(until))
}

fn app(server: Server, inspector: Inspector, keys: Arc<Keys>) -> axum::Router {
    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("../../chat/client.js"));
    axum::Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", get(script)) // `@wspulse/client`, built
        .route("/login", post(login))
        .route("/renew", post(renew))
        .route("/ready", get(ready)) // for a load balancer
        .with_state((server.clone(), keys))
        .route_service("/inspector", inspector)
        .route_service("/ws", server)
}

async fn ready(State((server, _)): State<App>) -> StatusCode {
    if server.is_draining() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// The page that shows who is there: for whoever has logged in as the admin.
fn inspector(server: Server, keys: Arc<Keys>) -> Result<Inspector, Box<dyn Error>> {
    let guard = move |request: Parts| {
        let is_admin = keys.is_admin(&request.headers);
        async move { if is_admin { Ok(Access::Full) } else { Err(Rejection::unauthorized()) } }
    };
    Ok(Inspector::guarded_by(server, guard).build()?)
}

/// What a service manager sends, or Ctrl-C.
async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    // Without a secret of yours, all tokens end with this process; without a password, there is no admin.
    let random = || rand::random::<[u8; 32]>();
    let secret = std::env::var("JWT_SECRET").map_or_else(|_| random().into(), String::into_bytes);
    let password = std::env::var("ADMIN_PASSWORD").unwrap_or_else(|_| format!("{:x?}", random()));
    let keys = Arc::new(Keys::new(&secret, password)?);
    let metrics = PrometheusCollector::builder().build()?;
    let server = builder(keys.clone(), metrics.clone())?.build()?;
    let inspector = inspector(server.clone(), keys.clone())?;
    let app = app(server.clone(), inspector.clone(), keys);
    let scraped = axum::Router::new().route_service("/metrics", metrics.handler());

    let mut addresses = std::env::args().skip(1);
    let public = TcpListener::bind(addresses.next().as_deref().unwrap_or("127.0.0.1:3000")).await?;
    let private =
        TcpListener::bind(addresses.next().as_deref().unwrap_or("127.0.0.1:9000")).await?;
    println!("open http://{}/", public.local_addr()?);
    let stopped = async move {
        stop_signal().await;
        server.drain(DRAIN).await; // `/ready` answers 503 meanwhile, and HTTP goes on
        inspector.close().await;
    };
    tokio::select! {
        served = wspulse::serve(public, app).with_graceful_shutdown(stopped) => served?,
        served = wspulse::serve(private, scraped) => served?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
