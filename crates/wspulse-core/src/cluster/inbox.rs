//! What a server hears of the others: in order, once, and with each hole filled or told.

mod looking;
mod losing;
mod node;
mod output;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::ids::{NodeId, Target};
use super::incoming::{Arrived, Heard, Lacks, News};
use super::message::{Answer, Ask, Batch, Beat, Moved, NodeState};
use crate::clock::{after, earlier};
use node::{Followed, Node};
pub use output::{AskId, InboxConfig, Output, Presence, Question};

/// What this server has heard of the others.
#[derive(Debug)]
pub struct Inbox {
    config: InboxConfig,
    /// Whom this server has here, and since when it has listened for them.
    interests: HashMap<Target, Instant>,
    nodes: BTreeMap<NodeId, Node>,
    /// Who is to be looked at again, and when.
    due: BTreeSet<(Instant, NodeId, Target)>,
    asks: HashMap<AskId, (NodeId, About)>,
    asks_made: u64,
    outputs: VecDeque<Output>,
    questions: VecDeque<Question>,
    /// Frames that came for groups that nobody is in here.
    foreign: u64,
    /// What all streams hold for what lies before it.
    held_bytes: usize,
}

/// What a question is about.
#[derive(Debug, Clone, Copy)]
enum About {
    Stream(Target),
    /// Which streams have moved.
    Moved,
}

