//! A client that speaks `wspulse.1`: it counts what it hears, keeps what it says until the server has
//! handled it, and comes back to its session with both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use wspulse::testing::masked;
use wspulse_core::protocol::{Control, Hello, ResumeOffer, SessionKind};

use super::heard::Heard;

/// What clients keep between their transports, by id.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: Mutex<BTreeMap<usize, Known>>,
    counts: Mutex<BTreeMap<usize, Counts>>,
}

/// What has been said to have come of a session. Two clients may share one: one comes back with its
/// token, and the other did not know of any, before the first had said a word.
#[derive(Debug, Default)]
struct Counts {
    highest: usize,
    /// When the newest handshake began that offered one.
    offered_at: Option<Instant>,
    /// One of two clients lacks what the other has acknowledged.
    is_disputed: bool,
}

/// The server takes handshakes for equally old that begin so soon after one another.
const SAME_TIME: Duration = Duration::from_millis(10);

/// What a client knows of its session.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    token: Option<String>,
    /// The connection that it has, by its admission.
    pub(crate) session: Option<usize>,
    /// The transport at which it began: a name for it, in what it says.
    pub(crate) key: usize,
    /// All that it has heard.
    pub(crate) heard: Vec<Heard>,
    /// Which of all that it has said are numbered messages; the others are replies.
    said: Vec<Kind>,
    /// What the server has not handled, as far as it knows: the last of it.
    outbox: VecDeque<Vec<u8>>,
    /// How many of all that it has said the server has handled.
    handled: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Numbered,
    Reply,
}

/// Such a client, at one transport.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) known: Known,
    is_greeted: bool,
}

impl Clients {
    /// What the client with this id knows, which nobody else uses meanwhile.
    pub(crate) fn take(&self, id: usize) -> Option<Known> {
        self.known.lock().unwrap().remove(&id)
    }

    pub(crate) fn put_back(&self, id: usize, known: Known) {
        self.known.lock().unwrap().insert(id, known);
    }

    /// A handshake begins now that offers what this client knows. Tells the session if a client of
    /// it lacks what another one has acknowledged.
    pub(crate) fn offer(&self, known: &Known) -> Option<usize> {
        let session = known.session?;
        let now = Instant::now();
        let (mut counts, count) = (self.counts.lock().unwrap(), known.heard.len());
        let counts = counts.entry(session).or_default();
        let is_beside = counts.offered_at.is_some_and(|before| now - before < SAME_TIME);
        counts.is_disputed |= count < counts.highest || (is_beside && count > counts.highest);
        counts.highest = counts.highest.max(count);
        counts.offered_at = Some(now);
        counts.is_disputed.then_some(session)
    }

    /// A client acknowledges what it has heard.
    pub(crate) fn acknowledge(&self, known: &Known) {
        if let Some(session) = known.session {
            let mut counts = self.counts.lock().unwrap();
            let highest = &mut counts.entry(session).or_default().highest;
            *highest = known.heard.len().max(*highest);
        }
    }
}

impl Known {
    const fn new(key: usize) -> Self {
        Self {
            token: None,
            session: None,
            key,
            heard: Vec::new(),
            said: Vec::new(),
            outbox: VecDeque::new(),
            handled: 0,
        }
    }

    /// What it offers in its handshake.
    pub(crate) fn offers(known: Option<&Self>) -> String {
        let resume = known.and_then(|known| {
            let token = known.token.clone()?;
            Some(ResumeOffer { token, count: known.heard.len() as u64 })
        });
        let offer = resume.map_or_else(String::new, |resume| format!(", {resume}"));
        format!("wspulse.1+json{offer}")
    }

    /// How many numbered messages the server has handled.
    pub(crate) fn handled_messages(&self) -> usize {
        self.said[..self.handled].iter().filter(|kind| **kind == Kind::Numbered).count()
    }

    /// What the server does not have: it may have thrown away what it had.
    fn beyond(&self, received: usize) -> Vec<u8> {
        let known = self.handled..=self.said.len();
        assert!(known.contains(&received), "{received} received, of {known:?}");
        self.outbox.iter().skip(received - self.handled).flatten().copied().collect()
    }

    fn handle(&mut self, handled: usize) {
        assert!(
            (self.handled..=self.said.len()).contains(&handled),
            "{handled} handled, after {} of {}",
            self.handled,
            self.said.len()
        );
        self.outbox.drain(..handled - self.handled);
        self.handled = handled;
    }
}

impl Exchange {
    /// At this transport.
    pub(crate) fn new(known: Option<Known>, transport: usize) -> Self {
        let known = known.unwrap_or_else(|| Known::new(transport));
        Self { known, is_greeted: false }
    }

    /// Hears a message of the protocol, at this transport to this connection, and returns what is to
    /// be written to it.
    pub(crate) fn control(&mut self, payload: &[u8], transport: usize, session: usize) -> Vec<u8> {
        match Control::parse(payload).expect("a message of the protocol") {
            Control::Hello(hello) => self.greet(*hello, transport, session),
            Control::Ask => {
                assert!(self.is_greeted, "the hello is first");
                text(&Control::Ack(self.known.heard.len() as u64))
            }
            Control::Ack(count) => {
                self.known.handle(usize::try_from(count).unwrap());
                Vec::new()
            }
            Control::Unknown | _ => panic!("a message of a later version"),
        }
    }

    fn greet(&mut self, hello: Hello, transport: usize, session: usize) -> Vec<u8> {
        assert!(!self.is_greeted, "one hello for each transport");
        let known = &mut self.known;
        match (hello.session, &known.token) {
            (SessionKind::New, None) => {}
            // What it knew is worth nothing any more.
            (SessionKind::New, Some(_)) => *known = Known::new(transport),
            (SessionKind::Resumed, token) => {
                assert!(token.is_some(), "it has not asked for one");
                assert_eq!(known.session, Some(session), "it is another's");
            }
        }
        known.handle(usize::try_from(hello.handled).unwrap());
        known.token = Some(hello.token);
        known.session = Some(session);
        self.is_greeted = true;
        known.beyond(usize::try_from(hello.received).unwrap())
    }

    pub(crate) fn hear(&mut self, heard: Heard) {
        assert!(self.is_greeted, "the hello is first");
        self.known.heard.push(heard);
    }

    /// Its next message, and by which numbers it goes: those of its session.
    pub(crate) fn next_number(&self) -> (usize, usize) {
        let numbered = self.known.said.iter().filter(|kind| **kind == Kind::Numbered);
        (self.known.key, numbered.count())
    }

    /// Says something, whole; returns what can be written now.
    pub(crate) fn say(&mut self, message: Vec<u8>, kind: Kind) -> Vec<u8> {
        self.known.said.push(kind);
        self.known.outbox.push_back(message.clone());
        if self.is_greeted { message } else { Vec::new() }
    }

    /// A question, if it may ask.
    pub(crate) fn question(&self) -> Vec<u8> {
        if self.is_greeted { text(&Control::Ask) } else { Vec::new() }
    }
}

fn text(control: &Control) -> Vec<u8> {
    masked(0x81, control.to_text().expect("it is known").as_bytes()).to_vec()
}
