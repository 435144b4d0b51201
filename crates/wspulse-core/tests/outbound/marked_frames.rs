//! Frames with a key, of which the newest is enough, and volatile ones, which give way to others.

use proptest::prelude::*;
use wspulse_core::codec::JsonCodec;
use wspulse_core::outbound::{
    OutboundQueue, OverflowPolicy, PushedMarked, QueueFull, Returned, Window,
};
use wspulse_core::{EncodedFrame, Frame, KEY_BYTES_MAX, KeyTooLong, Outgoing};

fn encoded(outgoing: &Outgoing) -> EncodedFrame {
    match outgoing.marks() {
        None => EncodedFrame::encode(&JsonCodec, &outgoing.frame),
        Some(marks) => EncodedFrame::encode_marked(&JsonCodec, &outgoing.frame, marks),
    }
    .expect("it can be encoded")
}

/// `k1` is the first of key `k`; `-1` has no key.
fn frame(name: &str) -> EncodedFrame {
    let plain = Frame::new(name.to_owned());
    match &name[..1] {
        "-" => encoded(&plain.into()),
        "~" => encoded(&plain.volatile()),
        key => encoded(&plain.conflate(key.to_owned())),
    }
}

fn push(queue: &mut OutboundQueue, name: &str) -> Result<PushedMarked, QueueFull> {
    push_by(queue, name, OverflowPolicy::DropOldest)
}

fn push_by(
    queue: &mut OutboundQueue,
    name: &str,
    policy: OverflowPolicy,
) -> Result<PushedMarked, QueueFull> {
    let policy = if name.starts_with('~') { OverflowPolicy::GiveWay } else { policy };
    match &name[..1] {
        "-" => {
            let pushed = queue.push(frame(name), policy);
            pushed.map(|pushed| PushedMarked { evicted: pushed.evicted, conflated: false })
        }
        _ => queue.push_marked(frame(name), policy),
    }
}

fn queue_of(names: &[&str]) -> OutboundQueue {
    filled(OutboundQueue::new(8), names)
}

fn filled(mut queue: OutboundQueue, names: &[&str]) -> OutboundQueue {
    for name in names {
        push(&mut queue, name).expect("there is room");
    }
    queue
}

/// What the socket gets that takes all.
fn drain(queue: &mut OutboundQueue) -> String {
    write(queue, usize::MAX)
}

fn write(queue: &mut OutboundQueue, frames: usize) -> String {
    let mut batch = queue.take();
    let bytes = batch.frames().take(frames).map(EncodedFrame::wire_bytes).sum();
    let mut sent = Vec::new();
    batch.advance(bytes, |frame| sent.push(name(frame)));
    queue.give_back(batch);
    sent.join(" ")
}

fn name(frame: &EncodedFrame) -> String {
    let text = std::str::from_utf8(frame.payload()).expect("JSON");
    text.split('"').nth(3).expect("its event").to_owned()
}

/// Accepted, sent, dropped, conflated, pending.
fn account(queue: &OutboundQueue) -> [u64; 5] {
    let stats = queue.stats();
    let account = [stats.accepted, stats.sent, stats.dropped, stats.conflated, stats.pending];
    assert_eq!(account[0], account[1..].iter().sum::<u64>(), "{account:?}");
    account
}

#[test]
fn a_newer_frame_takes_the_place_of_an_older_one_with_its_key() {
    let mut queue = queue_of(&["a1", "b1", "c1"]);
    let pushed = push(&mut queue, "a2").expect("it needs no room");
    assert_eq!(pushed, PushedMarked { evicted: 0, conflated: true });
    assert_eq!(account(&queue), [4, 0, 0, 1, 3]);
    assert_eq!(drain(&mut queue), "a2 b1 c1");
    assert_eq!(account(&queue), [4, 3, 0, 1, 0]);
}

#[test]
fn nothing_overtakes_a_frame_without_a_key() {
    let mut queue = queue_of(&["a1", "b1", "-1", "b2", "c1", "a2"]);
    assert_eq!(drain(&mut queue), "-1 b2 c1 a2");
}

#[test]
fn a_frame_that_changes_all_the_time_is_not_kept_from_its_turn() {
    let mut queue = queue_of(&["a1", "b1", "c1", "a2", "a3", "a4"]);
    assert_eq!(write(&mut queue, 1), "a4");
}

#[test]
fn what_a_writer_holds_is_not_replaced_unless_it_comes_back() {
    let mut queue = queue_of(&["a1", "b1"]);
    let mut batch = queue.take();
    let pushed = push(&mut queue, "a2").expect("there is room");
    assert!(!pushed.conflated);
    assert_eq!(account(&queue), [3, 0, 0, 0, 3]);
    batch.advance(0, |_| {});
    assert_eq!(queue.give_back(batch), Returned { evicted: 0, conflated: 1 });
    assert_eq!(account(&queue), [3, 0, 0, 1, 2]);
    assert_eq!(drain(&mut queue), "b1 a2");
}

