//! Control frames: the newest of each kind, and never one inside another.

use wspulse_core::outbound::{ControlLane, PingPayload};
use wspulse_core::{CloseCode, CloseFrame, EncodedFrame, MessageKind};

fn staged(lane: &mut ControlLane) -> Vec<u8> {
    lane.stage();
    lane.bytes().to_vec()
}

#[test]
fn an_empty_lane_holds_nothing() {
    let mut lane = ControlLane::default();
    assert!(lane.is_empty());
    assert_eq!(size_of::<ControlLane>(), size_of::<usize>());
    assert_eq!(staged(&mut lane), [0; 0]);
    assert!(lane.is_empty(), "looking at it changes nothing");
}

#[test]
fn a_lane_that_is_written_out_holds_nothing_again() {
    let mut lane = ControlLane::default();
    lane.queue_ping(PingPayload::Empty);
    let bytes = staged(&mut lane).len();
    assert_eq!(lane.advance(bytes), 0);
    assert!(lane.is_empty());
}

#[test]
fn a_ping_has_no_payload() {
    let mut lane = ControlLane::default();
    lane.queue_ping(PingPayload::Empty);
    assert_eq!(staged(&mut lane), [0x89, 0]);
}

#[test]
fn a_second_ping_is_the_first_while_that_waits() {
    let mut lane = ControlLane::default();
    lane.queue_ping(PingPayload::Empty);
    lane.queue_ping(PingPayload::Empty);
    assert_eq!(staged(&mut lane), [0x89, 0]);
}

#[test]
fn a_few_pings_are_answered_each_and_in_order() {
    let mut lane = ControlLane::default();
    for number in 0..16 {
        lane.queue_pong(&[number]);
    }
    let expected: Vec<u8> = (0..16).flat_map(|number| [0x8A, 1, number]).collect();
    assert_eq!(staged(&mut lane), expected);
}

#[test]
fn in_a_flood_of_pings_the_newest_pong_wins() {
    let mut lane = ControlLane::default();
    for number in 0..=u8::MAX {
        lane.queue_pong(&[number]);
    }
    let bytes = staged(&mut lane);
    assert_eq!(bytes.len(), 16 * 3, "the lane is bounded");
    assert_eq!(bytes[45..], [0x8A, 1, u8::MAX]);
}

#[test]
fn a_pong_that_is_begun_is_finished_before_a_newer_one() {
    let mut lane = ControlLane::default();
    lane.queue_pong(b"old");
    lane.stage();
    lane.advance(3);
    lane.queue_pong(b"new");

    assert!(lane.is_started());
    assert_eq!(staged(&mut lane), b"ld");
    assert_eq!(lane.advance(2), 0);
    assert!(!lane.is_started());
    assert_eq!(staged(&mut lane), b"\x8a\x03new");
}

#[test]
fn a_close_frame_carries_its_code_and_reason() {
    let mut lane = ControlLane::default();
    lane.queue_close(Some(CloseFrame::new(CloseCode::GOING_AWAY, "bye")));
    assert_eq!(staged(&mut lane), b"\x88\x05\x03\xe9bye");
}

#[test]
fn an_empty_close_frame_has_no_payload() {
    let mut lane = ControlLane::default();
    lane.queue_close(None);
    assert_eq!(staged(&mut lane), [0x88, 0]);
}

#[test]
fn the_longest_reason_fits_a_control_frame() {
    let reason = "r".repeat(CloseFrame::REASON_BYTES_MAX);
    let mut lane = ControlLane::default();
    lane.queue_close(Some(CloseFrame::new(CloseCode::NORMAL, reason)));
    assert_eq!(staged(&mut lane).len(), 127);
}

#[test]
fn the_close_frame_comes_last() {
    let mut lane = ControlLane::default();
    lane.queue_close(None);
    lane.queue_ping(PingPayload::Empty);
    lane.queue_pong(b"p");
    assert_eq!(staged(&mut lane), b"\x8a\x01p\x89\x00\x88\x00");
}

#[test]
fn a_partial_write_leaves_the_rest_at_every_offset() {
    for split in 0..=7 {
        let mut lane = ControlLane::default();
        lane.queue_pong(b"p");
        lane.queue_ping(PingPayload::Empty);
        lane.queue_close(None);
        let whole = staged(&mut lane);

        assert_eq!(lane.advance(split), 0);
        assert_eq!(lane.is_started(), (1..7).contains(&split), "{split}");
        assert_eq!(staged(&mut lane), whole[split..]);
        assert_eq!(lane.is_empty(), split == 7);
    }
}

#[test]
fn bytes_beyond_the_lane_are_given_back() {
    let mut lane = ControlLane::default();
    assert_eq!(lane.advance(5), 5);
    lane.queue_ping(PingPayload::Empty);
    lane.stage();
    assert_eq!(lane.advance(5), 3);
}

#[test]
fn what_a_transport_begins_with_comes_before_all_else() {
    let mut lane = ControlLane::default();
    lane.queue_pong(b"p");
    lane.queue_ping(PingPayload::Empty);
    lane.queue_first(EncodedFrame::from_payload(MessageKind::Binary, b"first"));
    assert_eq!(staged(&mut lane), b"\x82\x05first\x8a\x01p\x89\x00");
    assert_eq!(lane.advance(13), 1, "one byte of the frames behind it");
    assert!(lane.is_empty());
}
