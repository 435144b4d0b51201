//! A chat of rooms: whoever has logged in may enter one, and misses nothing while the link is gone.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use wspulse::{Admission, Connection, Delivery, Frame, Rejection, Server, ServerBuilder, origin};

/// What a client sends with `say`.
#[derive(Deserialize)]
struct Say {
    text: String,
}

/// What all members of a room hear with `said`.
#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    text: String,
}

/// The server's options and callbacks. `main` builds it as it is, and a test may change it first.
pub fn builder() -> ServerBuilder {
    Server::builder_sync(|request| {
        let token = request.query("token").ok_or_else(Rejection::unauthorized)?;
        let user = user_of(&token).ok_or_else(Rejection::unauthorized)?;
        let room = request.query("room").unwrap_or("lobby".into());
        Ok(Admission::room(room).user(user).id(user))
    })
    .on_message(on_message)
    .check_origin(origin::same_origin())
    .max_message_size(16 * 1024)
    .delivery(Delivery::ExactlyOnce)
    .resume_window(Duration::from_secs(30))
}

fn on_message(conn: Connection, frame: Frame) {
    if frame.event() != "say" {
        return;
    }
    let Ok(Say { text }) = frame.to_json() else {
        let _ = conn.send(Frame::new("error"));
        return;
    };
    let said = Said { from: conn.user_id().unwrap_or_default(), text };
    if let Ok(frame) = Frame::new("said").json(&said) {
        let _ = conn.room().broadcast(frame);
    }
}

/// The application around the server.
pub fn app(server: Server) -> Router {
    Router::new()
        .route_service("/ws", server)
        .route("/login", post(|name: String| async move { format!("token-of-{name}") }))
}

/// Your own check of a token belongs here.
fn user_of(token: &str) -> Option<&str> {
    token.strip_prefix("token-of-").filter(|user| !user.is_empty())
}
