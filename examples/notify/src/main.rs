//! Notifications from an HTTP handler to a person, on all of their devices.
//!
//! ```text
//! cargo run -p example-notify [-- 127.0.0.1:3000]
//! curl 127.0.0.1:3000/notify/ann --json '{ "text": "Your parcel is here" }'
//! ```
//!
//! The answer says how many devices that reaches. One that is in a tunnel gets it afterwards. What is
//! read on one device is read on all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use wspulse::router::{HandlerResult, Json as Payload, Router as Events, RouterError};
use wspulse::{
    Admission, ConnectRequest, Connection, Delivery, Frame, Rejection, Server, ServerBuilder,
    origin,
};

#[derive(Deserialize, Serialize)]
struct Notice {
    #[serde(skip_deserializing)]
    id: u64,
    text: String,
}

/// Yours has the keys of its database.
static NEWEST_ID: AtomicU64 = AtomicU64::new(0);

/// Who hears of it: devices that are connected, and devices whose link is gone for the moment.
#[derive(Serialize)]
struct Told {
    connected: usize,
    away: usize,
}

fn builder() -> Result<ServerBuilder, RouterError> {
    Ok(Server::builder_sync(admit)
        .router(Events::builder().on("read", read).build()?)
        .check_origin(origin::same_origin())
        .resume_window(Duration::from_secs(5 * 60)) // so long a device may be in a tunnel
        .delivery(Delivery::ExactlyOnce)) // and it misses nothing, and shows nothing twice
}

/// `/ws?user=ann&device=phone`. Your own check of a token belongs here, as in the example `jwt`.
fn admit(request: ConnectRequest) -> Result<Admission, Rejection> {
    let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
    let device = request.query("device").ok_or_else(Rejection::unauthorized)?;
    // No room: the devices of a person have the person in common.
    Ok(Admission::without_room().user(&*user).id(format!("{user}/{device}")))
}

/// One device tells the others what was read there.
fn read(conn: Connection, Payload(id): Payload<u64>) -> HandlerResult {
    if let Some(user) = conn.user_id() {
        conn.server().user(user).send(Frame::new("read").json(&id)?)?;
    }
    Ok(())
}

/// Any handler can do this; it only needs the server. Here anybody may call it.
async fn notify(
    State(server): State<Server>,
    Path(user): Path<String>,
    Json(mut notice): Json<Notice>,
) -> Result<(StatusCode, Json<Told>), StatusCode> {
    notice.id = NEWEST_ID.fetch_add(1, Ordering::Relaxed) + 1;
    let frame = Frame::new("notice").json(&notice).map_err(|_| StatusCode::BAD_REQUEST)?;
    let sent = server.user(&user).send(frame).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let told = Told { connected: sent.reached - sent.suspended, away: sent.suspended };
    // Where nobody is connected, now is the time for an e-mail.
    let status = if told.connected > 0 { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(told)))
}

fn app(server: Server) -> Router {
    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("../../chat/client.js"));
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", get(script)) // `@wspulse/client`, built
        .route("/notify/{user}", post(notify))
        .with_state(server.clone())
        .route_service("/ws", server)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("open http://{}/", listener.local_addr()?);
    wspulse::serve(listener, app(builder()?.build()?)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
