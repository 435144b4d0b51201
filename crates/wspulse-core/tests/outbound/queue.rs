//! The outbound queue: its bound, its account, and the frame that is half written.

use wspulse_core::outbound::{
    Batch, FRAME_LOSSES_MAX, OutboundQueue, OverflowPolicy, Pushed, QueueFull,
};
use wspulse_core::{EncodedFrame, MessageKind, OutboundStats};

/// Every frame here is six bytes on the wire: header, number, filling.
const FRAME_BYTES: usize = 6;

fn frame(number: u8) -> EncodedFrame {
    EncodedFrame::from_payload(MessageKind::Binary, &[number, 0, 0, 0])
}

fn broadcast(queue: &mut OutboundQueue, number: u8) -> Pushed {
    let pushed = queue.push(frame(number), OverflowPolicy::DropOldest);
    pushed.expect("a broadcast is never refused")
}

fn send(queue: &mut OutboundQueue, number: u8) -> bool {
    let pushed = queue.push(frame(number), OverflowPolicy::RejectNewest);
    pushed.is_ok()
}

fn queue_of(capacity_frames: usize, numbers: &[u8]) -> OutboundQueue {
    let mut queue = OutboundQueue::new(capacity_frames);
    for number in numbers {
        broadcast(&mut queue, *number);
    }
    queue
}

/// One write that takes so many bytes; returns the frames that were shown as sent.
fn write(queue: &mut OutboundQueue, bytes: usize) -> Vec<u8> {
    let mut batch = queue.take();
    let sent = written(&mut batch, bytes);
    queue.give_back(batch);
    sent
}

fn written(batch: &mut Batch, bytes: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    batch.advance(bytes, |frame| sent.push(frame.payload()[0]));
    sent
}

fn drain(queue: &mut OutboundQueue) -> Vec<u8> {
    write(queue, usize::MAX)
}

fn account(queue: &OutboundQueue) -> [u64; 4] {
    let OutboundStats { accepted, sent, dropped, pending, .. } = queue.stats();
    [accepted, sent, dropped, pending]
}

#[test]
fn frames_leave_in_the_order_they_came() {
    let mut queue = queue_of(4, &[1, 2, 3]);
    assert_eq!(drain(&mut queue), [1, 2, 3]);
    assert!(queue.is_empty());
}

#[test]
fn direct_sends_and_broadcasts_share_one_order() {
    let mut queue = OutboundQueue::new(4);
    broadcast(&mut queue, 1);
    assert!(send(&mut queue, 2));
    broadcast(&mut queue, 3);
    assert_eq!(drain(&mut queue), [1, 2, 3]);
}

#[test]
fn a_full_queue_refuses_a_direct_send_and_counts_nothing() {
    let mut queue = queue_of(2, &[1, 2]);
    let refused = queue.push(frame(3), OverflowPolicy::RejectNewest);
    assert_eq!(refused, Err(QueueFull::Frames { capacity_frames: 2 }));
    assert_eq!(account(&queue), [2, 0, 0, 2]);
    assert_eq!(drain(&mut queue), [1, 2]);
}

#[test]
fn a_full_queue_drops_its_oldest_frame_for_a_broadcast() {
    let mut queue = queue_of(2, &[1, 2]);
    assert_eq!(broadcast(&mut queue, 3).evicted, 1);
    assert_eq!(account(&queue), [3, 0, 1, 2]);
    assert_eq!(drain(&mut queue), [2, 3]);
}

#[test]
fn a_queue_of_one_frame_keeps_the_newest() {
    let mut queue = queue_of(1, &[1, 2, 3]);
    assert_eq!(account(&queue), [3, 0, 2, 1]);
    assert_eq!(drain(&mut queue), [3]);
}

#[test]
fn only_the_first_push_wakes_the_writer() {
    let mut queue = OutboundQueue::new(4);
    assert!(broadcast(&mut queue, 1).was_empty);
    assert!(!broadcast(&mut queue, 2).was_empty);
}

