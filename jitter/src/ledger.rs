//! What one client has received, held against what was sent.

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;

use crate::schedule::{Slot, Stamp, micros, slots};

/// How a link ended, or what was done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// It was never cut.
    None,
    /// Both ends saw it close.
    Fin,
    /// Both ends saw it break.
    Reset,
    /// Nothing came through any more, and nobody was told.
    Silence,
    /// One way stood still, and an end gave it up.
    Stall,
    /// An end hung up by itself.
    HungUp,
}

impl Cause {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "no cut",
            Self::Fin => "closed (FIN)",
            Self::Reset => "reset (RST)",
            Self::Silence => "silence",
            Self::Stall => "stalled one way",
            Self::HungUp => "an end hung up",
        }
    }
}

/// What must come in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Broadcasts and direct sends together.
    One,
    /// Each for itself.
    Two,
}

/// The book of one client, kept by this program for all kinds of clients.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Pages>);

#[derive(Debug)]
struct Pages {
    cause: Cause,
    links: u64,
    is_open: bool,
    /// How often the frame at each position has come.
    seen: Vec<u8>,
    /// One beyond the highest position that has come.
    beyond: usize,
    streams: Streams,
    /// The same for each stream.
    beyond_in: [usize; 2],
    /// The last position on the link that is open, for each stream.
    last_on_link: [Option<usize>; 2],
    /// Where each link began, and what had ended the one before.
    began: Vec<(usize, Cause)>,
    twice: u64,
    disorder: u64,
    received: u64,
    catching_up: Option<CatchingUp>,
    catch_up_micros: Vec<u64>,
    /// The client's own messages.
    sent: u64,
    /// The first message that went over each link, and what ended the link before it.
    sent_began: Vec<(u64, Cause)>,
    /// What the client has said of itself.
    sessions_new: u64,
    ended: u64,
}

#[derive(Debug, Clone, Copy)]
struct CatchingUp {
    opened_at: u64,
    last_missed_at: Option<u64>,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            cause: Cause::None,
            links: 0,
            is_open: false,
            seen: Vec::new(),
            beyond: 0,
            streams: Streams::One,
            beyond_in: [0; 2],
            last_on_link: [None; 2],
            began: vec![(0, Cause::None)],
            twice: 0,
            disorder: 0,
            received: 0,
            catching_up: None,
            catch_up_micros: Vec::new(),
            sent: 0,
            sent_began: Vec::new(),
            sessions_new: 0,
            ended: 0,
        }
    }
}

/// What is known in the end.
#[derive(Debug, Default, Clone)]
pub(crate) struct Account {
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) disorder: u64,
    pub(crate) lost_by: BTreeMap<Cause, u64>,
    pub(crate) links: u64,
    pub(crate) catch_up_micros: Vec<u64>,
}

impl Account {
    /// Adds that of another client.
    pub(crate) fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.lost += other.lost;
        self.twice += other.twice;
        self.disorder += other.disorder;
        self.links += other.links;
        self.catch_up_micros.extend(other.catch_up_micros);
        for (cause, lost) in other.lost_by {
            *self.lost_by.entry(cause).or_default() += lost;
        }
    }

    fn lose(&mut self, cause: Cause) {
        self.lost += 1;
        *self.lost_by.entry(cause).or_default() += 1;
    }
}

impl Ledger {
    pub(crate) fn new(streams: Streams) -> Self {
        Self(Mutex::new(Pages { streams, ..Pages::default() }))
    }

    /// The link does this to its connection.
    pub(crate) fn note_cause(&self, cause: Cause) {
        self.0.lock().cause = cause;
    }

    /// The client has shaken hands.
    pub(crate) fn opened(&self) {
        let mut pages = self.0.lock();
        pages.settle();
        pages.links += 1;
        pages.is_open = true;
        pages.last_on_link = [None; 2];
        let (beyond, cause, sent) = (pages.beyond, pages.cause, pages.sent);
        if pages.links > 1 {
            pages.began.push((beyond, cause));
            pages.catching_up = Some(CatchingUp { opened_at: micros(), last_missed_at: None });
        }
        pages.sent_began.push((sent, cause));
        pages.cause = Cause::HungUp;
    }

    /// The client has lost its link.
    pub(crate) fn closed(&self) {
        let mut pages = self.0.lock();
        pages.settle();
        pages.is_open = false;
    }

    /// The client has got a frame.
    pub(crate) fn got(&self, stamp: Stamp) {
        self.0.lock().got(stamp);
    }

    /// The client has a session that is not the one before.
    pub(crate) fn began_session(&self) {
        self.0.lock().sessions_new += 1;
    }

    /// The client has ended for good, and was not asked to.
    pub(crate) fn ended(&self) {
        self.closed();
        self.0.lock().ended += 1;
    }

    pub(crate) fn times_ended(&self) -> u64 {
        self.0.lock().ended
    }

    /// The number of the client's next message.
    pub(crate) fn next_number(&self) -> u64 {
        let mut pages = self.0.lock();
        pages.sent += 1;
        pages.sent - 1
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().is_open
    }

    pub(crate) fn sessions_new(&self) -> u64 {
        self.0.lock().sessions_new
    }

    pub(crate) fn received(&self) -> u64 {
        self.0.lock().received
    }

    /// The account of what came to the client, of so many ticks but for the positions that the
    /// server's application could not send.
    pub(crate) fn down(&self, of: Expected<'_>) -> Account {
        let mut pages = self.0.lock();
        pages.settle();
        let mut account = Account {
            twice: pages.twice,
            disorder: pages.disorder,
            links: pages.links,
            catch_up_micros: pages.catch_up_micros.clone(),
            ..Account::default()
        };
        for position in of.positions() {
            account.expected += 1;
            if pages.seen.get(position).is_none_or(|times| *times == 0) {
                account.lose(pages.cause_of(position));
            }
        }
        account
    }