/// How often whoever waits for its turn to ask looks whether it is to give up. It is asked for as soon
/// as there is room.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Inbox {
    /// For a server that has heard nothing yet.
    pub fn new(config: InboxConfig) -> Self {
        Self {
            config,
            interests: HashMap::new(),
            nodes: BTreeMap::new(),
            due: BTreeSet::new(),
            asks: HashMap::new(),
            asks_made: 0,
            outputs: VecDeque::new(),
            questions: VecDeque::new(),
            foreign: 0,
            held_bytes: 0,
        }
    }

    /// From now on this server has somebody here of these: call it once it is sure that what is said to
    /// them comes.
    pub fn begin(&mut self, target: Target, now: Instant) {
        self.interests.entry(target).or_insert(now);
    }

    /// It has nobody here any more.
    pub fn end(&mut self, target: Target) {
        if self.interests.remove(&target).is_some() {
            for node in self.nodes.values_mut() {
                let Some(followed) = node.streams.remove(&target) else { continue };
                self.held_bytes -= followed.incoming.held_bytes();
                if followed.is_waiting {
                    node.waiting.retain(|waiting| *waiting != target);
                }
            }
        }
    }

    /// A message has come that was said to these.
    pub fn handle_batch(&mut self, target: Target, batch: Batch, now: Instant) {
        let Batch { origin, stream, first, quiet_ms, sent_ms: _, codec, said } = batch;
        let Some(&since) = self.interests.get(&target) else {
            self.foreign += said.len() as u64;
            return;
        };
        if said.is_empty() || !self.meet(origin, now) {
            return;
        }
        let news = News { stream, is_sure: self.is_sure(origin, stream) };
        let arrived = Arrived { first, quiet_ms, codec, said };
        let may_hold = self.held_bytes < self.config.held_bytes_max;
        self.with_stream(origin, target, |streams, out| {
            let followed = streams.entry(target);
            let followed = followed.or_insert_with(|| Followed::new(news, since, now, out));
            followed.incoming.hear(news, arrived, may_hold, now, out);
        });
        self.settle(origin, target, now);
    }

    /// A server has told that it is there.
    pub fn handle_beat(&mut self, beat: Beat, now: Instant) {
        let Beat { origin, number, state, connections, moved } = beat;
        if !self.meet(origin, now) {
            return;
        }
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        node.connections = connections;
        node.state = state;
        node.newest_beat = node.newest_beat.max(number);
        if node.beat == 0 && number <= 1 {
            node.first_beat_at.get_or_insert(now);
        }
        // With nobody here, it lacks nothing of what was said before.
        let lacks_nothing = node.beat == 0 && self.interests.is_empty();
        let is_next = number <= node.beat.saturating_add(1) || lacks_nothing;
        if is_next {
            node.beat = node.beat.max(number);
        }
        self.told(origin, moved, now);
        if !is_next {
            self.ask_for_moved(origin);
        }
    }

    /// A question was answered, or was not. That nobody is there to answer proves no end: a server may
    /// be on its way back to whoever carries its messages.
    pub fn handle_answer(&mut self, id: AskId, answer: Option<Answer>, now: Instant) {
        let Some((origin, about)) = self.asks.remove(&id) else { return };
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        node.asked -= 1;
        if answer.is_some() {
            node.answered_at = Some(now);
        }
        match (about, answer) {
            (About::Stream(target), answer) => {
                let beat = node.beat;
                let is_sure = |stream| is_known(beat, stream);
                self.with_stream(origin, target, |streams, out| {
                    let Some(Followed { incoming, .. }) = streams.get_mut(&target) else { return };
                    match answer {
                        Some(answer) => incoming.answered(answer, is_sure, now, out),
                        None => incoming.ask_again(now),
                    }
                });
                self.settle(origin, target, now);
            }
            (About::Moved, answer) => {
                node.is_asked_for_moved = false;
                // Otherwise the next beat shows again what is lacking.
                if let Some(Answer::Moved { beat, is_truncated, moved }) = answer {
                    if is_truncated {
                        // Up to the beat before, all streams are known that have ended.
                        self.lose_others(origin, &moved, now);
                        self.told(origin, moved, now);
                        self.heard_beats(origin, beat);
                    } else {
                        self.heard_beats(origin, beat);
                        self.told(origin, moved, now);
                    }
                }
            }
        }
        self.ask_next(origin, now);
    }

    /// A question was not asked, as there is no connection: what it is about is not given up for that.
    pub fn handle_unasked(&mut self, id: AskId, now: Instant) {
        let Some((origin, about)) = self.asks.remove(&id) else { return };
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        node.asked -= 1;
        match about {
            About::Stream(target) => {
                if let Some(Followed { incoming, .. }) = node.streams.get_mut(&target) {
                    incoming.unasked(now);
                }
                self.settle(origin, target, now);
            }
            About::Moved => node.is_asked_for_moved = false,
        }
        self.ask_next(origin, now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, origin, target)) = self.due.first() {
            if at > now {
                break;
            }
            self.due.pop_first();
            let answered_at = self.nodes.get(&origin).and_then(|node| node.answered_at);
            self.with_stream(origin, target, |streams, out| {
                // Another one may have been forgotten meanwhile.
                let followed = streams.get_mut(&target).filter(|it| it.due == Some(at));
                if let Some(Followed { incoming, due, .. }) = followed {
                    *due = None;
                    if incoming.is_over(answered_at, now) {
                        incoming.give_up(now, out);
                    }
                }
            });
            self.settle(origin, target, now);
        }
        let Inbox { nodes, config, outputs, .. } = self;
        let mut gone = Vec::new();
        for (origin, node) in nodes {
            let has_left = node.state == NodeState::Leaving;
            let gone_after = if has_left { config.silent_after } else { config.gone_after };
            if after(node.heard_at, config.silent_after) <= now && !node.is_silent {
                node.is_silent = true;
                outputs.push_back(Output::Silent(*origin));
            }
            if after(node.heard_at, gone_after) <= now && !node.is_gone {
                gone.push(*origin);
            }
        }
        for origin in gone {
            self.lose_node(origin, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing comes before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silent = self.nodes.values().filter(|node| !node.is_gone).map(|node| {
            let waits_for_its_end = node.is_silent && node.state != NodeState::Leaving;
            let time =
                if waits_for_its_end { self.config.gone_after } else { self.config.silent_after };
            after(node.heard_at, time)
        });
        earlier(self.due.first().map(|(at, ..)| *at), silent.min())
    }

    /// The next thing to tell.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next question to ask.
    pub fn poll_ask(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// Something has come of this server; tells whether it is known.
    fn meet(&mut self, origin: NodeId, now: Instant) -> bool {
        if let Some(node) = self.nodes.get_mut(&origin) {
            node.heard_at = now;
            node.is_gone = false;
            if std::mem::take(&mut node.is_silent) {
                self.outputs.push_back(Output::Present(origin));
            }
            return true;
        }
        if self.nodes.len() >= self.config.nodes_max && !self.forget_gone() {
            return false;
        }
        self.nodes.insert(origin, Node::new(now));
        self.outputs.push_back(Output::Present(origin));
        true
    }

    fn heard_beats(&mut self, origin: NodeId, beat: u64) {
        if let Some(node) = self.nodes.get_mut(&origin) {
            node.beat = node.beat.max(beat);
        }
    }

    /// Streams of a server are said to be as far as this.
    fn told(&mut self, origin: NodeId, moved: Vec<Moved>, now: Instant) {
        for Moved { target, stream, newest } in moved {
            let Some(&since) = self.interests.get(&target) else { continue };
            let news = News { stream, is_sure: self.is_sure(origin, stream) };
            self.with_stream(origin, target, |streams, out| {
                let followed = streams.entry(target);
                let followed = followed.or_insert_with(|| Followed::new(news, since, now, out));
                followed.incoming.tell(news, newest, now, out);
            });
            self.settle(origin, target, now);
        }
    }

    /// Whether its beats were heard up to when this stream began.
    fn is_sure(&self, origin: NodeId, stream: u32) -> bool {
        self.nodes.get(&origin).is_some_and(|node| is_known(node.beat, stream))
    }

    fn ask_for_moved(&mut self, origin: NodeId) {
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        if std::mem::replace(&mut node.is_asked_for_moved, true) {
            return;
        }
        let ask = Ask::Moved { beat: node.beat };
        self.ask(origin, About::Moved, ask);
    }

    fn ask(&mut self, origin: NodeId, about: About, ask: Ask) {
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        node.asked += 1;
        self.asks_made += 1;
        let id = AskId(self.asks_made);
        self.asks.insert(id, (origin, about));
        self.questions.push_back(Question { id, node: origin, ask });
    }

    /// Does something with the streams of a server, and puts out what is heard of this one.
    fn with_stream(
        &mut self,
        origin: NodeId,
        target: Target,
        act: impl FnOnce(&mut HashMap<Target, Followed>, &mut Vec<Heard>),
    ) {
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        let mut heard = Vec::new();
        let held = |streams: &HashMap<Target, Followed>| {
            streams.get(&target).map_or(0, |followed| followed.incoming.held_bytes())
        };
        let held_before = held(&node.streams);
        act(&mut node.streams, &mut heard);
        self.held_bytes = self.held_bytes + held(&node.streams) - held_before;
        self.outputs.extend(heard.into_iter().map(|heard| match heard {
            Heard::Said { stream, first, codec, said } => {
                Output::Said { origin, target, stream, first, codec, said }
            }
            Heard::Missed(missed) => Output::Gap { origin, target, missed },
        }));
    }

    /// Asks for what a stream lacks, now or when it is time.
    fn settle(&mut self, origin: NodeId, target: Target, now: Instant) {
        let Some(node) = self.nodes.get_mut(&origin) else { return };
        let Some(followed) = node.streams.get_mut(&target) else { return };
        let may_ask = node.asked < self.config.asks_max;
        let ask = if may_ask { followed.incoming.take_ask(target, now) } else { None };
        let due = match followed.incoming.lacks() {
            // Of what was asked it will hear.
            Lacks::Nothing | Lacks::Asked { .. } => None,
            Lacks::Asking { at, .. } if at > now => Some(at),
            Lacks::Asking { .. } => {
                if !std::mem::replace(&mut followed.is_waiting, true) {
                    node.waiting.push_back(target);
                }
                Some(after(now, LOOK_AGAIN))
            }
        };
        if followed.due != due {
            if let Some(at) = followed.due {
                self.due.remove(&(at, origin, target));
            }
            if let Some(at) = due {
                self.due.insert((at, origin, target));
            }
            followed.due = due;
        }
        if let Some(ask) = ask {
            self.ask(origin, About::Stream(target), ask);
        }
    }

    /// Has those ask whose turn it is.
    fn ask_next(&mut self, origin: NodeId, now: Instant) {
        while let Some(node) = self.nodes.get_mut(&origin) {
            if node.asked >= self.config.asks_max {
                return;
            }
            let Some(target) = node.waiting.pop_front() else { return };
            if let Some(followed) = node.streams.get_mut(&target) {
                followed.is_waiting = false;
            }
            self.settle(origin, target, now);
        }
    }
}

/// Whether these beats show where all streams were when this one began, which is called after the beat
/// that was next then. One that was before it at its place was forgotten beats ago.
fn is_known(beat: u64, stream: u32) -> bool {
    beat.saturating_add(2) >= u64::from(stream)
}
