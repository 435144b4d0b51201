//! One vectored write: what is half written goes on first, then control frames, then data.

use std::io::IoSlice;

use wspulse_core::outbound::{
    Batch, ControlLane, OutboundQueue, OverflowPolicy, PingPayload, SLICES_MAX, advance, gather,
};
use wspulse_core::{EncodedFrame, MessageKind};

struct Writer {
    queue: OutboundQueue,
    lane: ControlLane,
    wire: Vec<u8>,
    sent: Vec<u8>,
}

impl Writer {
    fn new(frames: u8) -> Self {
        let mut queue = OutboundQueue::new(usize::from(frames) + 1);
        for number in 0..frames {
            let pushed = queue.push(frame(number), OverflowPolicy::RejectNewest);
            pushed.expect("the queue has room");
        }
        Self { queue, lane: ControlLane::default(), wire: Vec::new(), sent: Vec::new() }
    }

    /// One write to a socket that takes so many bytes at most; tells how many it took.
    fn write(&mut self, bytes_max: usize) -> usize {
        let mut batch = self.queue.take();
        let offered = offered(&mut self.lane, &batch);
        let taken = bytes_max.min(offered.len());
        self.wire.extend_from_slice(&offered[..taken]);
        advance(&mut self.lane, &mut batch, taken, |frame| {
            self.sent.push(frame.payload()[0]);
        });
        self.queue.give_back(batch);
        taken
    }
}

fn frame(number: u8) -> EncodedFrame {
    EncodedFrame::from_payload(MessageKind::Text, &[number, b'x'])
}

fn offered(lane: &mut ControlLane, batch: &Batch) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let filled = gather(lane, batch, &mut slices);
    let bytes = slices[..filled].iter().flat_map(|slice| slice.iter());
    bytes.copied().collect()
}

/// What two data frames look like, one after the other.
fn two_frames() -> Vec<u8> {
    [frame(0).wire(), frame(1).wire()].concat()
}

#[test]
fn nothing_to_write_fills_no_slice() {
    assert_eq!(Writer::new(0).write(100), 0);
}

#[test]
fn control_frames_come_before_data() {
    let mut writer = Writer::new(2);
    writer.lane.queue_ping(PingPayload::Empty);
    writer.write(100);
    assert_eq!(writer.wire, [&[0x89, 0], &two_frames()[..]].concat());
}

#[test]
fn a_half_written_data_frame_comes_before_control_frames() {
    let mut writer = Writer::new(2);
    writer.write(1);
    writer.lane.queue_ping(PingPayload::Empty);
    writer.write(100);
    assert_eq!(writer.wire, [frame(0).wire(), &[0x89, 0], frame(1).wire()].concat());
}

#[test]
fn a_half_written_control_frame_comes_before_data() {
    let mut writer = Writer::new(1);
    writer.lane.queue_pong(b"ping");
    writer.write(3);
    writer.write(100);
    assert_eq!(writer.wire, [b"\x8a\x04ping", frame(0).wire()].concat());
}

#[test]
fn a_write_cut_at_any_two_offsets_puts_the_same_bytes_on_the_wire() {
    let whole = [b"\x8a\x01p", &two_frames()[..]].concat();
    for first in 0..=whole.len() {
        for second in 0..=whole.len() - first {
            let mut writer = Writer::new(2);
            writer.lane.queue_pong(b"p");
            writer.write(first);
            writer.write(second);
            writer.write(100);
            assert_eq!(writer.wire, whole, "{first} and {second} bytes");
            assert_eq!(writer.sent, [0, 1]);
            assert!(writer.queue.is_empty() && writer.lane.is_empty());
        }
    }
}

#[test]
fn a_frame_is_shown_as_sent_with_its_last_byte() {
    let mut writer = Writer::new(2);
    let mut shown = Vec::new();
    while writer.write(1) > 0 {
        shown.push(writer.sent.len());
    }
    assert_eq!(shown, [0, 0, 0, 1, 1, 1, 1, 2]);
}

#[test]
fn a_ping_owed_between_any_two_bytes_never_splits_a_frame() {
    for split in 0..=two_frames().len() {
        let mut writer = Writer::new(2);
        writer.write(split);
        writer.lane.queue_ping(PingPayload::Empty);
        writer.write(100);
        let at = split.next_multiple_of(frame(0).wire().len());
        let mut expected = two_frames();
        expected.splice(at..at, [0x89, 0]);
        assert_eq!(writer.wire, expected, "after {split} bytes");
    }
}

#[test]
fn more_frames_than_slices_take_more_than_one_write() {
    let mut writer = Writer::new(200);
    let bytes = frame(0).wire().len();
    assert_eq!(writer.write(usize::MAX), SLICES_MAX * bytes);
    assert_eq!(writer.write(usize::MAX), SLICES_MAX * bytes);
    while writer.write(usize::MAX) > 0 {}
    assert!(writer.sent.iter().copied().eq(0..200));
}
