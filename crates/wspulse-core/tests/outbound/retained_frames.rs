//! What was written is kept until it is acknowledged, and written again to the next transport.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::sample::Index;
use wspulse_core::outbound::{
    Acknowledged, Batch, Doubt, FRAME_LOSSES_MAX, JoinedFrames, NotWritten, OutboundQueue,
    OverflowPolicy, QueueFull, Window,
};
use wspulse_core::{EncodedFrame, MessageKind};

const WINDOW: Window = Window { frames: 8, bytes: 1_000 };

fn frame(number: u32) -> EncodedFrame {
    // Of different lengths, so that bytes and frames cannot be mistaken for each other.
    let payload = vec![b'x'; number as usize % 7];
    let payload = [&number.to_be_bytes()[..], &payload].concat();
    EncodedFrame::from_payload(MessageKind::Binary, &payload)
}

fn number(frame: &EncodedFrame) -> u32 {
    u32::from_be_bytes(frame.payload()[..4].try_into().unwrap())
}

fn queue(capacity: usize) -> OutboundQueue {
    OutboundQueue::new(capacity).with_window(WINDOW)
}

fn push(queue: &mut OutboundQueue, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        queue.push(frame(number), OverflowPolicy::DropOldest).unwrap();
    }
}

/// Writes all that may be written, and says which frames that were.
fn write(queue: &mut OutboundQueue) -> Vec<u32> {
    let mut batch = queue.take();
    let written: Vec<_> = batch.frames().map(number).collect();
    let bytes = batch.frames().map(EncodedFrame::wire_bytes).sum();
    batch.advance(bytes, |_| ());
    queue.give_back(batch);
    written
}

/// Writes the first frames of a batch as a session does whose neighbours have the same ones, with
/// the longest run of so many bytes. Says which frames that were.
fn write_joined(batch: &mut Batch, bytes_max: usize) -> Vec<u32> {
    let mut joined = JoinedFrames::default();
    joined.join(batch, bytes_max);
    if joined.join(batch, bytes_max).is_none() {
        return Vec::new();
    }
    let offered: Vec<_> = batch.frames().map(number).collect();
    let run = joined.advance(batch);
    assert!(run.wire_bytes() <= bytes_max);
    offered[..run.len()].to_vec()
}

#[test]
fn what_many_have_written_alike_is_kept_as_what_one_has_written_alone() {
    let mut queue = queue(8);
    push(&mut queue, 1..=1);
    write(&mut queue);
    push(&mut queue, 2..=5);
    let mut batch = queue.take();
    assert_eq!(write_joined(&mut batch, 1_000), [2, 3, 4, 5]);
    queue.give_back(batch);
    push(&mut queue, 6..=7);
    write(&mut queue);
    let bytes = |numbers: std::ops::RangeInclusive<u32>| -> usize {
        numbers.map(|number| frame(number).wire_bytes()).sum()
    };
    assert_eq!(queue.stats().held_bytes, bytes(1..=7) as u64);
    // The middle of the run.
    assert_eq!(queue.acknowledge(3), Ok(Acknowledged { frames: 3, bytes: bytes(1..=3) }));
    assert_eq!(queue.stats().held_bytes, bytes(4..=7) as u64);
    queue.rewind();
    assert_eq!(write(&mut queue), [4, 5, 6, 7]);
    assert_eq!(queue.acknowledge(7), Ok(Acknowledged { frames: 4, bytes: bytes(4..=7) }));
}

#[test]
fn what_is_written_waits_for_its_acknowledgement() {
    let mut queue = queue(4);
    push(&mut queue, 1..=3);
    assert_eq!(write(&mut queue), [1, 2, 3]);
    let stats = queue.stats();
    assert_eq!((stats.sent, stats.acknowledged, stats.unacknowledged, stats.pending), (3, 0, 3, 0));
    let bytes = frame(1).wire_bytes() + frame(2).wire_bytes();
    assert_eq!(queue.acknowledge(2), Ok(Acknowledged { frames: 2, bytes }));
    let stats = queue.stats();
    assert_eq!((stats.acknowledged, stats.unacknowledged), (2, 1));
    assert_eq!(stats.held_bytes, frame(3).wire_bytes() as u64);
}

