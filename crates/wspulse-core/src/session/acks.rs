//! What the session keeps of what is on its way: whether to ask the peer how far it has got, and how
//! long it takes to answer.
//!
//! With a client that speaks `wspulse.1` the question is a message of its own. With any other it is
//! a Ping that names the newest frame written before it; a WebSocket endpoint answers with the same
//! payload (RFC 6455 §5.5.3), and as all of it goes in order, what was before the Ping has arrived.

use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::state::State;
use super::{Action, Session};
use crate::clock::{after, put_off};
use crate::disconnect::TransportLost;
use crate::outbound::WrittenBeside;

/// When a peer is asked how far it has got: at whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskConfig {
    /// So many frames were written since the newest question.
    pub frames: usize,
    /// So many bytes on the wire.
    pub bytes: usize,
    /// The first of them was written so long ago, and nothing since. As long as frames are written,
    /// it is four times and then sixteen times as long, unless a Ping of the heartbeat, which asks
    /// as well, comes before: an answer costs as much as two or three frames, a look as much as one.
    pub time: Duration,
}

/// How often the time becomes four times as long.
const LOOKS_MAX: u32 = 2;

/// What few bits every session has of it.
#[derive(Debug, Default)]
pub(super) struct Answering {
    peer: Peer,
    /// Somebody waits for an acknowledgement: the time is not put off.
    is_urgent: bool,
    /// The session comes from another server, and its client has not been here yet. Here, where there is
    /// a bit for it.
    pub(super) comes_from_elsewhere: bool,
}

/// What is there while something is written, or asked, and not acknowledged, or with a client that
/// speaks `wspulse.1`. All of one transport, but `exchange` and `oldest_at`.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Written whole since the newest question, if anything was.
    unasked: Option<Unasked>,
    question: Option<Question>,
    pub(super) exchange: Option<Exchange>,
    /// When the oldest frame that is not acknowledged was written first. Where an acknowledgement
    /// is for a part of what was asked about, it is that of an older one.
    oldest_at: Option<Instant>,
}

/// What was written and nobody has asked about.
#[derive(Debug, Clone, Copy)]
struct Unasked {
    frames: usize,
    bytes: usize,
    /// When the first of them was.
    since: Instant,
    /// How often it was looked whether more were written.
    looks: u32,
    /// How many had been at the latest look.
    seen: usize,
    /// By how much all looks are later.
    spread: Duration,
}

impl Unasked {
    /// When to look whether to ask.
    fn look_at(&self, config: &AskConfig, is_urgent: bool) -> Instant {
        if is_urgent {
            return after(self.since, config.time);
        }
        after(
            self.since,
            config.time.saturating_mul(4_u32.pow(self.looks)).saturating_add(self.spread),
        )
    }

    /// Looks. Tells whether to ask now: no more were written, or enough time has passed.
    fn look(&mut self, is_urgent: bool) -> bool {
        if is_urgent || self.frames == self.seen || self.looks == LOOKS_MAX {
            return true;
        }
        self.looks += 1;
        self.seen = self.frames;
        false
    }
}

/// Whether questions are answered. A gateway may keep them to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Peer {
    /// Nobody has had the time to.
    #[default]
    Unknown,
    /// One was, on this transport.
    Answers,
    /// None was so far, and one should have been. This is remembered from transport to transport.
    Silent,
}

/// The one question that is out.
#[derive(Debug, Clone, Copy)]
struct Question {
    /// The newest frame that was written before it.
    number: u64,
    deadline: Instant,
    /// It was asked again behind newer frames: which number it had at first, and when the next frame
    /// was written.
    before: Option<(u64, Instant)>,
}

impl Acks {
    fn is_due(&self, config: &AskConfig) -> bool {
        let is_much = |it: Unasked| it.frames >= config.frames || it.bytes >= config.bytes;
        self.question.is_none() && self.unasked.is_some_and(is_much)
    }

    /// When an answer is missing.
    pub(super) fn answer_deadline(&self, is_reading: bool) -> Option<Instant> {
        self.question.filter(|_| is_reading).map(|question| question.deadline)
    }

    /// When to look whether to ask: not before there is an answer.
    fn look_at(&self, config: &AskConfig, is_urgent: bool) -> Option<Instant> {
        let unasked = self.unasked.filter(|_| self.question.is_none())?;
        Some(unasked.look_at(config, is_urgent))
    }

    fn is_idle(&self) -> bool {
        let Self { unasked, question, exchange, oldest_at } = self;
        unasked.is_none() && question.is_none() && exchange.is_none() && oldest_at.is_none()
    }

    pub(super) fn handle_stall(&mut self, missed: Duration, time: Duration, now: Instant) {
        if let Some(question) = &mut self.question {
            question.deadline = put_off(question.deadline, missed, time, now);
        }
    }
}

