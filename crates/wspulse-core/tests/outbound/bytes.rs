//! The outbound queue's bound in bytes, beside the one in frames.

use wspulse_core::outbound::{OutboundQueue, OverflowPolicy, QueueFull};
use wspulse_core::{EncodedFrame, MessageKind, OutboundStats};

/// A frame that takes so many bytes on the wire, two of them for its header.
fn frame(wire_bytes: usize) -> EncodedFrame {
    let frame = EncodedFrame::from_payload(MessageKind::Binary, &vec![0; wire_bytes - 2]);
    assert_eq!(frame.wire_bytes(), wire_bytes);
    frame
}

fn queue() -> OutboundQueue {
    OutboundQueue::new(100).with_capacity_bytes(100)
}

fn send(queue: &mut OutboundQueue, wire_bytes: usize) -> Result<(), QueueFull> {
    queue.push(frame(wire_bytes), OverflowPolicy::RejectNewest).map(drop)
}

/// Tells how many frames it evicted.
fn broadcast(queue: &mut OutboundQueue, wire_bytes: usize) -> usize {
    let pushed = queue.push(frame(wire_bytes), OverflowPolicy::DropOldest);
    pushed.expect("a broadcast is never refused").evicted
}

/// One write that takes so many bytes; tells how many frames were evicted after it.
fn write(queue: &mut OutboundQueue, bytes: usize) -> usize {
    let mut batch = queue.take();
    batch.advance(bytes, |_| ());
    queue.give_back(batch).evicted as usize
}

fn account(queue: &OutboundQueue) -> [u64; 5] {
    let OutboundStats { accepted, sent, dropped, pending, held_bytes, .. } = queue.stats();
    [accepted, sent, dropped, pending, held_bytes]
}

const FULL: Result<(), QueueFull> = Err(QueueFull::Bytes { capacity_bytes: 100 });

#[test]
fn a_queue_takes_frames_up_to_its_bytes() {
    let mut queue = queue();
    assert_eq!(send(&mut queue, 60), Ok(()));
    assert_eq!(send(&mut queue, 40), Ok(()));
    assert_eq!(send(&mut queue, 2), FULL);
    assert_eq!(account(&queue), [2, 0, 0, 2, 100]);
}

#[test]
fn one_byte_too_many_is_refused_and_counts_nothing() {
    let mut queue = queue();
    send(&mut queue, 60).unwrap();
    assert_eq!(send(&mut queue, 41), FULL);
    assert_eq!(account(&queue), [1, 0, 0, 1, 60]);
}

#[test]
fn the_bound_in_frames_is_told_first() {
    let mut queue = OutboundQueue::new(1).with_capacity_bytes(100);
    send(&mut queue, 60).unwrap();
    assert_eq!(send(&mut queue, 60), Err(QueueFull::Frames { capacity_frames: 1 }));
}

#[test]
fn a_frame_longer_than_the_bound_is_taken_when_nothing_else_waits() {
    let mut queue = queue();
    assert_eq!(send(&mut queue, 120), Ok(()));
    assert_eq!(send(&mut queue, 2), FULL);
    write(&mut queue, 120);
    assert_eq!(account(&queue), [1, 1, 0, 0, 0]);
    send(&mut queue, 2).unwrap();
    assert_eq!(send(&mut queue, 120), FULL);
}

#[test]
fn a_broadcast_drops_as_many_of_the_oldest_as_it_takes() {
    let mut queue = queue();
    for _ in 0..10 {
        assert_eq!(broadcast(&mut queue, 10), 0);
    }
    assert_eq!(broadcast(&mut queue, 35), 4);
    assert_eq!(account(&queue), [11, 0, 4, 7, 95]);
}

#[test]
fn a_broadcast_longer_than_the_bound_waits_alone() {
    let mut queue = queue();
    broadcast(&mut queue, 10);
    broadcast(&mut queue, 10);
    assert_eq!(broadcast(&mut queue, 120), 2);
    assert_eq!(broadcast(&mut queue, 10), 1);
    assert_eq!(account(&queue), [4, 0, 3, 1, 10]);
}

#[test]
fn a_half_written_frame_is_neither_dropped_nor_counted() {
    let mut queue = queue();
    broadcast(&mut queue, 90);
    write(&mut queue, 1);
    assert_eq!(send(&mut queue, 100), Ok(()));
    assert_eq!(send(&mut queue, 2), FULL);
    assert_eq!(broadcast(&mut queue, 50), 1);
    assert_eq!(account(&queue), [3, 0, 1, 2, 140], "but it waits whole until it is taken");
}

#[test]
fn what_is_in_flight_counts_for_direct_sends() {
    let mut queue = queue();
    send(&mut queue, 60).unwrap();
    let batch = queue.take();
    assert_eq!(send(&mut queue, 41), FULL);
    assert_eq!(send(&mut queue, 40), Ok(()));
    assert_eq!(account(&queue), [2, 0, 0, 2, 100]);
    assert_eq!(queue.give_back(batch).evicted, 0);
}

#[test]
fn giving_back_drops_what_newer_frames_leave_no_room_for() {
    let mut queue = queue();
    for _ in 0..5 {
        broadcast(&mut queue, 20);
    }
    let mut batch = queue.take();
    assert_eq!(broadcast(&mut queue, 50), 0, "what is in flight may be gone in a moment");
    batch.advance(25, |_| ());
    // 15 of the second are to be finished; of the other three two still fit beside the newest.
    assert_eq!(queue.give_back(batch).evicted, 1);
    assert_eq!(account(&queue), [6, 1, 1, 4, 110]);
}

#[test]
fn bytes_are_free_again_once_they_are_sent() {
    let mut queue = queue();
    for _ in 0..1_000 {
        send(&mut queue, 70).unwrap();
        assert_eq!(send(&mut queue, 70), FULL);
        write(&mut queue, 70);
    }
    assert_eq!(account(&queue), [1_000, 1_000, 0, 0, 0]);
}

#[test]
fn discarding_frees_all_bytes() {
    let mut queue = queue();
    broadcast(&mut queue, 50);
    broadcast(&mut queue, 50);
    write(&mut queue, 3);
    assert_eq!(queue.discard(), 2);
    assert_eq!(account(&queue), [2, 0, 2, 0, 0]);
}

#[test]
fn a_batch_that_never_comes_back_is_dropped_with_the_rest() {
    let mut queue = queue();
    broadcast(&mut queue, 50);
    drop(queue.take());
    broadcast(&mut queue, 10);
    assert_eq!(account(&queue), [2, 0, 0, 2, 60]);
    assert_eq!(queue.discard(), 2);
    assert_eq!(account(&queue), [2, 0, 2, 0, 0]);
}

#[test]
fn the_oldest_can_be_dropped_for_a_bound_outside_of_the_queue() {
    let mut queue = queue();
    broadcast(&mut queue, 30);
    broadcast(&mut queue, 20);
    write(&mut queue, 1);
    assert_eq!(queue.evictable_bytes(), 20);
    assert_eq!(queue.evict_oldest(), Some(20));
    assert_eq!(queue.evict_oldest(), None, "the other one is half written");
    queue.drop_newest();
    assert_eq!(account(&queue), [3, 0, 2, 1, 30]);
}

#[test]
fn a_queue_takes_no_more_memory_than_it_did_and_16_bytes_for_what_is_kept() {
    assert_eq!(size_of::<OutboundQueue>(), 104);
}