#[test]
fn a_push_during_a_write_does_not_wake_the_writer() {
    let mut queue = queue_of(4, &[1]);
    let batch = queue.take();
    assert!(!broadcast(&mut queue, 2).was_empty);
    queue.give_back(batch);
}

#[test]
fn a_frame_stays_until_its_last_byte_is_taken() {
    for bytes in 0..FRAME_BYTES {
        let mut queue = queue_of(4, &[1, 2]);
        assert!(write(&mut queue, bytes).is_empty(), "{bytes} bytes");
        assert_eq!(account(&queue), [2, 0, 0, 2]);
        assert_eq!(write(&mut queue, FRAME_BYTES - bytes), [1]);
        assert_eq!(account(&queue), [2, 1, 0, 1]);
    }
}

#[test]
fn a_batch_offers_the_rest_of_a_half_written_frame_first() {
    let mut queue = queue_of(4, &[1, 2]);
    write(&mut queue, 2);
    let batch = queue.take();
    assert_eq!(batch.started(), Some(&frame(1).wire()[2..]));
    let chunks: Vec<&[u8]> = batch.chunks().collect();
    assert_eq!(chunks, [&frame(1).wire()[2..], frame(2).wire()]);
}

#[test]
fn a_batch_tells_what_goes_beyond_its_bytes() {
    let mut queue = queue_of(4, &[1]);
    let mut batch = queue.take();
    assert_eq!(batch.advance(FRAME_BYTES + 3, |_| ()), 3);
    assert!(batch.is_empty());
    queue.give_back(batch);
}

#[test]
fn a_half_written_frame_is_not_evicted() {
    let mut queue = queue_of(2, &[1, 2]);
    write(&mut queue, 1);
    assert_eq!(broadcast(&mut queue, 3).evicted, 0, "it does not count");
    assert_eq!(broadcast(&mut queue, 4).evicted, 1);
    assert_eq!(drain(&mut queue), [1, 3, 4]);
}

#[test]
fn a_half_written_frame_does_not_count_against_the_capacity() {
    let mut queue = queue_of(1, &[1]);
    write(&mut queue, 1);
    assert!(send(&mut queue, 2));
    assert!(!send(&mut queue, 3));
    assert_eq!(queue.len(), 2, "the capacity and one half written");
}

#[test]
fn frames_in_flight_count_for_direct_sends() {
    let mut queue = queue_of(2, &[1, 2]);
    let batch = queue.take();
    assert!(!send(&mut queue, 3));
    assert_eq!(queue.len(), 2);
    queue.give_back(batch);
}

#[test]
fn what_came_during_a_write_waits_behind_what_it_left() {
    let mut queue = queue_of(4, &[1, 2]);
    let mut batch = queue.take();
    broadcast(&mut queue, 3);
    assert_eq!(written(&mut batch, FRAME_BYTES), [1]);
    assert_eq!(queue.give_back(batch).evicted, 0);
    assert_eq!(drain(&mut queue), [2, 3]);
}

#[test]
fn giving_back_drops_the_oldest_that_newer_frames_leave_no_room_for() {
    let mut queue = queue_of(2, &[1, 2]);
    let batch = queue.take();
    broadcast(&mut queue, 3);
    assert_eq!(queue.give_back(batch).evicted, 1);
    assert_eq!(account(&queue), [3, 0, 1, 2]);
    assert_eq!(drain(&mut queue), [2, 3]);
}

#[test]
fn giving_back_spares_the_frame_that_the_write_has_begun() {
    let mut queue = queue_of(2, &[1, 2]);
    let mut batch = queue.take();
    broadcast(&mut queue, 3);
    broadcast(&mut queue, 4);
    written(&mut batch, 1);
    assert_eq!(queue.give_back(batch).evicted, 1);
    assert_eq!(drain(&mut queue), [1, 3, 4]);
}