    /// The account of what the client has sent, from the numbers that came to the server.
    pub(crate) fn up(&self, heard: &Heard) -> Account {
        let pages = self.0.lock();
        let mut account = Account {
            expected: pages.sent,
            twice: heard.twice,
            disorder: heard.disorder,
            links: pages.links,
            ..Account::default()
        };
        let came: HashSet<u64> = heard.ranges.iter().flat_map(|(from, to)| *from..*to).collect();
        for number in (0..pages.sent).filter(|number| !came.contains(number)) {
            let next = pages.sent_began.iter().find(|(first, _)| *first > number);
            account.lose(next.map_or(pages.cause, |(_, cause)| *cause));
        }
        account
    }
}

/// What a client should have got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) ticks: u64,
    pub(crate) client: usize,
    pub(crate) direct_every: u64,
    pub(crate) refused: &'a HashSet<(usize, u64)>,
}

impl Expected<'_> {
    fn positions(self) -> impl Iterator<Item = usize> {
        let sent =
            move |slot: &Slot| !slot.is_direct || !self.refused.contains(&(self.client, slot.tick));
        slots(self.ticks, self.client, self.direct_every).filter(sent).map(Slot::position)
    }
}

/// What a server has heard of one client.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Heard {
    /// The numbers that have come, each range without its end.
    pub(crate) ranges: Vec<(u64, u64)>,
    pub(crate) twice: u64,
    pub(crate) disorder: u64,
}

impl Pages {
    fn got(&mut self, stamp: Stamp) {
        let position = stamp.slot().position();
        self.received += 1;
        if self.seen.len() <= position {
            self.seen.resize(position + 1, 0);
        }
        let is_new = self.seen[position] == 0;
        self.seen[position] = self.seen[position].saturating_add(1);
        // Repeated frames come in order as well, and before anything new.
        let stream = match self.streams {
            Streams::One => 0,
            Streams::Two => usize::from(stamp.slot().is_direct),
        };
        let follows = self.last_on_link[stream].is_none_or(|last| last < position);
        if !follows || (is_new && position < self.beyond_in[stream]) {
            self.disorder += 1;
        }
        if !is_new {
            self.twice += 1;
        }
        self.beyond = self.beyond.max(position + 1);
        self.beyond_in[stream] = self.beyond_in[stream].max(position + 1);
        self.last_on_link[stream] = Some(position);
        if let Some(catching_up) = &mut self.catching_up {
            if stamp.2 < catching_up.opened_at {
                catching_up.last_missed_at = Some(micros());
            } else {
                self.settle();
            }
        }
    }

    /// A client that gets something new has caught up.
    fn settle(&mut self) {
        if let Some(CatchingUp { opened_at, last_missed_at: Some(last) }) = self.catching_up.take()
        {
            self.catch_up_micros.push(last.saturating_sub(opened_at));
        }
    }

    /// What ended the link on which a missing frame was lost: the one before the link that began
    /// at or below it.
    fn cause_of(&self, position: usize) -> Cause {
        let before = self.began.iter().rev().find(|(began, _)| *began <= position);
        before.map_or(Cause::None, |(_, cause)| *cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(tick: u64) -> Stamp {
        Stamp::now(Slot { tick, is_direct: false })
    }

    fn account(ledger: &Ledger, ticks: u64) -> Account {
        let refused = HashSet::new();
        ledger.down(Expected { ticks, client: 1, direct_every: 1_000, refused: &refused })
    }

    #[test]
    fn a_gap_after_a_cut_is_lost_to_that_cut() {
        let ledger = Ledger::default();
        ledger.opened();
        ledger.got(stamp(0));
        ledger.note_cause(Cause::Silence);
        ledger.closed();
        ledger.opened();
        ledger.got(stamp(3));
        let account = account(&ledger, 4);
        assert_eq!((account.expected, account.lost, account.disorder), (4, 2, 0));
        assert_eq!(account.lost_by.get(&Cause::Silence), Some(&2));
    }

    #[test]
    fn a_repeated_tail_is_twice_and_in_order() {
        let ledger = Ledger::default();
        ledger.opened();
        (0..3).for_each(|tick| ledger.got(stamp(tick)));
        ledger.opened();
        (1..4).for_each(|tick| ledger.got(stamp(tick)));
        let account = account(&ledger, 4);
        assert_eq!((account.lost, account.twice, account.disorder), (0, 2, 0));
    }

    #[test]
    fn what_comes_late_is_out_of_order() {
        let ledger = Ledger::default();
        ledger.opened();
        for tick in [0, 2, 1] {
            ledger.got(stamp(tick));
        }
        let account = account(&ledger, 3);
        assert_eq!((account.lost, account.twice, account.disorder), (0, 0, 1));
    }

    #[test]
    fn what_was_sent_and_never_came_is_lost_to_the_end_of_its_link() {
        let ledger = Ledger::default();
        ledger.opened();
        (0..3).for_each(|number| assert_eq!(ledger.next_number(), number));
        ledger.note_cause(Cause::Reset);
        ledger.opened();
        ledger.next_number();
        let heard = Heard { ranges: vec![(0, 2), (3, 4)], ..Heard::default() };
        let account = ledger.up(&heard);
        assert_eq!((account.expected, account.lost), (4, 1));
        assert_eq!(account.lost_by.get(&Cause::Reset), Some(&1));
    }
}
