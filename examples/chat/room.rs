//! What happens in a room: who is there, what is said.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use wspulse::{Connection, ConnectionState, Frame, PayloadError};

/// In characters; in JSON one may take six bytes.
const TEXT_CHARS_MAX: usize = 500;

/// The number of the newest message. Whoever broadcasts holds the lock meanwhile, so that all
/// members get the messages in the order of their numbers, and never an older list of members
/// after a newer one. A broadcast only queues: nobody waits for a slow client here.
type LastMessage = Mutex<u64>;

/// The rooms that somebody is in.
#[derive(Default)]
pub(crate) struct Rooms {
    by_name: Mutex<HashMap<String, Weak<LastMessage>>>,
}

impl Rooms {
    pub(crate) fn enter(&self, name: &str) -> Arc<LastMessage> {
        let mut rooms = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(name).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::default();
        rooms.insert(name.to_owned(), Arc::downgrade(&room));
        room
    }
}

/// The application's data of a connection, for as long as the session lives.
pub(crate) struct Member {
    /// What the others know this member by; the connection's id is a secret of its tab.
    number: u64,
    name: String,
    last_message: Arc<LastMessage>,
}

impl Member {
    pub(crate) fn new(name: String, last_message: Arc<LastMessage>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { number, name, last_message }
    }

    fn of(conn: &Connection) -> &Self {
        conn.data().expect("every admission comes with a member")
    }
}

#[derive(Serialize)]
struct Welcome {
    member: u64,
    /// The newest message so far: the next one has the number after it.
    seq: u64,
}

#[derive(Serialize)]
struct Message<'a> {
    seq: u64,
    member: u64,
    name: &'a str,
    text: &'a str,
    /// Milliseconds since 1970.
    at: u64,
}

#[derive(Serialize)]
struct Presence<'a> {
    member: u64,
    name: &'a str,
    away: bool,
}

/// Why a frame was not acted upon.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("unknown event")]
    UnknownEvent,
    #[error("text is empty or too long")]
    Length,
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// A new session has begun.
pub(crate) fn joined(conn: &Connection) {
    welcome(conn);
    announce_members(conn);
}

pub(crate) fn received(conn: &Connection, frame: &Frame) {
    let handled = match frame.event() {
        "chat.message" => say(conn, frame),
        "member.kick" => kick(conn, frame),
        "room.leave" => {
            conn.close();
            Ok(())
        }
        _ => Err(Refused::UnknownEvent),
    };
    if let Err(error) = handled {
        tracing::info!("from {:?}: {error}", Member::of(conn).name);
        // The frame's own id tells the page what was refused. A slow reader may miss it.
        let _ = conn.send(Frame::new("frame.refused").with_id(frame.id().to_owned()));
    }
}

/// Tells everybody in the room who is there. Members without a transport are in the list too:
/// their session waits for them.
pub(crate) fn announce_members(conn: &Connection) {
    let _turn = Member::of(conn).last_message.lock().unwrap_or_else(PoisonError::into_inner);
    let connections = conn.room().connections();
    let mut members: Vec<_> = connections
        .iter()
        .map(|conn| {
            let Member { number, name, .. } = Member::of(conn);
            let away = conn.state() == ConnectionState::Suspended;
            Presence { member: *number, name, away }
        })
        .collect();
    members.sort_by_key(|presence| presence.member);
    broadcast(conn, Frame::new("room.members").json(&members));
}

fn say(conn: &Connection, frame: &Frame) -> Result<(), Refused> {
    let text: String = frame.to_json()?;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(Refused::Length);
    }
    let Member { number, name, last_message, .. } = Member::of(conn);
    let mut seq = last_message.lock().unwrap_or_else(PoisonError::into_inner);
    *seq += 1;
    let message = Message { seq: *seq, member: *number, name, text, at: now() };
    // The sender's id for it goes back with it: that is how the page knows that it has arrived.
    let id = frame.id().to_owned();
    broadcast(conn, Frame::new("chat.message").with_id(id).json(&message));
    Ok(())
}

/// Anybody may kick anybody here; elsewhere this is the place to check that.
fn kick(conn: &Connection, frame: &Frame) -> Result<(), Refused> {
    let number: u64 = frame.to_json()?;
    let room = conn.room().connections();
    if let Some(kicked) = room.iter().find(|conn| Member::of(conn).number == number) {
        // It may have gone by itself since, which is just as well.
        let _ = conn.server().kick(kicked.id());
    }
    Ok(())
}

fn broadcast(conn: &Connection, frame: Result<Frame, PayloadError>) {
    match frame {
        Ok(frame) => {
            // It fails only if the server has been closed, and then nobody is left to hear it.
            let _ = conn.room().broadcast(frame);
        }
        Err(error) => tracing::error!("{error}"),
    }
}

fn welcome(conn: &Connection) {
    let Member { number, last_message, .. } = Member::of(conn);
    let seq = last_message.lock().unwrap_or_else(PoisonError::into_inner);
    match Frame::new("welcome").json(&Welcome { member: *number, seq: *seq }) {
        // It fails only if the session has ended already.
        Ok(frame) => drop(conn.send(frame)),
        Err(error) => tracing::error!("{error}"),
    }
}

fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis().try_into().unwrap_or(u64::MAX)
}