#[test]
fn a_frame_that_takes_no_place_gives_its_own_to_a_newer_one() {
    let mut queue = queue_of(&["a2"]);
    let beside = queue.push_beside(frame("a1"), OverflowPolicy::RejectNewest);
    assert_eq!(beside.expect("there is room").evicted, 0);
    queue.push_beside(frame("b1"), OverflowPolicy::RejectNewest).expect("there is room");
    assert_eq!(account(&queue), [3, 0, 0, 0, 3]);
    for newer in ["b2", "a3"] {
        assert!(push(&mut queue, newer).expect("it needs no room").conflated, "{newer}");
    }
    assert_eq!(account(&queue), [5, 0, 0, 2, 3]);
    assert_eq!(drain(&mut queue), "a2 a3 b2");
}

#[test]
fn a_volatile_frame_beside_others_fades_as_they_do() {
    let mut queue = queue_of(&["-1"]);
    queue.push_beside(frame("~1"), OverflowPolicy::GiveWay).expect("there is room");
    assert_eq!(queue.drop_volatile(), 1);
    assert_eq!(drain(&mut queue), "-1");
}

#[test]
fn a_half_written_frame_is_written_to_its_end() {
    let mut queue = queue_of(&["a1", "b1"]);
    let mut batch = queue.take();
    batch.advance(3, |_| {});
    queue.give_back(batch);
    push(&mut queue, "a2").expect("there is room");
    push(&mut queue, "a3").expect("there is room");
    assert_eq!(drain(&mut queue), "a1 b1 a3");
}

#[test]
fn a_full_queue_has_room_for_a_newer_frame_of_a_key() {
    let mut queue = filled(OutboundQueue::new(2), &["a1", "-1"]);
    assert!(push_by(&mut queue, "-2", OverflowPolicy::RejectNewest).is_err());
    assert!(push_by(&mut queue, "a2", OverflowPolicy::RejectNewest).is_ok());
    assert_eq!(drain(&mut queue), "-1 a2");
}

#[test]
fn a_newer_frame_that_is_too_long_is_refused_and_the_older_one_stays() {
    let bytes = frame("a1").wire_bytes() + frame("-1").wire_bytes();
    let queue = || filled(OutboundQueue::new(8).with_capacity_bytes(bytes), &["a1", "-1"]);
    let mut refusing = queue();
    let full = push_by(&mut refusing, "a-much-longer", OverflowPolicy::RejectNewest);
    assert_eq!(full, Err(QueueFull::Bytes { capacity_bytes: bytes }));
    assert_eq!(drain(&mut refusing), "a1 -1");
    let mut dropping = queue();
    let pushed = push(&mut dropping, "a-much-longer").expect("the oldest makes room");
    assert_eq!((pushed.conflated, pushed.evicted), (true, 1));
    assert_eq!(account(&dropping), [3, 0, 1, 1, 1]);
}

#[test]
fn a_volatile_frame_takes_no_room_from_any_other() {
    let mut queue = filled(OutboundQueue::new(2), &["~1", "-1"]);
    assert!(push(&mut queue, "~2").is_err());
    for policy in [
        OverflowPolicy::RejectNewest,
        OverflowPolicy::RejectBeyondWaiting,
        OverflowPolicy::DropOldest,
    ] {
        let mut queue = filled(OutboundQueue::new(2), &["-1", "~1"]);
        let pushed = push_by(&mut queue, "-2", policy).expect("the volatile one makes room");
        assert_eq!(pushed.evicted, 1, "{policy:?}");
        assert_eq!(account(&queue), [3, 0, 1, 0, 2]);
        assert_eq!(drain(&mut queue), "-1 -2");
    }
}

#[test]
fn volatile_frames_stay_where_not_even_their_room_is_enough() {
    let bytes = frame("-1").wire_bytes() + frame("~1").wire_bytes();
    let queue = OutboundQueue::new(8).with_capacity_bytes(bytes);
    let mut queue = filled(queue, &["-1", "~1"]);
    let long = "-a-name-that-is-far-too-long";
    assert!(push_by(&mut queue, long, OverflowPolicy::RejectNewest).is_err());
    assert_eq!(drain(&mut queue), "-1 ~1");
}

#[test]
fn volatile_frames_that_wait_are_dropped_with_the_transport() {
    let mut queue = queue_of(&["~1", "-1", "~2", "a1"]);
    let mut batch = queue.take();
    batch.advance(3, |_| {});
    queue.give_back(batch);
    assert!(queue.rewind().is_some());
    assert_eq!(queue.drop_volatile(), 2);
    assert_eq!(queue.drop_volatile(), 0);
    assert_eq!(account(&queue), [4, 0, 2, 0, 2]);
    assert_eq!(drain(&mut queue), "-1 a1");
}