#[test]
fn what_is_not_acknowledged_is_written_again_before_all_that_is_new() {
    let mut queue = queue(4);
    push(&mut queue, 1..=3);
    write(&mut queue);
    queue.acknowledge(1).unwrap();
    queue.rewind();
    push(&mut queue, [4]);
    assert_eq!(queue.stats().sent, 3);
    assert_eq!(write(&mut queue), [2, 3, 4]);
    assert_eq!(queue.stats().sent, 4);
    assert_eq!(queue.acknowledge(4).unwrap().frames, 3);
}

#[test]
fn an_old_acknowledgement_frees_nothing_and_one_of_the_future_is_refused() {
    let mut queue = queue(4);
    push(&mut queue, 1..=2);
    write(&mut queue);
    queue.acknowledge(2).unwrap();
    assert_eq!(queue.acknowledge(1), Ok(Acknowledged::default()));
    assert_eq!(queue.acknowledge(3), Err(NotWritten { number: 3, written: 2 }));
}

#[test]
fn what_this_transport_has_not_taken_again_cannot_be_acknowledged_on_it() {
    let mut queue = queue(4);
    push(&mut queue, 1..=2);
    write(&mut queue);
    queue.rewind();
    assert_eq!(queue.acknowledge(2), Err(NotWritten { number: 2, written: 0 }));
}

#[test]
fn beyond_the_window_frames_wait() {
    let mut queue = queue(64);
    push(&mut queue, 1..=10);
    assert_eq!(write(&mut queue), (1..=8).collect::<Vec<_>>());
    assert_eq!(write(&mut queue), [0; 0]);
    queue.stall();
    assert!(!queue.is_writable() && !queue.is_empty());
    queue.acknowledge(1).unwrap();
    assert!(queue.is_writable());
    assert_eq!(write(&mut queue), [9]);
}

#[test]
fn the_window_has_a_bound_in_bytes_too_and_room_for_one_frame_of_any_length() {
    let long = || EncodedFrame::from_payload(MessageKind::Binary, &[0; 900]);
    let mut queue = OutboundQueue::new(8).with_window(Window { frames: 8, bytes: 100 });
    for _ in 0..2 {
        queue.push(long(), OverflowPolicy::DropOldest).unwrap();
    }
    assert_eq!(write(&mut queue).len(), 1);
    assert_eq!(write(&mut queue).len(), 0);
    queue.acknowledge(1).unwrap();
    assert_eq!(write(&mut queue).len(), 1);
}

#[test]
fn frames_that_were_written_are_never_dropped_for_newer_ones() {
    let mut queue = queue(2);
    push(&mut queue, 1..=2);
    write(&mut queue);
    push(&mut queue, [3]);
    queue.rewind();
    push(&mut queue, 4..=6);
    assert_eq!(write(&mut queue), [1, 2, 5, 6]);
    assert_eq!(queue.stats().dropped, 2);
}

#[test]
fn frames_that_are_written_again_take_no_room_from_a_send() {
    let mut queue = queue(2);
    push(&mut queue, 1..=2);
    write(&mut queue);
    queue.rewind();
    for number in 3..=4 {
        queue.push(frame(number), OverflowPolicy::RejectNewest).unwrap();
    }
    let batch = queue.take();
    let refused = queue.push(frame(5), OverflowPolicy::RejectNewest);
    assert_eq!(refused, Err(QueueFull::Frames { capacity_frames: 2 }));
    queue.give_back(batch);
}

/// Of the next frame, a transport takes so many bytes, and is lost.
fn begin_and_lose(queue: &mut OutboundQueue, bytes: usize) {
    let mut batch = queue.take();
    batch.advance(bytes, |_| ());
    queue.give_back(batch);
    queue.rewind();
}

