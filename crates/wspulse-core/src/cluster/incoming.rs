//! One stream of another server's, as it is heard here.

mod patience;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytestring::ByteString;

use super::message::{Answer, Ask};
use super::{Said, Target};
use crate::clock::after;
pub(super) use patience::Lacks;
use patience::Patience;

/// The most frames of a stream that are held behind a hole. What comes beyond is asked for later.
const HELD_FRAMES_MAX: usize = 1024;

/// The most bytes of them.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// How long a beat, which may overtake frames that are on their way, is believed to have done so.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// How long an answer may take. Whoever waits for one that takes longer may hear nothing of what was
/// said when it had just begun to listen; one that is there earlier may bring what was said so long
/// before.
pub const ASK_WITHIN: Duration = Duration::from_millis(500);

/// How long to wait before asking once more, where that has failed.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// No server forgets a stream sooner than this after its last frame.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

/// How long frames are held for what lies before them, from the first question for it on: who waits for
/// a turn to ask, or has no connection to ask by, gives nothing up.
const HELD_FOR: Duration = Duration::from_secs(5);

/// How long it is tried to get frames behind which nothing is held.
const TAIL_FOR: Duration = Duration::from_secs(10);

/// How much of a stream is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// So many frames, in a row.
    Frames(u64),
    /// Some, or none: where it was is forgotten by those who knew.
    Unknown,
}

/// What comes out of a stream, in its order.
#[derive(Debug)]
pub(super) enum Heard {
    Said { stream: u32, first: u64, codec: ByteString, said: Vec<Said> },
    Missed(Missed),
}

/// Of which stream something has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) stream: u32,
    /// Whether its origin's beats were heard up to when it began: then it is known where the one before
    /// it has ended.
    pub(super) is_sure: bool,
}

/// Frames of a stream.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) first: u64,
    /// How long nothing was said before the first of them, in milliseconds.
    pub(super) quiet_ms: u32,
    pub(super) codec: ByteString,
    pub(super) said: Vec<Said>,
}

#[derive(Debug)]
pub(super) struct Incoming {
    stream: u32,
    /// The number of the next frame; `None` while it is not known with which it begins here.
    next: Option<u64>,
    /// The highest number that is known to be there.
    newest: u64,
    held: BTreeMap<u64, (ByteString, Said)>,
    held_bytes: usize,
    listening_since: Instant,
    lacks: Lacks,
}

impl Incoming {
    /// Of a stream that is heard of for the first time.
    pub(super) fn new(
        news: News,
        listening_since: Instant,
        now: Instant,
        out: &mut Vec<Heard>,
    ) -> Self {
        // There may have been one before it, which is forgotten.
        if !news.is_sure && after(listening_since, FORGOTTEN_AFTER) <= now {
            out.push(Heard::Missed(Missed::Unknown));
        }
        Self {
            stream: news.stream,
            next: None,
            newest: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            listening_since,
            lacks: Lacks::Nothing,
        }
    }

    /// How many bytes it holds for what lies before them.
    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Up to where it was told; `None` while it is not known with which frame it begins here.
    pub(super) fn told(&self) -> Option<(u32, u64)> {
        self.next.map(|next| (self.stream, next - 1))
    }

    pub(super) const fn lacks(&self) -> Lacks {
        self.lacks
    }

    /// Frames have come. What cannot be told yet is held, if that may be, or else asked for later.
    pub(super) fn hear(
        &mut self,
        news: News,
        arrived: Arrived,
        may_hold: bool,
        now: Instant,
        out: &mut Vec<Heard>,
    ) {
        let Arrived { first, quiet_ms, codec, said } = arrived;
        if !self.follow(news, out) {
            return;
        }
        if self.next.is_none() {
            let listened = now.saturating_duration_since(self.listening_since).as_millis();
            // What came before was said before anybody listened: both times are rounded down.
            let is_beginning = first == 1 || u128::from(quiet_ms) > listened;
            self.next = is_beginning.then_some(first);
        }
        self.newest = self.newest.max(first - 1 + said.len() as u64);
        match self.next {
            Some(next) if first <= next => self.pass_on(first, (codec, said), now, out),
            Some(_) | None => {
                if may_hold {
                    self.hold(first, &codec, said);
                }
                self.ask(now, now);
            }
        }
    }

