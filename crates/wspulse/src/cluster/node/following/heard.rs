//! What was heard of logs.

use std::collections::HashSet;
use std::time::Duration;

use bytestring::ByteString;
use wspulse_core::cluster::{
    Answer, Ask, Beat, Inbox, InboxConfig, Moved, NodeId, NodeState, Output, Target,
};

use crate::cluster::node::{Telling, now};

/// How many rooms' logs are asked for what is lacking at a time.
const ASKS_MAX: usize = 32;

/// What has become of logs, under the lock of what is heard.
pub(in crate::cluster::node) struct Logs {
    pub(in crate::cluster::node) inbox: Inbox,
    /// Those of which something was heard since others were told last.
    pub(super) moved: HashSet<Target>,
    /// The number of the last beat, of which there is one for each second in which the logs are heard.
    pub(super) beat: u64,
    /// Something may not have come.
    pub(super) is_doubtful: bool,
}

impl Logs {
    pub(in crate::cluster::node) fn new() -> Self {
        let mut config = InboxConfig::default();
        // A log is there always, or is waited for.
        config.silent_after = Duration::MAX;
        config.gone_after = Duration::MAX;
        config.asks_max = ASKS_MAX;
        Self { inbox: Inbox::new(config), moved: HashSet::new(), beat: 0, is_doubtful: false }
    }

    /// What follows from what was heard.
    pub(in crate::cluster::node) fn tell(&mut self) -> Vec<Telling> {
        let mut telling = Vec::new();
        while let Some(output) = self.inbox.poll_output() {
            match &output {
                Output::Said { target, .. } => {
                    self.moved.insert(*target);
                }
                Output::Gap { .. } => {}
                Output::Present(_) | Output::Silent(_) | Output::Gone(_) => continue,
            }
            telling.push(Telling::Heard(output));
        }
        telling
    }

    /// Where a log begins here is asked for; if its very first frame has come meanwhile, it begins with
    /// that, and only how far it goes is news.
    pub(super) fn unless_begun(&self, ask: &Ask, answer: Answer) -> Answer {
        let (Ask::Since { target, .. }, Answer::Frames { stream, newest, .. }) = (ask, &answer)
        else {
            return answer;
        };
        let (stream, newest) = (*stream, *newest);
        match self.inbox.positions(*target).next() {
            Some(told) if told.stream == stream => Answer::Frames {
                stream,
                first: told.number + 1,
                newest: newest.max(told.number),
                is_truncated: false,
                codec: ByteString::new(),
                said: Vec::new(),
            },
            Some(_) | None => answer,
        }
    }

    /// Logs are as far as this. It says nothing of those that are not named, as a beat does.
    pub(super) fn hear_moved(&mut self, moved: Vec<Moved>) {
        self.hear_beat(0, moved);
    }

    pub(super) fn hear_beat(&mut self, number: u64, moved: Vec<Moved>) {
        let (origin, state) = (NodeId::LOG, NodeState::Serving);
        let beat = Beat { origin, number, state, connections: 0, moved };
        self.inbox.handle_beat(beat, now());
    }
}