/// A part of a time, so that the members of large rooms are not all looked at, nor asked, at once.
/// How much of a millisecond the clock is past another time is as good as random, and nothing where
/// time is virtual.
fn spread(time: Duration, now: Instant, other: Instant) -> Duration {
    const MILLISECOND: u32 = 1_000_000;
    let nanos = now.saturating_duration_since(other).subsec_nanos() % MILLISECOND;
    time.mul_f64(f64::from(nanos) / f64::from(MILLISECOND))
}

impl Session {
    /// So many frames, of so many bytes on the wire, were written whole.
    pub fn handle_written(&mut self, frames: usize, bytes: usize, now: impl FnOnce() -> Instant) {
        let (Some(config), State::Connected(link)) = (&self.config.ask, &self.state) else {
            return;
        };
        let acks = self.acks.get_or_insert_default();
        if let Some(unasked) = &mut acks.unasked {
            unasked.frames += frames;
            unasked.bytes += bytes;
        } else {
            // The clock is looked at for the first of many.
            let since = now();
            let spread = spread(config.time, since, link.heartbeat.heard_at());
            acks.unasked = Some(Unasked { frames, bytes, since, looks: 0, seen: frames, spread });
            acks.oldest_at.get_or_insert(since);
        }
    }

    /// Whether somebody waits for an acknowledgement, so that the peer is asked soon.
    #[inline]
    pub fn set_urgent(&mut self, is_urgent: bool) {
        self.answering.is_urgent = is_urgent;
    }

