//! What a client hears: the application's frames, and what the server tells by itself.

use serde::Deserialize;
use wspulse::PresenceState;

use super::journal::Said;
use super::people::Name;

/// A message of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Frame(Numbered),
    /// To what the client has asked.
    Reply(Said),
    Presence(Telling),
}

/// A frame that the application made, and the room that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) number: usize,
    pub(crate) room: Option<usize>,
}

/// Who is in a room, or what has changed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Telling {
    pub(crate) room: usize,
    pub(crate) sequence: u64,
    pub(crate) people: Vec<(Name, PresenceState)>,
    pub(crate) kind: TellingKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TellingKind {
    Snapshot,
    Changes,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: Option<&'a str>,
    event: &'a str,
    room: Option<&'a str>,
    #[serde(borrow)]
    payload: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct Told<'a> {
    room: &'a str,
    seq: u64,
    people: Option<Vec<Person<'a>>>,
    changes: Option<Vec<Person<'a>>>,
}

#[derive(Deserialize)]
struct Person<'a> {
    user: Option<&'a str>,
    connection: Option<&'a str>,
    state: &'a str,
}

impl Heard {
    pub(crate) fn parse(payload: &[u8]) -> Self {
        let message = Message::parse(payload);
        if message.event == "presence" {
            return Self::Presence(Telling::parse(message.payload.expect("it tells").get()));
        }
        if message.event == "reply" {
            let asked = message.id.and_then(Said::parse);
            return Self::Reply(asked.expect("the id of a message that asks"));
        }
        let number = message.event.parse().expect("the event is a number");
        Self::Frame(Numbered { number, room: message.room.map(room_number) })
    }

    /// Whether a message is none, but one of `wspulse.1`.
    pub(crate) fn is_control(payload: &[u8]) -> bool {
        payload.first() == Some(&b'[')
    }

    /// Whether it may be gone although its delivery is promised: it has a key, or is volatile.
    pub(crate) const fn may_be_replaced(number: usize) -> bool {
        matches!(number % 8, 1 | 3 | 6)
    }

    /// What a trace says of it.
    pub(crate) const fn traced(&self) -> (&'static str, usize) {
        match self {
            Self::Frame(frame) => ("frame", frame.number),
            Self::Reply(said) => ("reply", said.number),
            Self::Presence(telling) => ("presence", telling.room),
        }
    }
}

/// The id of a frame that is a request.
pub(crate) fn request_id(payload: &[u8]) -> Option<&str> {
    let message = Message::parse(payload);
    message.id.filter(|_| message.event != "reply")
}

impl<'a> Message<'a> {
    fn parse(payload: &'a [u8]) -> Self {
        serde_json::from_slice(payload).expect("a server writes frames")
    }
}

impl Telling {
    fn parse(text: &str) -> Self {
        let told: Told<'_> = serde_json::from_str(text).expect("what is told of a room");
        let (people, kind) = match (told.people, told.changes) {
            (Some(people), None) => (people, TellingKind::Snapshot),
            (None, Some(changes)) => (changes, TellingKind::Changes),
            (Some(_), Some(_)) | (None, None) => panic!("either of them: {text}"),
        };
        let people = people.iter().map(Person::read).collect();
        Self { room: room_number(told.room), sequence: told.seq, people, kind }
    }
}

impl Person<'_> {
    fn read(&self) -> (Name, PresenceState) {
        let name = match (self.user, self.connection) {
            (Some(user), None) => Name::User(user.to_owned()),
            (None, Some(connection)) => Name::Connection(connection.to_owned()),
            (Some(_), Some(_)) | (None, None) => panic!("a person is one of them"),
        };
        let state = match self.state {
            "here" => PresenceState::Here,
            "away" => PresenceState::Away,
            "gone" => PresenceState::Gone,
            state => panic!("nobody can be {state}"),
        };
        (name, state)
    }
}

fn room_number(room: &str) -> usize {
    room.parse().expect("rooms are numbers")
}