#[test]
fn transports_lost_in_the_middle_of_an_older_frame_do_not_count_against_the_newer_one() {
    let mut queue = queue_of(&["a1"]);
    for number in 2..10 {
        let mut batch = queue.take();
        batch.advance(3, |_| {});
        queue.give_back(batch);
        assert!(!queue.rewind().expect("half a frame").is_dropped());
        push(&mut queue, &format!("a{number}")).expect("it needs no room");
    }
    assert_eq!(drain(&mut queue), "a9");
}

#[test]
fn what_a_client_may_say_it_has_is_neither_replaced_nor_dropped() {
    let window = Window { frames: 8, bytes: 1_000 };
    for begun in ["a1", "~1"] {
        let mut queue = filled(OutboundQueue::new(8).with_window(window), &["b1", begun, "~2"]);
        let mut batch = queue.take();
        let first = frame("b1").wire_bytes();
        batch.advance(first + 3, |_| {});
        queue.give_back(batch);
        queue.rewind();
        assert_eq!(queue.drop_volatile(), 1, "the one that nobody has heard of");
        push(&mut queue, "b2").expect("there is room");
        push(&mut queue, "a2").expect("there is room");
        let resumed = queue.resume_at(2).expect("the farewell has finished it");
        assert_eq!(name(&resumed.finished.expect("it has")), begun);
        assert_eq!(drain(&mut queue), "b2 a2");
        assert_eq!(account(&queue), [5, 4, 1, 0, 0]);
    }
}

#[test]
fn an_acknowledgement_counts_what_was_written_and_not_what_was_replaced() {
    let window = Window { frames: 8, bytes: 1_000 };
    let mut queue = filled(OutboundQueue::new(8).with_window(window), &["a1", "a2", "-1", "a3"]);
    assert_eq!(drain(&mut queue), "-1 a3");
    assert_eq!(queue.acknowledge(2).map(|freed| freed.frames), Ok(2));
    assert!(queue.acknowledge(3).is_err());
}

#[test]
fn a_key_is_not_written_and_may_be_empty() {
    let frame = Frame::new("x").with_payload("1");
    let plain = encoded(&frame.clone().into());
    let long = "k".repeat(KEY_BYTES_MAX);
    for key in ["", "cursor:7", &long] {
        let keyed = encoded(&frame.clone().conflate(key.to_owned()));
        assert_eq!((keyed.wire(), keyed.payload()), (plain.wire(), plain.payload()));
        assert_eq!(keyed.payload_bytes(), plain.payload_bytes());
        assert_eq!(keyed.key(), Some(key.as_bytes()));
        assert!(keyed.has_key_of(&keyed) && !keyed.has_key_of(&plain));
    }
    assert_eq!(plain.key(), None);
    assert!(!plain.has_key_of(&plain));
}

#[test]
fn a_key_that_is_too_long_is_named_with_its_length_and_the_bound() {
    let outgoing = Frame::new("x").conflate("k".repeat(256));
    let marks = outgoing.marks().expect("a key");
    let error = EncodedFrame::encode_marked(&JsonCodec, &outgoing.frame, marks);
    let error = error.expect_err("no key may be so long");
    assert_eq!(error.get_ref().downcast_ref(), Some(&KeyTooLong { bytes: 256 }));
    assert_eq!(error.get_ref().to_string(), "its key has 256 bytes, but may have 255 at most");
}

proptest! {
    /// Whatever is pushed and however little the socket takes: what arrives of a key is in order,
    /// nothing overtakes a frame without one, and each key waits once at the most.
    #[test]
    fn a_slow_socket_gets_the_newest_of_each_key_in_order(
        steps in prop::collection::vec((0_u8..5, 0_usize..3), 1..120),
    ) {
        let mut queue = OutboundQueue::new(200);
        let mut sent: Vec<String> = Vec::new();
        let mut last = [0; 4];
        for (number, (key, frames)) in steps.into_iter().enumerate() {
            if key == 4 {
                sent.extend(write(&mut queue, frames).split_whitespace().map(str::to_owned));
                continue;
            }
            let letter = ["a", "b", "c", "-"][usize::from(key)];
            last[usize::from(key)] = number;
            push(&mut queue, &format!("{letter}{number:03}")).expect("there is room");
            prop_assert!(account(&queue)[4] >= 1);
        }
        sent.extend(drain(&mut queue).split_whitespace().map(str::to_owned));
        let numbers = |letter: &str| -> Vec<usize> {
            let of = sent.iter().filter(|name| name.starts_with(letter));
            of.map(|name| name[1..].parse().expect("a number")).collect()
        };
        for (place, letter) in ["a", "b", "c", "-"].into_iter().enumerate() {
            let numbers = numbers(letter);
            prop_assert!(numbers.is_sorted(), "{sent:?}");
            prop_assert_eq!(numbers.last().copied().unwrap_or_default(), last[place]);
        }
        // Nothing that was pushed after a plain frame is sent before it.
        for (place, plain) in sent.iter().enumerate().filter(|(_, name)| name.starts_with('-')) {
            prop_assert!(sent[..place].iter().all(|name| name[1..] < plain[1..]), "{sent:?}");
        }
        prop_assert_eq!(account(&queue)[4], 0);
    }
}
