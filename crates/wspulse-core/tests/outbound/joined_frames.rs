//! Frames that several sessions have in common are joined once; others are never copied.

use wspulse_core::outbound::{Batch, JoinedFrames, OutboundQueue, OverflowPolicy};
use wspulse_core::{EncodedFrame, MessageKind};

const PLENTY: usize = 1000;

fn frame(text: &str) -> EncodedFrame {
    EncodedFrame::from_payload(MessageKind::Text, text.as_bytes())
}

/// What a session has to write that has got these frames.
fn batch(frames: &[EncodedFrame]) -> Batch {
    let mut queue = OutboundQueue::new(100);
    for frame in frames {
        queue.push(frame.clone(), OverflowPolicy::RejectNewest).expect("the queue has room");
    }
    queue.take()
}

fn wire(frames: &[EncodedFrame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.wire().to_vec()).collect()
}

#[test]
fn a_batch_that_a_second_session_has_as_well_is_joined() {
    let frames = [frame("one"), frame("two"), frame("three")];
    let mut joined = JoinedFrames::default();
    assert_eq!(joined.join(&batch(&frames), PLENTY), None);
    assert_eq!(joined.join(&batch(&frames), PLENTY), Some(&*wire(&frames)));
    assert_eq!(joined.join(&batch(&frames), PLENTY), Some(&*wire(&frames)));
}

#[test]
fn a_batch_of_equal_frames_that_are_not_the_same_is_another() {
    let mut joined = JoinedFrames::default();
    joined.join(&batch(&[frame("one"), frame("two")]), PLENTY);
    assert_eq!(joined.join(&batch(&[frame("one"), frame("two")]), PLENTY), None);
}

#[test]
fn a_batch_that_differs_behind_its_first_frame_is_written_as_it_is() {
    let [one, two, three] = ["one", "two", "three"].map(frame);
    let mut joined = JoinedFrames::default();
    joined.join(&batch(&[one.clone(), two.clone()]), PLENTY);
    joined.join(&batch(&[one.clone(), two]), PLENTY);
    let other = [one, three];
    assert_eq!(joined.join(&batch(&other), PLENTY), Some(&*wire(&other)));
}

#[test]
fn a_batch_that_has_grown_is_joined_anew() {
    let [one, two, three] = ["one", "two", "three"].map(frame);
    let grown = [one.clone(), two.clone(), three];
    let mut joined = JoinedFrames::default();
    joined.join(&batch(&[one.clone(), two.clone()]), PLENTY);
    joined.join(&batch(&[one, two]), PLENTY);
    assert_eq!(joined.join(&batch(&grown), PLENTY), None);
    assert_eq!(joined.join(&batch(&grown), PLENTY), Some(&*wire(&grown)));
}

#[test]
fn a_single_frame_is_left_as_it_is() {
    let frames = [frame("one")];
    let mut joined = JoinedFrames::default();
    joined.join(&batch(&frames), PLENTY);
    assert_eq!(joined.join(&batch(&frames), PLENTY), None);
}

#[test]
fn no_more_is_joined_than_fits() {
    let frames = ["one", "two", "six"].map(frame);
    let mut joined = JoinedFrames::default();
    joined.join(&batch(&frames), 10);
    assert_eq!(joined.join(&batch(&frames), 10), Some(&*wire(&frames[..2])));
    assert_eq!(joined.join(&batch(&frames), 9), None);
}

#[test]
fn a_batch_whose_first_frame_is_half_written_is_left_as_it_is() {
    let frames = [frame("one"), frame("two")];
    let mut joined = JoinedFrames::default();
    joined.join(&batch(&frames), PLENTY);
    let mut started = batch(&frames);
    started.advance(1, |_| {});
    assert_eq!(joined.join(&started, PLENTY), None);
}

#[test]
fn what_was_joined_is_written_at_once() {
    let frames = ["one", "two", "six"].map(frame);
    let mut joined = JoinedFrames::default();
    let mut batch = batch(&frames);
    joined.join(&batch, 10);
    joined.join(&batch, 10);
    let run = joined.advance(&mut batch);
    assert_eq!((run.len(), run.wire_bytes(), run.payload_bytes()), (2, 10, 6));
    assert!(batch.frames().map(EncodedFrame::wire).eq([frames[2].wire()]));
}

#[test]
fn a_run_that_a_session_keeps_is_not_overwritten() {
    let [one, two, three] = ["one", "two", "three"].map(frame);
    let mut joined = JoinedFrames::default();
    let first = [one.clone(), two.clone()];
    joined.join(&batch(&first), PLENTY);
    joined.join(&batch(&first), PLENTY);
    let kept = joined.advance(&mut batch(&first)).clone();
    let second = [one, two, three];
    joined.join(&batch(&second), PLENTY);
    joined.join(&batch(&second), PLENTY);
    assert_eq!((kept.len(), joined.advance(&mut batch(&second)).len()), (2, 3));
}