    /// When to look whether to ask.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let (Some(acks), Some(config)) = (&self.acks, &self.config.ask) else { return None };
        acks.look_at(config, self.answering.is_urgent).filter(|_| self.is_connected())
    }

    /// How much others may write with this session's transport before it must hear of it: the first
    /// frame, as there is a time by which to ask; then all until as much is written as is asked for.
    pub fn written_beside_max(&self) -> WrittenBeside {
        let (Some(config), Some(acks)) = (&self.config.ask, &self.acks) else {
            return WrittenBeside::default();
        };
        match (acks.question, acks.unasked) {
            // Nothing is asked before there is an answer.
            (Some(_), _) => WrittenBeside { frames: usize::MAX, bytes: usize::MAX },
            (None, Some(unasked)) => WrittenBeside {
                frames: config.frames.saturating_sub(unasked.frames),
                bytes: config.bytes.saturating_sub(unasked.bytes),
            },
            (None, None) => WrittenBeside::default(),
        }
    }

    /// Whether it asks at all, as what is not acknowledged is kept.
    #[inline]
    pub fn asks(&self) -> bool {
        self.config.ask.is_some()
    }

    /// Whether the next thing to be written should be a question, as much is on its way.
    #[inline]
    pub fn wants_to_ask(&self) -> bool {
        match (&self.config.ask, &self.acks) {
            (Some(config), Some(acks)) => acks.is_due(config),
            (None, _) | (_, None) => false,
        }
    }

    /// Whether no question is out, and nothing is written to ask for.
    pub fn asks_nothing(&self) -> bool {
        let is_nothing = |acks: &Acks| acks.question.is_none() && acks.unasked.is_none();
        self.acks.as_deref().is_none_or(is_nothing)
    }

    /// Whether no question is out that an answer could come to.
    pub fn may_ask(&self) -> bool {
        self.acks.as_ref().is_some_and(|acks| acks.question.is_none() && acks.unasked.is_some())
    }

    /// Whether what is written may be taken for arrived where there is no room to keep it: the peer
    /// does not answer, or nothing will be written again after the end.
    pub fn may_presume(&self) -> bool {
        !self.asks() || self.answering.peer == Peer::Silent || !self.is_connected()
    }

    /// A question is about to be written, behind the frame of this number. Where nothing is written
    /// that is not acknowledged, it asks nothing.
    pub fn handle_asked(&mut self, number: u64, now: Instant) {
        let unasked_at = self.unasked_at();
        if let Some(acks) = &mut self.acks
            && (acks.unasked.is_some() || acks.question.is_some())
        {
            let deadline = after(now, self.config.heartbeat.pong_timeout);
            let question = acks.question.get_or_insert(Question { number, deadline, before: None });
            if question.before.is_none() && question.number < number {
                question.before = unasked_at.map(|at| (question.number, at));
            }
            question.number = number;
            acks.unasked = None;
        }
    }

    /// Whether the peer has answered a question on this transport.
    pub fn is_answered(&self) -> bool {
        self.answering.peer == Peer::Answers
    }

    /// The peer has said that it has all frames up to this one, so many more than it had said
    /// before. Tells how long ago the oldest of them was written first, if there are any.
    pub fn handle_acknowledged(
        &mut self,
        number: u64,
        frames: usize,
        now: Instant,
    ) -> Option<Duration> {
        let age = self.oldest_age(now);
        let unasked_at = self.unasked_at();
        if self.asks() {
            self.answering.peer = Peer::Answers;
        }
        if let Some(acks) = &mut self.acks {
            if acks.question.take_if(|question| question.number <= number).is_some() {
                acks.oldest_at = unasked_at;
            } else if let Some(question) = &mut acks.question
                && let Some((_, at)) = question.before.take_if(|(first, _)| *first <= number)
            {
                acks.oldest_at = Some(at);
            }
        }
        // The answer to a newer question has its own whole time. What was known before is no answer.
        if frames > 0 {
            self.renew_question(now);
        }
        self.forget_idle_acks();
        age
    }

    /// How long ago the oldest frame was written first that is not acknowledged, if there is one.
    pub fn oldest_age(&self, now: Instant) -> Option<Duration> {
        let oldest_at = self.acks.as_ref()?.oldest_at?;
        Some(now.saturating_duration_since(oldest_at))
    }

    /// All that was written is taken for arrived.
    pub fn handle_presumed(&mut self) {
        if let Some(acks) = &mut self.acks {
            acks.oldest_at = None;
        }
        self.forget_idle_acks();
    }

    /// A session that is idle holds nothing.
    fn forget_idle_acks(&mut self) {
        self.acks.take_if(|acks| acks.is_idle());
    }

    /// When the first frame behind the newest question was written.
    fn unasked_at(&self) -> Option<Instant> {
        Some(self.acks.as_ref()?.unasked?.since)
    }

    /// The question in hand was not answered in time. A peer from which nothing more comes is given
    /// up at `heard_out_at`.
    fn handle_unanswered(&mut self, heard_out_at: Instant, now: Instant) {
        let time = self.config.heartbeat.pong_timeout;
        let unasked_at = self.unasked_at();
        let Some(acks) = &mut self.acks else { return };
        let Some(question) = acks.question.take() else { return };
        let peer = &mut self.answering.peer;
        match *peer {
            Peer::Answers => {
                self.actions.push_back(Action::PongTimeout);
                self.handle_transport_lost(TransportLost::PongTimeout, now);
            }
            // It may be gone, and with it what was on its way: its silence decides, which is told
            // first. Only who is heard long after the question is known not to answer.
            Peer::Unknown | Peer::Silent if heard_out_at >= after(now, time / 2) => {
                let is_news = *peer == Peer::Unknown;
                *peer = Peer::Silent;
                acks.oldest_at = unasked_at;
                self.actions.push_back(Action::Presume { number: question.number, is_news });
                self.forget_idle_acks();
            }
            Peer::Unknown | Peer::Silent => {
                acks.question = Some(Question { deadline: heard_out_at, ..question });
            }
        }
    }

    /// Does what is due of all this: whether to ask now.
    pub(super) fn handle_ask_timeout(
        &mut self,
        is_reading: bool,
        heard_out_at: Instant,
        now: Instant,
    ) {
        let (Some(config), Some(acks)) = (&self.config.ask, &mut self.acks) else { return };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(acks.answer_deadline(is_reading)) {
            self.handle_unanswered(heard_out_at, now);
        } else if is_due(acks.look_at(config, self.answering.is_urgent))
            && let Some(unasked) = &mut acks.unasked
            && unasked.look(self.answering.is_urgent)
        {
            self.actions.push_back(Action::Ping);
        }
    }

    /// Nothing could be heard while reading was paused: the answer has its whole time again.
    pub(super) fn renew_question(&mut self, now: Instant) {
        let renewed = after(now, self.config.heartbeat.pong_timeout);
        if let Some(acks) = &mut self.acks
            && let Some(question) = &mut acks.question
        {
            question.deadline = renewed;
        }
    }

    /// A transport begins, on which nothing was asked, and so many frames are written again.
    pub(super) fn begin_asking(&mut self, replayed: usize) {
        if self.config.ask.is_some() && matches!(self.state, State::Connected(_)) {
            let exchange = self.acks.as_mut().and_then(|acks| acks.exchange.take());
            let peer = &mut self.answering.peer;
            *peer = match *peer {
                // Whoever speaks the protocol answers, or is gone.
                _ if exchange.is_some() => Peer::Answers,
                Peer::Unknown | Peer::Answers => Peer::Unknown,
                Peer::Silent => Peer::Silent,
            };
            if let Some(acks) = &mut self.acks {
                let oldest_at = acks.oldest_at.filter(|_| replayed > 0);
                **acks = Acks { exchange, oldest_at, ..Acks::default() };
            }
            self.forget_idle_acks();
        }
    }
}
