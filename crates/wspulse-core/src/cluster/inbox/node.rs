//! Another server, and its streams, as they are heard here.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::cluster::ids::Target;
use crate::cluster::incoming::{Heard, Incoming, News};
use crate::cluster::message::NodeState;

#[derive(Debug)]
pub(super) struct Node {
    /// The number of the newest beat up to which all were heard.
    pub(super) beat: u64,
    /// The highest number of a beat that was heard: where it is above, some were not.
    pub(super) newest_beat: u64,
    /// When its very first beat was heard, if it was.
    pub(super) first_beat_at: Option<Instant>,
    pub(super) heard_at: Instant,
    pub(super) is_silent: bool,
    pub(super) is_gone: bool,
    pub(super) state: NodeState,
    pub(super) connections: u32,
    pub(super) streams: HashMap<Target, Followed>,
    /// How many questions it has to answer.
    pub(super) asked: usize,
    pub(super) is_asked_for_moved: bool,
    /// Streams that have a question, in the order in which they will be asked for: it has enough to
    /// answer.
    pub(super) waiting: VecDeque<Target>,
    /// When it has answered a question of whatever stream.
    pub(super) answered_at: Option<Instant>,
}

impl Node {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            beat: 0,
            newest_beat: 0,
            first_beat_at: None,
            heard_at: now,
            is_silent: false,
            is_gone: false,
            state: NodeState::Serving,
            connections: 0,
            streams: HashMap::new(),
            asked: 0,
            is_asked_for_moved: false,
            waiting: VecDeque::new(),
            answered_at: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Followed {
    pub(super) incoming: Incoming,
    /// When it is looked at again.
    pub(super) due: Option<Instant>,
    /// Whether it waits for its turn to ask.
    pub(super) is_waiting: bool,
}

impl Followed {
    pub(super) fn new(news: News, since: Instant, now: Instant, out: &mut Vec<Heard>) -> Self {
        Self { incoming: Incoming::new(news, since, now, out), due: None, is_waiting: false }
    }
}
