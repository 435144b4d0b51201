//! What is said, in rooms and between two people: the events that a page may send.
//!
//! The server passes frames on and keeps none of this: what a newcomer or somebody who was away for
//! long must see is the application's, in a database or, as here, in memory.

#![expect(clippy::needless_pass_by_value, reason = "handlers of the router take values")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wspulse::router::{Json, Recovery, Reply, ReplyError, Router, RouterError, State};
use wspulse::{Audience, Connection, Frame, Outgoing, Server};

use crate::servers::{self, Servers};

/// In characters; in JSON one may take six bytes.
const TEXT_CHARS_MAX: usize = 500;
/// Who comes later sees no older messages.
const MESSAGES_KEPT: usize = 100;
const TALKS_MAX: usize = 500;

/// What pages send, and who takes it.
pub(crate) fn router(chat: Arc<Chat>) -> Result<Router, RouterError> {
    Router::builder()
        .state(chat)
        .layer(Recovery)
        .on("open", open)
        .on("say", say)
        .on("read", read)
        .on("typing", typing)
        .on("leave", leave)
        .on("presence.again", presence_again)
        .on("kick", kick)
        .on("sign-out", |conn: Connection| conn.close())
        .build()
}

/// All that is said, and the servers by which people hear it.
#[derive(Default)]
pub(crate) struct Chat {
    pub(crate) servers: Servers,
    talks: Mutex<HashMap<Place, Arc<Mutex<Talk>>>>,
}

/// Where something is said. As JSON it is `{"room": …}` or `{"between": [a, b]}`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Room(String),
    /// Two people, in the order of their names.
    Between([String; 2]),
}

/// What was said in a place. Whoever broadcasts holds its lock meanwhile, so that all hear it in the
/// order of the numbers. A broadcast only queues: nobody waits for a slow client here.
#[derive(Default)]
struct Talk {
    /// The number of the newest message.
    seq: u64,
    messages: VecDeque<Message>,
    /// The newest message that each person has read.
    read: BTreeMap<String, u64>,
}

#[derive(Clone, Serialize)]
struct Message {
    seq: u64,
    /// Made up by the page that sent it, so that it can send it again and be heard once.
    key: String,
    from: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

/// An event of one place.
#[derive(Serialize)]
struct In<'a, T> {
    #[serde(flatten)]
    place: &'a Place,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Opened<'a> {
    seq: u64,
    messages: Vec<&'a Message>,
    read: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Person<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

/// `to` is a room's name, or `@` and a person's.
#[derive(Deserialize)]
struct Open {
    to: String,
    /// The newest message that the page has; 0 if it has none.
    after: u64,
}

#[derive(Deserialize)]
struct Say {
    to: String,
    text: String,
}

#[derive(Deserialize)]
struct Read {
    to: String,
    seq: u64,
}

#[derive(Deserialize)]
struct Typing {
    to: String,
}

/// Enters a room, or turns to a person, and gets what was said after some message. The reply is sent
/// under the lock: so it has all that was said before, and what is said later comes behind it.
fn open(
    conn: Connection,
    request: Frame,
    Json(open): Json<Open>,
    State(chat): State<Arc<Chat>>,
) -> Result<Reply, ReplyError> {
    let place = Place::of(&conn, &open.to)?;
    let talk = chat.talk(&place)?;
    let talk = lock(&talk);
    if let Place::Room(room) = &place {
        conn.join(room).map_err(|error| ReplyError::new("join", error.to_string()))?;
    }
    let messages = talk.messages.iter().filter(|message| message.seq > open.after).collect();
    let opened = Opened { seq: talk.seq, messages, read: &talk.read };
    let reply = Frame::default().json(&opened).map_err(|error| unexpected(&error))?;
    conn.reply(&request, reply).map_err(|error| unexpected(&error))?;
    Ok(Reply::later())
}

fn say(
    conn: Connection,
    frame: Frame,
    Json(say): Json<Say>,
    State(chat): State<Arc<Chat>>,
) -> Result<(), ReplyError> {
    let text = say.text.trim();
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        let allowed = format!("a message has 1 to {TEXT_CHARS_MAX} characters");
        return Err(ReplyError::new("length", allowed));
    }
    let (key, from) = (frame.id().to_string(), name_of(&conn).to_owned());
    if key.is_empty() {
        return Err(ReplyError::new("id", "a message has an id"));
    }
    let place = Place::of_member(&conn, &say.to)?;
    let talk = chat.talk(&place)?;
    let mut talk = lock(&talk);
    // Its page does not know what became of it, since its session has ended.
    if talk.messages.iter().any(|message| message.key == key && message.from == from) {
        return Ok(());
    }
    talk.seq += 1;
    let message = Message { seq: talk.seq, key, from, text: text.to_owned(), at: now() };
    let told = Frame::new("said").json(&In { place: &place, what: &message });
    chat.tell(&place, &told.map_err(|error| unexpected(&error))?.into(), None);
    talk.messages.push_back(message);
    if talk.messages.len() > MESSAGES_KEPT {
        talk.messages.pop_front();
    }
    Ok(())
}

/// Somebody has read up to a message. Of those marks that wait for a slow client only the newest is
/// worth sending.
fn read(
    conn: Connection,
    Json(read): Json<Read>,
    State(chat): State<Arc<Chat>>,
) -> Result<(), ReplyError> {
    let place = Place::of_member(&conn, &read.to)?;
    let talk = chat.talk(&place)?;
    let mut talk = lock(&talk);
    let user = name_of(&conn);
    let seq = read.seq.min(talk.seq);
    let newest = talk.read.entry(user.to_owned()).or_default();
    if *newest < seq {
        *newest = seq;
        let told = In { place: &place, what: Person { user, seq: Some(seq) } };
        let told = Frame::new("read").json(&told).map_err(|error| unexpected(&error))?;
        // A mark of one place takes no mark of another away. No name holds an `@`.
        let key = match &place {
            Place::Room(room) => format!("read {user}@{room}"),
            Place::Between([one, other]) if one == user => format!("read {user}@@{other}"),
            Place::Between([one, _]) => format!("read {user}@@{one}"),
        };
        chat.tell(&place, &told.conflate(key), None);
    }
    Ok(())
}

/// Worth nothing a moment later, so nothing waits for it.
fn typing(
    conn: Connection,
    Json(typing): Json<Typing>,
    State(chat): State<Arc<Chat>>,
) -> Result<(), ReplyError> {
    let place = Place::of_member(&conn, &typing.to)?;
    let user = name_of(&conn);
    let told = Frame::new("typing").json(&In { place: &place, what: Person { user, seq: None } });
    let told = told.map_err(|error| unexpected(&error))?;
    chat.tell(&place, &told.volatile(), Some(user));
    Ok(())
}

fn leave(conn: Connection, Json(room): Json<String>) {
    conn.leave(&room);
}

/// A page has missed changes of who is in a room.
fn presence_again(conn: Connection, Json(room): Json<String>) {
    // It fails if the page has left the room, and then wants nothing any more.
    let _ = conn.resend_presence(&room);
}

/// Anybody may kick anybody here; elsewhere this is the place to check that.
fn kick(Json(user): Json<String>, State(chat): State<Arc<Chat>>) {
    for server in chat.servers.all() {
        server.user(user.as_str()).kick();
    }
}

impl Chat {
    fn talk(&self, place: &Place) -> Result<Arc<Mutex<Talk>>, ReplyError> {
        let mut talks = self.talks.lock().unwrap_or_else(PoisonError::into_inner);
        if talks.len() >= TALKS_MAX && !talks.contains_key(place) {
            let bound = format!("no more than {TALKS_MAX} rooms and pairs are kept here");
            return Err(ReplyError::new("too_many", bound));
        }
        Ok(Arc::clone(talks.entry(place.clone()).or_default()))
    }