#[test]
fn what_was_begun_may_be_whole_although_other_transports_have_come_and_gone_since() {
    let first_bytes = frame(1).wire_bytes();
    // It takes nothing; a part of what is written again; all of that.
    for taken_since in [0, 3, first_bytes] {
        let mut queue = queue(8);
        push(&mut queue, 1..=3);
        begin_and_lose(&mut queue, first_bytes + 3);
        begin_and_lose(&mut queue, taken_since);
        let resumed = queue.resume_at(2).expect("the farewell of the first has finished it");
        assert_eq!(resumed.finished.as_ref().map(number), Some(2), "{taken_since}");
        assert_eq!(write(&mut queue), [3]);
    }
}

/// That one may have been dialled long before, by a client that gave it up.
#[test]
fn what_was_begun_may_be_whole_although_another_transport_knew_of_less() {
    for known in [0, 1] {
        let mut queue = queue(8);
        push(&mut queue, 1..=3);
        begin_and_lose(&mut queue, frame(1).wire_bytes() + 3);
        queue.resume_at(known).expect("all of it is kept");
        begin_and_lose(&mut queue, 0);
        let resumed = queue.resume_at(2).expect("the farewell of the first has finished it");
        assert_eq!(resumed.finished.as_ref().map(number), Some(2), "{known}");
        assert_eq!(write(&mut queue), [3]);
    }
}

#[test]
fn what_was_begun_and_dropped_is_nothing_that_a_client_has() {
    let mut queue = queue(8);
    push(&mut queue, 1..=2);
    for _ in 0..FRAME_LOSSES_MAX {
        begin_and_lose(&mut queue, 3);
    }
    assert!(queue.resume_at(1).is_err());
}

#[test]
fn an_end_drops_what_was_never_written_and_forgets_the_rest() {
    let mut queue = queue(4);
    push(&mut queue, 1..=2);
    write(&mut queue);
    push(&mut queue, [3]);
    assert_eq!(queue.discard(), 1);
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.sent, stats.dropped, stats.unacknowledged), (3, 2, 1, 0));
    assert_eq!(stats.held_bytes, 0);
}

#[test]
fn what_is_presumed_to_have_arrived_is_not_acknowledged() {
    let mut queue = queue(4);
    push(&mut queue, 1..=3);
    write(&mut queue);
    assert_eq!(queue.presume(2).frames, 2);
    assert_eq!((queue.stats().acknowledged, queue.stats().unacknowledged), (0, 1));
    queue.rewind();
    assert_eq!(write(&mut queue), [3]);
}

#[test]
fn what_is_presumed_is_in_doubt_until_newer_frames_of_its_transport_are_acknowledged() {
    let mut queue = queue(4);
    push(&mut queue, 1..=2);
    write(&mut queue);
    queue.presume(1);
    assert_eq!(queue.doubt(), Doubt::UntilAcknowledged);
    queue.acknowledge(1).unwrap();
    assert_eq!(queue.doubt(), Doubt::UntilAcknowledged, "old news");
    queue.acknowledge(2).unwrap();
    assert_eq!(queue.doubt(), Doubt::None);
}

#[test]
fn what_is_presumed_on_a_transport_that_is_lost_stays_in_doubt() {
    let mut queue = queue(4);
    push(&mut queue, 1..=2);
    write(&mut queue);
    queue.presume(1);
    queue.rewind();
    write(&mut queue);
    queue.acknowledge(2).unwrap();
    assert_eq!(queue.doubt(), Doubt::Lasting);
}

#[derive(Debug, Clone)]
enum Step {
    Push(bool),
    /// The transport takes this share of what it is offered.
    Write(Index),
    /// The transport takes as much of it as goes into so many bytes, at once.
    WriteJoined(usize),
    /// The peer says how far it has got.
    Acknowledge(Index),
    LoseTransport,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Push),
        2 => any::<Index>().prop_map(Step::Write),
        2 => (10..80usize).prop_map(Step::WriteJoined),
        2 => any::<Index>().prop_map(Step::Acknowledge),
        1 => Just(Step::LoseTransport),
    ];
    prop::collection::vec(step, 1..200)
}

