use std::time::{Duration, Instant};

use wspulse_core::cluster::{MetaMark, NodeId};

use super::{At, Elsewhere, MarkedMeta, Next, Page, Record};
use crate::membership::presence::person::PersonId;

const OWN: NodeId = NodeId::new([0; NodeId::BYTES]);
const ONE: NodeId = NodeId::new([1; NodeId::BYTES]);
const OTHER: NodeId = NodeId::new([2; NodeId::BYTES]);
const WINDOW: Duration = Duration::from_secs(10);

fn id(name: &str) -> PersonId {
    PersonId::User(name.into())
}

fn record(is_here: bool, has_moved: bool) -> Record {
    Record { is_here, has_moved, meta: MarkedMeta::NONE }
}

const fn at(number: u64) -> At {
    At { stream: 1, number }
}

/// What is kept, by a clock that stands still unless it is told.
struct Room {
    elsewhere: Elsewhere,
    now: Instant,
}

impl Room {
    fn new() -> Self {
        Self { elsewhere: Elsewhere::new(OWN, WINDOW), now: Instant::now() }
    }

    fn hears(&mut self, origin: NodeId, number: u64, name: &str, record: Option<Record>) {
        let told = vec![(id(name), record)];
        self.elsewhere.hear(origin, at(number), told, |_| false, self.now);
    }

    fn page(&mut self, after: Option<&str>, number: u64, is_last: bool, names: &[&str]) -> Next {
        let people = names.iter().map(|name| (id(name), record(true, false))).collect();
        let page = Page { at: at(number), after: after.map(id), is_last, people };
        self.elsewhere.take_page(ONE, page, |_| false, self.now).1
    }

    fn is_here(&self, name: &str) -> Option<bool> {
        self.elsewhere.of(&id(name)).map(|(is_here, _)| is_here)
    }

    fn expires_after(&mut self, time: Duration) {
        self.now += time;
        self.elsewhere.expire(self.now);
    }
}

#[test]
fn a_change_that_is_newer_than_a_page_counts_whichever_comes_first() {
    for page_comes_first in [true, false] {
        let mut room = Room::new();
        assert!(room.elsewhere.begin_asking(ONE));
        let page = |room: &mut Room| room.page(None, 5, true, &["ann", "bob"]);
        if page_comes_first {
            page(&mut room);
        }
        room.hears(ONE, 6, "ann", None);
        room.hears(ONE, 7, "cid", Some(record(true, false)));
        if !page_comes_first {
            page(&mut room);
        }
        assert_eq!(room.is_here("ann"), None, "gone after the page was made");
        assert_eq!(room.is_here("bob"), Some(true));
        assert_eq!(room.is_here("cid"), Some(true), "come after the page was made");
    }
}

#[test]
fn a_change_that_is_older_than_a_page_counts_for_nothing_though_it_comes_later() {
    let mut room = Room::new();
    room.elsewhere.begin_asking(ONE);
    room.page(None, 5, true, &["ann"]);
    room.hears(ONE, 4, "ann", None);
    room.hears(ONE, 5, "bob", Some(record(true, false)));
    assert_eq!((room.is_here("ann"), room.is_here("bob")), (Some(true), None));
    room.hears(ONE, 6, "bob", Some(record(true, false)));
    assert_eq!(room.is_here("bob"), Some(true));
}

#[test]
fn each_page_counts_for_those_whom_it_is_about() {
    let mut room = Room::new();
    room.elsewhere.begin_asking(ONE);
    assert_eq!(room.page(None, 5, false, &["ann", "bob"]), Next::After(id("bob")));
    assert_eq!(room.page(None, 5, true, &["ann"]), Next::Nothing, "it was not asked for");
    // Somebody comes before the second page is made, and one of the first page goes.
    assert_eq!(room.page(Some("bob"), 7, true, &["cid", "dan"]), Next::Nothing);
    room.hears(ONE, 6, "ann", None);
    room.hears(ONE, 6, "dan", Some(record(false, false)));
    assert_eq!(room.is_here("ann"), None);
    assert_eq!(room.is_here("dan"), Some(true), "the page was newer");
}