#[test]
fn after_a_rewind_the_half_written_frame_is_written_whole() {
    let mut queue = queue_of(4, &[1, 2]);
    write(&mut queue, 4);
    queue.rewind();
    let batch = queue.take();
    let chunks: Vec<&[u8]> = batch.chunks().collect();
    assert_eq!(chunks, [frame(1).wire(), frame(2).wire()]);
    assert_eq!(batch.started(), None);
}

#[test]
fn a_rewind_hands_out_what_the_old_transport_still_needs() {
    for bytes in 1..FRAME_BYTES {
        let mut queue = queue_of(4, &[1]);
        write(&mut queue, bytes);
        let remainder = queue.rewind().expect("a half-written frame");
        assert_eq!(remainder.bytes(), &frame(1).wire()[bytes..]);
    }
}

#[test]
fn a_rewind_between_frames_hands_out_nothing() {
    let mut queue = queue_of(4, &[1, 2]);
    write(&mut queue, FRAME_BYTES);
    assert!(queue.rewind().is_none());
    assert!(OutboundQueue::new(1).rewind().is_none());
}

#[test]
fn rewinding_over_and_over_keeps_the_bound() {
    let mut queue = queue_of(2, &[1, 2]);
    for number in 3..20 {
        write(&mut queue, 1);
        broadcast(&mut queue, number);
        queue.rewind();
        assert!(queue.len() <= 3, "the capacity and one half written");
    }
    assert_eq!(account(&queue)[0], account(&queue)[2] + queue.len() as u64);
}

#[test]
fn a_frame_in_the_middle_of_which_five_transports_were_lost_is_dropped() {
    let mut queue = queue_of(4, &[1, 2]);
    for loss in 1..=FRAME_LOSSES_MAX {
        write(&mut queue, 1);
        let remainder = queue.rewind().expect("a half-written frame");
        assert_eq!(remainder.is_dropped(), loss == 5);
    }
    assert_eq!(queue.stats().dropped, 1);
    assert_eq!(queue.stats().held_bytes, FRAME_BYTES as u64);
    assert_eq!(drain(&mut queue), [2]);
}

#[test]
fn transports_that_were_lost_in_the_middle_of_one_frame_do_not_count_for_the_next() {
    let mut queue = queue_of(8, &[1, 2, 3]);
    for _ in 1..FRAME_LOSSES_MAX {
        write(&mut queue, 1);
        assert!(!queue.rewind().expect("a half-written frame").is_dropped());
    }
    // The first frame is sent, the second dropped for a newer one while none is half written.
    write(&mut queue, FRAME_BYTES);
    for _ in 1..FRAME_LOSSES_MAX {
        write(&mut queue, 1);
        assert!(!queue.rewind().expect("a half-written frame").is_dropped());
    }
    assert!(queue.evict_oldest().is_some());
    write(&mut queue, 1);
    assert!(!queue.rewind().expect("a half-written frame").is_dropped());
    assert_eq!(drain(&mut queue), [3]);
}

#[test]
fn transports_that_had_nothing_of_a_frame_do_not_count() {
    let mut queue = queue_of(4, &[1]);
    for _ in 0..10 {
        assert!(queue.rewind().is_none());
    }
    assert_eq!(drain(&mut queue), [1]);
}

#[test]
fn discarding_counts_every_frame_as_dropped() {
    let mut queue = queue_of(4, &[1, 2, 3]);
    write(&mut queue, FRAME_BYTES + 1);
    assert_eq!(queue.discard(), 2);
    assert_eq!(account(&queue), [3, 1, 2, 0]);
    assert!(queue.is_empty());
}

#[test]
fn a_frame_after_a_discard_starts_anew() {
    let mut queue = queue_of(4, &[1]);
    write(&mut queue, 3);
    queue.discard();
    assert!(broadcast(&mut queue, 2).was_empty);
    assert_eq!(queue.take().started(), None);
}

#[test]
fn an_empty_batch_changes_nothing() {
    let mut queue = OutboundQueue::new(4);
    let batch = queue.take();
    assert!(batch.is_empty());
    assert_eq!(queue.give_back(batch).evicted, 0);
    assert_eq!(account(&queue), [0; 4]);
}