    /// It is said to be as far as this.
    pub(super) fn tell(&mut self, news: News, newest: u64, now: Instant, out: &mut Vec<Heard>) {
        if !self.follow(news, out) {
            return;
        }
        self.newest = self.newest.max(newest);
        if self.next.is_none_or(|next| next <= self.newest) {
            self.ask(after(now, OVERTAKEN), now);
        }
    }

    /// What is to be asked now: it is asked until it is answered.
    pub(super) fn take_ask(&mut self, target: Target, now: Instant) -> Option<Ask> {
        let Lacks::Asking { at, mut patience } = self.lacks else { return None };
        if at > now {
            return None;
        }
        let until = after(now, self.time_to_ask());
        patience.begin(until);
        self.lacks = Lacks::Asked { patience };
        let Some(first) = self.next else {
            // Who is asked counts from when it hears of it.
            let age = now.saturating_duration_since(self.listening_since) + ASK_WITHIN;
            let age = age.as_millis();
            return Some(Ask::Since { target, age_ms: u32::try_from(age).unwrap_or(u32::MAX) });
        };
        Some(Ask::From { target, stream: self.stream, first })
    }

    /// `is_sure` says of the answer's stream what [`News`] says.
    pub(super) fn answered(
        &mut self,
        answer: Answer,
        is_sure: impl Fn(u32) -> bool,
        now: Instant,
        out: &mut Vec<Heard>,
    ) {
        match answer {
            Answer::Frames { stream, first, newest, is_truncated, codec, said } => {
                let before = self.next;
                if !self.follow(News { stream, is_sure: is_sure(stream) }, out) {
                    return self.ask_again(now);
                }
                if is_truncated && before.is_none() {
                    out.push(Heard::Missed(Missed::Unknown));
                }
                // What is before it is lost, but for what is held.
                self.skip_to(first, out);
                self.newest = self.newest.max(newest);
                let asked = std::mem::replace(&mut self.lacks, Lacks::Nothing);
                self.pass_on(first, (codec, said), now, out);
                if self.next == before && self.lacks != Lacks::Nothing {
                    self.lacks = asked;
                    self.ask_again(now);
                }
            }
            Answer::NoStream => self.give_up(now, out),
            // It was not asked for that.
            Answer::Moved { .. } => self.ask_again(now),
        }
    }

    /// Nobody has answered.
    pub(super) fn ask_again(&mut self, now: Instant) {
        if let Lacks::Asked { mut patience } = self.lacks {
            patience.ask_in_vain();
            self.lacks = Lacks::Asking { at: after(now, ASK_AGAIN), patience };
        }
    }

    /// Nobody was asked, as there is no connection.
    pub(super) fn unasked(&mut self, now: Instant) {
        if let Lacks::Asked { .. } = self.lacks {
            self.lacks = Lacks::Asking { at: after(now, ASK_AGAIN), patience: Patience::default() };
        }
    }

    /// Whether it is time to give up what it lacks. `answered_at` is when its origin has answered
    /// a question last, of whatever stream.
    pub(super) fn is_over(&self, answered_at: Option<Instant>, now: Instant) -> bool {
        match self.lacks {
            Lacks::Nothing | Lacks::Asked { .. } => false,
            Lacks::Asking { patience, .. } => patience.is_over(answered_at, now),
        }
    }

    /// What it lacks will not come any more: up to what is held, or all of it.
    pub(super) fn give_up(&mut self, now: Instant, out: &mut Vec<Heard>) {
        self.lacks = Lacks::Nothing;
        let to = self.held.keys().next().copied().unwrap_or(self.newest.saturating_add(1));
        if self.next.is_none() {
            out.push(Heard::Missed(Missed::Unknown));
        }
        self.skip_to(to, out);
        self.pass_on_held(out);
        self.ask_if_lacking(now);
    }

