//! What clients say, and who hears it.

use serde::{Deserialize, Serialize};
use wspulse::router::{HandlerResult, Json, Recovery, ReplyError, Router, RouterError};
use wspulse::{Connection, Frame};

pub(crate) fn events() -> Result<Router, RouterError> {
    Router::builder().layer(Recovery).on("enter", enter).on("exit", exit).on("say", say).build()
}

/// What is in the frames, both ways.
#[derive(Deserialize, Serialize)]
struct Line {
    #[serde(skip_deserializing)]
    from: Option<String>,
    room: String,
    text: String,
}

/// Whether this user may read this room is your question.
fn enter(conn: Connection, Json(room): Json<String>) -> HandlerResult {
    conn.join(&room)?;
    Ok(())
}

fn exit(conn: Connection, Json(room): Json<String>) {
    conn.leave(&room);
}

/// Who sends what is no `Line` is answered `bad_payload`, and this is not called.
fn say(conn: Connection, Json(mut line): Json<Line>) -> HandlerResult {
    if !conn.is_in(&line.room) {
        return Err(ReplyError::new("not_in_room", "enter the room first").into());
    }
    line.from = conn.user_id().map(str::to_owned);
    conn.server().broadcast(&line.room, Frame::new("said").json(&line)?)?;
    Ok(())
}
