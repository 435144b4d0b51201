//! The room servers: who is let in, and how a new one takes over from the one before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use wspulse::codec::{CborCodec, MessagePackCodec, ProtobufCodec};
use wspulse::{
    Admission, ConnectRequest, Delivery, Rejection, RoomOptions, Server, UserLimit, origin,
};
use wspulse_inspector::Inspector;
use wspulse_prometheus::PrometheusCollector;

use crate::talk::{self, Chat};

/// A message's text is bounded in `talk.rs`; this leaves space for JSON around it.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// How long a tab may be away before its session ends.
const RESUME_WINDOW: Duration = Duration::from_mins(1);
/// How long a deploy takes. A real one is longer; see docs/deploys.md.
const DRAIN_WINDOW: Duration = Duration::from_secs(2);
pub(crate) const NAME_CHARS_MAX: usize = 24;
pub(crate) const ROOM_CHARS_MAX: usize = 32;
const ROOMS_MAX: usize = 16;
const WINDOWS_MAX: usize = 8;

/// The servers that have clients: one, and while a deploy goes on the one before as well. The last
/// one takes the new clients.
///
/// In a deployment these are processes, with a broker between them; here they share this memory.
#[derive(Default)]
pub(crate) struct Servers(Mutex<Vec<Deployed>>);

#[derive(Clone)]
struct Deployed {
    number: usize,
    server: Server,
    inspector: Inspector,
}

impl Servers {
    pub(crate) fn all(&self) -> Vec<Server> {
        self.lock().iter().map(|it| it.server.clone()).collect()
    }

    pub(crate) fn newest(&self) -> Option<Server> {
        self.lock().last().map(|it| it.server.clone())
    }

    /// Shows what the newest has.
    pub(crate) fn inspector(&self) -> Option<Inspector> {
        self.lock().last().map(|it| it.inspector.clone())
    }

    /// Adds a server, and tells which were there before.
    fn add(&self, server: Server, inspector: Inspector) -> Vec<Deployed> {
        let mut servers = self.lock();
        let before = servers.clone();
        let number = servers.last().map_or(0, |newest| newest.number + 1);
        servers.push(Deployed { number, server, inspector });
        before
    }

    fn remove(&self, number: usize) {
        self.lock().retain(|it| it.number != number);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Deployed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a new server take over: it gets all who come from now on, and the ones before send theirs
/// away, one after the other, with the word when to come back.
pub(crate) fn deploy(
    chat: &Arc<Chat>,
    metrics: &PrometheusCollector,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let server = build(chat, metrics)?;
    // Whoever can reach this machine's port may look, and press the buttons: this is a demonstration.
    let inspector = Inspector::open_to_everyone(server.clone()).show_payloads(true).build()?;
    for old in chat.servers.add(server, inspector) {
        let chat = Arc::clone(chat);
        tokio::spawn(async move {
            old.server.drain(DRAIN_WINDOW).await;
            chat.servers.remove(old.number);
            // Its pages come again, to the new one's.
            old.inspector.close().await;
        });
    }
    Ok(())
}

fn build(
    chat: &Arc<Chat>,
    metrics: &PrometheusCollector,
) -> Result<Server, Box<dyn std::error::Error + Send + Sync>> {
    let server = Server::builder_sync(|request| admit(&request))
        .metrics(metrics.clone())
        .router(talk::router(Arc::clone(chat))?)
        .answer_failures(true)
        // Who is here, and who is away: each member is told, and again when that changes.
        .room_options(|_| RoomOptions::new().tell_presence())
        // Without this, any web page could open a connection with its visitor's cookies.
        .check_origin(origin::same_origin())
        .resume_window(RESUME_WINDOW)
        // A session that was resumed has missed nothing and has nothing twice, in both directions.
        .delivery(Delivery::ExactlyOnce)
        // JSON is the default; each page has the one that it asks for.
        .also_codec(MessagePackCodec)
        .also_codec(CborCodec)
        .also_codec(ProtobufCodec)
        .max_rooms_per_connection(ROOMS_MAX)
        .max_connections_per_user(WINDOWS_MAX, UserLimit::RefuseNew)
        // Short, so that one need not wait for long to see a silence or a deploy.
        .heartbeat(Duration::from_secs(3), Duration::from_secs(8))
        .drain_retry(Duration::from_millis(500))
        .max_message_size(MESSAGE_BYTES_MAX)
        .build()?;
    Ok(server)
}

/// Decides who may connect: `/ws?id=…&name=…&rooms=…`, the rooms as a JSON list.
///
/// The id is a random one that the tab made up and keeps to itself: a page that comes with it anew
/// takes the place of the one before. The name says who is there, in as many windows as they like.
/// Here everybody may take any name; an application with logins takes it from the login.
fn admit(request: &ConnectRequest) -> Result<Admission, Rejection> {
    let id = request.query("id").filter(|id| is_tab_id(id)).ok_or_else(|| bad_request("id"))?;
    let name = request.query("name").and_then(|name| label(&name, NAME_CHARS_MAX));
    let name = name.ok_or_else(|| bad_request("name"))?;
    let rooms = request.query("rooms").and_then(|rooms| rooms_in(&rooms));
    let rooms = rooms.ok_or_else(|| bad_request("rooms"))?;
    Ok(Admission::without_room().also_in(rooms).user(name).id(&*id))
}

fn is_tab_id(id: &str) -> bool {
    (16..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn rooms_in(list: &str) -> Option<Vec<String>> {
    let rooms: Vec<String> = serde_json::from_str(list).ok()?;
    let rooms = (rooms.len() <= ROOMS_MAX).then_some(rooms)?;
    rooms.iter().map(|room| label(room, ROOM_CHARS_MAX)).collect()
}

/// A name that others will see: some visible text, not too long. `@` is what pages tell people from
/// rooms by.
pub(crate) fn label(text: &str, chars_max: usize) -> Option<String> {
    let text = text.trim();
    let is_visible = !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '@');
    (is_visible && text.chars().count() <= chars_max).then(|| text.to_owned())
}

fn bad_request(parameter: &str) -> Rejection {
    Rejection::with_status(StatusCode::BAD_REQUEST, format!("missing or invalid: {parameter}"))
}