#[test]
fn whoever_is_not_in_a_page_is_gone_and_a_gap_meanwhile_has_it_asked_for_again() {
    let mut room = Room::new();
    room.hears(ONE, 1, "ann", Some(record(true, false)));
    assert!(room.elsewhere.begin_asking(ONE));
    room.elsewhere.note_gap(ONE);
    assert!(!room.elsewhere.begin_asking(ONE), "it is at it");
    assert_eq!(room.page(None, 2, true, &["bob"]), Next::Again);
    assert_eq!((room.is_here("ann"), room.is_here("bob")), (None, Some(true)));
    assert_eq!(room.page(None, 3, true, &["bob"]), Next::Nothing);
    assert!(!room.elsewhere.begin_asking(ONE));
}

#[test]
fn whoever_has_moved_is_shown_as_it_was_then_away_then_gone() {
    let mut room = Room::new();
    room.hears(ONE, 1, "ann", Some(record(true, false)));
    room.hears(ONE, 2, "ann", Some(record(true, true)));
    room.expires_after(Duration::from_millis(2_999));
    assert_eq!(room.is_here("ann"), Some(true));
    room.expires_after(Duration::from_millis(1));
    assert_eq!(room.is_here("ann"), Some(false));
    room.expires_after(Duration::from_millis(6_999));
    assert_eq!(room.is_here("ann"), Some(false));
    room.expires_after(Duration::from_millis(1));
    assert_eq!(room.is_here("ann"), None);
    assert_eq!(room.elsewhere.next_due(), None);
}

#[test]
fn whoever_has_moved_is_where_it_was_told_next_and_nowhere_else() {
    for has_come_first in [true, false] {
        let mut room = Room::new();
        room.hears(ONE, 1, "ann", Some(record(true, false)));
        let moves = |room: &mut Room| room.hears(ONE, 2, "ann", Some(record(true, true)));
        let comes = |room: &mut Room| room.hears(OTHER, 1, "ann", Some(record(true, false)));
        if has_come_first {
            comes(&mut room);
            moves(&mut room);
        } else {
            moves(&mut room);
            comes(&mut room);
        }
        assert_eq!(room.elsewhere.next_due(), None, "nothing is waited for");
        room.hears(OTHER, 2, "ann", None);
        assert_eq!(room.is_here("ann"), None);
    }
}

#[test]
fn of_a_server_that_is_lost_only_those_are_kept_who_have_left_it() {
    let mut room = Room::new();
    room.hears(ONE, 1, "ann", Some(record(true, false)));
    room.hears(ONE, 2, "bob", Some(record(true, true)));
    room.elsewhere.silence(ONE, true);
    assert_eq!((room.is_here("ann"), room.is_here("bob")), (Some(false), Some(false)));
    room.elsewhere.lose(ONE);
    assert_eq!((room.is_here("ann"), room.is_here("bob")), (None, Some(false)));
    room.expires_after(WINDOW);
    assert_eq!(room.is_here("bob"), None);
    assert_eq!(room.elsewhere.origins.len(), 1, "it is forgotten");
}

#[test]
fn metadata_with_the_greatest_mark_count() {
    let mut room = Room::new();
    let marked = |number, node| {
        let mark = MetaMark { number, node };
        Some(Record { meta: MarkedMeta { mark, meta: None }, ..record(true, false) })
    };
    room.hears(ONE, 1, "ann", marked(2, ONE));
    room.hears(OTHER, 1, "ann", marked(2, OTHER));
    let mark = |room: &Room| room.elsewhere.of(&id("ann")).map(|(_, meta)| meta.mark);
    assert_eq!(mark(&room), Some(MetaMark { number: 2, node: OTHER }));
    room.hears(ONE, 2, "ann", marked(3, ONE));
    assert_eq!(mark(&room), Some(MetaMark { number: 3, node: ONE }));
}