    /// Tells all who are in a place, on all servers, but one person perhaps.
    fn tell(&self, place: &Place, told: &Outgoing, but: Option<&str>) {
        for server in self.servers.all() {
            let mut audience = place.audience(&server);
            if let Some(user) = but {
                audience = audience.except_user(user);
            }
            // It fails only if the server has been closed, and then nobody is left to hear it.
            let _ = audience.broadcast(told.clone());
        }
    }
}

impl Place {
    /// A room, or `@` and a person, as this connection's person names it.
    fn of(conn: &Connection, to: &str) -> Result<Self, ReplyError> {
        let Some(other) = to.strip_prefix('@') else {
            return match servers::label(to, servers::ROOM_CHARS_MAX) {
                Some(room) => Ok(Self::Room(room)),
                None => Err(ReplyError::new("room", "no room has this name")),
            };
        };
        let Some(other) = servers::label(other, servers::NAME_CHARS_MAX) else {
            return Err(ReplyError::new("person", "nobody has this name"));
        };
        let mut both = [name_of(conn).to_owned(), other];
        both.sort();
        Ok(Self::Between(both))
    }

    /// The same, for those who are in it.
    fn of_member(conn: &Connection, to: &str) -> Result<Self, ReplyError> {
        match Self::of(conn, to)? {
            Self::Room(room) if !conn.is_in(&room) => {
                Err(ReplyError::new("not_in_room", format!("you are not in {room}")))
            }
            place @ (Self::Room(_) | Self::Between(_)) => Ok(place),
        }
    }

    fn audience(&self, server: &Server) -> Audience {
        match self {
            Self::Room(room) => server.to([room.as_str()]),
            Self::Between([one, other]) => {
                server.to([""; 0]).and_user(one.as_str()).and_user(other.as_str())
            }
        }
    }
}

fn name_of(conn: &Connection) -> &str {
    conn.user_id().expect("everybody is admitted with a name")
}

fn lock(talk: &Mutex<Talk>) -> MutexGuard<'_, Talk> {
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unexpected(error: &dyn std::error::Error) -> ReplyError {
    tracing::error!("{error}");
    ReplyError::new("internal", "the server failed")
}

fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis().try_into().unwrap_or(u64::MAX)
}
