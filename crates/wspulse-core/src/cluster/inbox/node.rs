//! Another server, and its streams, as they are heard here.

use std::collections::HashMap;
use std::time::Instant;

use crate::cluster::ids::Target;
use crate::cluster::incoming::{Heard, Incoming, News};
use crate::cluster::message::NodeState;

#[derive(Debug)]
pub(super) struct Node {
    /// The number of the newest beat up to which all were heard.
    pub(super) beat: u64,
    pub(super) heard_at: Instant,
    pub(super) is_silent: bool,
    pub(super) is_gone: bool,
    pub(super) state: NodeState,
    pub(super) connections: u32,
    pub(super) streams: HashMap<Target, Followed>,
    /// How many questions it has to answer.
    pub(super) asked: usize,
    pub(super) is_asked_for_moved: bool,
}

#[derive(Debug)]
pub(super) struct Followed {
    pub(super) incoming: Incoming,
    /// When it is looked at again.
    pub(super) due: Option<Instant>,
}

impl Followed {
    pub(super) fn new(news: News, since: Instant, now: Instant, out: &mut Vec<Heard>) -> Self {
        Self { incoming: Incoming::new(news, since, now, out), due: None }
    }
}
