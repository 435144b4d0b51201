//! Who is here, who is away, and who is typing.
//!
//! ```text
//! cargo run -p example-presence [-- 127.0.0.1:3000]
//! curl 127.0.0.1:3000/who/tea
//! ```
//!
//! The server keeps the list and tells all members of each change. The page only shows it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use wspulse::router::{HandlerResult, Json as Payload, Router as Events, RouterError};
use wspulse::{
    Admission, ConnectRequest, Connection, Person, Rejection, RoomOptions, Server, ServerBuilder,
    origin,
};

fn builder() -> Result<ServerBuilder, RouterError> {
    let events = Events::builder().on("typing", typing).on("who", who_again).build()?;
    Ok(Server::builder_sync(admit)
        .room_options(|_room| RoomOptions::new().tell_presence())
        .router(events)
        // Whoever loses the link is away for so long, and gone after it.
        .resume_window(Duration::from_secs(15))
        // Whoever closes the page is gone at once.
        .on_transport_drop(|conn, cause| {
            if cause.is_normal() {
                conn.close();
            }
        })
        .on_presence(|room, changes| {
            for person in &changes.people {
                tracing::info!("{}: {} is {:?}", room.id(), person.id.as_str(), person.state);
            }
        })
        .check_origin(origin::same_origin()))
}

/// `/ws?user=ann&tab=1&room=tea`. Your own check of a token belongs here, as in the example `jwt`.
fn admit(request: ConnectRequest) -> Result<Admission, Rejection> {
    let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
    let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
    let room = request.query("room").unwrap_or("lobby".into());
    // By the user, all tabs and devices of a person are one in the list.
    Ok(Admission::room(room).user(&*user).id(format!("{user}/{tab}")))
}

/// What is set is told to all as the person's `meta`.
fn typing(conn: Connection, Payload(is_typing): Payload<bool>) -> HandlerResult {
    let meta = is_typing.then_some("typing"); // nothing takes it away again
    Ok(conn.set_presence(conn.room_id(), &meta)?)
}

/// A page that has missed a change asks for the whole list.
fn who_again(conn: Connection) -> HandlerResult {
    Ok(conn.resend_presence(conn.room_id())?)
}

/// The same list, for your own code.
async fn who(State(server): State<Server>, Path(room): Path<String>) -> Json<Vec<Person>> {
    Json(server.room(&room).presence().map(|snapshot| snapshot.people).unwrap_or_default())
}

fn app(server: Server) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/who/{room}", get(who))
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