/// What must be: the frames that will be written, or were, in order, with their places.
#[derive(Default)]
struct Model {
    /// Accepted and neither dropped nor acknowledged.
    expected: VecDeque<u32>,
    /// How many of them the current transport has taken whole.
    on_transport: usize,
    /// How many of them some transport has taken whole.
    ever_written: usize,
    acknowledged: u64,
    next: u32,
}

impl Model {
    fn push(&mut self, queue: &mut OutboundQueue, rejects: bool) {
        self.next += 1;
        let policy =
            if rejects { OverflowPolicy::RejectNewest } else { OverflowPolicy::DropOldest };
        let dropped_before = queue.stats().dropped;
        if queue.push(frame(self.next), policy).is_ok() {
            self.expected.push_back(self.next);
        }
        let dropped = queue.stats().dropped - dropped_before;
        self.forget_dropped(dropped);
    }

    /// The oldest that no transport has taken, in whole or in part, are gone.
    fn forget_dropped(&mut self, dropped: u64) {
        for _ in 0..dropped {
            self.expected.remove(self.ever_written).unwrap();
        }
    }

    /// The transport has taken these: they are next.
    fn write(&mut self, taken: &[u32]) {
        let from = self.on_transport;
        let expected = self.expected.range(from..from + taken.len());
        assert!(taken.iter().eq(expected), "in order, and nothing left out");
        self.on_transport += taken.len();
        self.ever_written = self.ever_written.max(self.on_transport);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_accepted_frame_reaches_the_peer_in_order_until_it_is_acknowledged(steps in steps()) {
        let mut queue = OutboundQueue::new(4).with_window(WINDOW);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Push(rejects) => model.push(&mut queue, rejects),
                Step::Write(share) => {
                    let mut batch = queue.take();
                    let bytes: usize = batch.frames().map(EncodedFrame::wire_bytes).sum();
                    let mut taken = Vec::new();
                    // Whole frames only: halves are the affair of the tests of the queue.
                    let whole = share.index(batch.len() + 1);
                    let bytes = batch.frames().take(whole).map(EncodedFrame::wire_bytes).sum::<usize>().min(bytes);
                    batch.advance(bytes, |frame| taken.push(number(frame)));
                    let evicted = queue.give_back(batch).evicted;
                    model.write(&taken);
                    model.forget_dropped(evicted.into());
                }
                Step::WriteJoined(bytes) => {
                    let mut batch = queue.take();
                    let taken = write_joined(&mut batch, bytes);
                    let evicted = queue.give_back(batch).evicted;
                    model.write(&taken);
                    model.forget_dropped(evicted.into());
                }
                Step::Acknowledge(share) => {
                    let newest = model.on_transport as u64;
                    let frames = share.index(model.on_transport + 2) as u64;
                    let base = queue.written_to_transport() - newest;
                    let freed = queue.acknowledge(base + frames);
                    if frames > newest {
                        prop_assert!(freed.is_err());
                    } else {
                        prop_assert_eq!(freed.unwrap().frames as u64, frames);
                        for _ in 0..frames {
                            model.expected.pop_front();
                        }
                        model.on_transport -= usize::try_from(frames).unwrap();
                        model.ever_written -= usize::try_from(frames).unwrap();
                        model.acknowledged += frames;
                    }
                }
                Step::LoseTransport => {
                    prop_assert!(queue.rewind().is_none());
                    model.on_transport = 0;
                }
            }
            let stats = queue.stats();
            prop_assert_eq!(stats.acknowledged, model.acknowledged);
            prop_assert_eq!(stats.unacknowledged, model.ever_written as u64);
            prop_assert_eq!(stats.pending, (model.expected.len() - model.ever_written) as u64);
            prop_assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.pending);
            let bytes: usize = model.expected.iter().map(|n| frame(*n).wire_bytes()).sum();
            prop_assert_eq!(stats.held_bytes, bytes as u64);
            prop_assert!(model.on_transport <= WINDOW.frames);
        }
    }
}