    /// Nothing more of it comes: what is held is passed on, and what is lacking is lost.
    pub(super) fn finish(&mut self, out: &mut Vec<Heard>) {
        if self.next.is_none() && self.newest > 0 {
            out.push(Heard::Missed(Missed::Unknown));
            self.skip_to(
                self.held.keys().next().copied().unwrap_or(self.newest.saturating_add(1)),
                out,
            );
        }
        if self.next.is_some() {
            self.skip_to(self.newest.saturating_add(1), out);
        }
        self.lacks = Lacks::Nothing;
    }

    /// Goes on with this stream, if it is this one, or a later one; else it is passed over.
    fn follow(&mut self, news: News, out: &mut Vec<Heard>) -> bool {
        let News { stream, is_sure } = news;
        if stream > self.stream && self.newest > 0 {
            self.finish(out);
            if !is_sure && self.next.is_some() {
                out.push(Heard::Missed(Missed::Unknown));
            }
            self.next = self.next.map(|_| 1);
            self.newest = 0;
            self.lacks = Lacks::Nothing;
        }
        if stream > self.stream {
            self.stream = stream;
        }
        stream == self.stream
    }

    /// What is before this is lost, as far as it did not come.
    fn skip_to(&mut self, to: u64, out: &mut Vec<Heard>) {
        if let Some(mut next) = self.next {
            while next < to {
                let held = self.held.range(next..to).next().map(|(number, _)| *number);
                let hole_to = held.unwrap_or(to);
                if hole_to > next {
                    out.push(Heard::Missed(Missed::Frames(hole_to - next)));
                }
                self.next = Some(hole_to);
                self.pass_on_held(out);
                next = self.next.unwrap_or(to).max(hole_to);
            }
            self.next = Some(next);
        } else {
            self.next = Some(to);
        }
    }

    /// These are the next, but for those that came before.
    fn pass_on(
        &mut self,
        first: u64,
        (codec, mut said): (ByteString, Vec<Said>),
        now: Instant,
        out: &mut Vec<Heard>,
    ) {
        let next = self.next.unwrap_or(first);
        let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        said.drain(..known.min(said.len()));
        if !said.is_empty() {
            self.next = Some(next.saturating_add(said.len() as u64));
            out.push(Heard::Said { stream: self.stream, first: next, codec, said });
        }
        self.pass_on_held(out);
        self.ask_if_lacking(now);
    }

    /// Of those that are held, what is next; what came meanwhile is dropped.
    fn pass_on_held(&mut self, out: &mut Vec<Heard>) {
        let Some(mut next) = self.next else { return };
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > next {
                break;
            }
            let (number, (codec, said)) = entry.remove_entry();
            self.held_bytes -= said.bytes();
            if number == next {
                next = next.saturating_add(1);
                out.push(Heard::Said {
                    stream: self.stream,
                    first: number,
                    codec,
                    said: vec![said],
                });
            }
        }
        self.next = Some(next);
    }

    fn hold(&mut self, first: u64, codec: &ByteString, said: Vec<Said>) {
        for (number, said) in (first..).zip(said) {
            let bytes = said.bytes();
            let is_full =
                self.held.len() >= HELD_FRAMES_MAX || self.held_bytes + bytes > HELD_BYTES_MAX;
            if is_full {
                break;
            }
            if self.held.insert(number, (codec.clone(), said)).is_none() {
                self.held_bytes += bytes;
            }
        }
    }

    fn ask_if_lacking(&mut self, now: Instant) {
        match self.next {
            Some(next) if next <= self.newest => self.ask(now, now),
            Some(_) => self.lacks = Lacks::Nothing,
            None => {}
        }
    }

    /// Has something asked for at this time, unless it is at it.
    pub(super) fn ask(&mut self, at: Instant, now: Instant) {
        let until = after(now, self.time_to_ask());
        self.lacks = match self.lacks {
            Lacks::Nothing => Lacks::Asking { at, patience: Patience::default() },
            Lacks::Asking { at: before, patience } => {
                Lacks::Asking { at: before.min(at), patience: patience.to(until) }
            }
            Lacks::Asked { patience } => Lacks::Asked { patience: patience.to(until) },
        };
    }

    /// How long it goes on to ask.
    fn time_to_ask(&self) -> Duration {
        if self.held.is_empty() { TAIL_FOR } else { HELD_FOR }
    }
}
