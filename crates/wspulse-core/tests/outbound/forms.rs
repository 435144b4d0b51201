//! What waits is the same whatever a transport writes: compressed frames are made on the way out, and count
//! as they are.

use wspulse_core::deflate::{Level, WindowBits, inflate};
use wspulse_core::outbound::{Batch, Deflated, Form, JoinedFrames, OutboundQueue, OverflowPolicy};
use wspulse_core::{EncodedFrame, MessageKind};

fn deflated(bits: u8) -> Form {
    let window = WindowBits::new(bits).expect("a window");
    Form::Deflated(Deflated::new(window, Level::default(), 100))
}

/// Every other one is too short to be compressed.
fn frames() -> Vec<EncodedFrame> {
    let text = |number: usize| {
        format!("{number} and again ").repeat(if number.is_multiple_of(2) { 30 } else { 3 })
    };
    let frame = |number| EncodedFrame::from_payload(MessageKind::Text, text(number).as_bytes());
    (0..6).map(frame).collect()
}

fn queue(frames: &[EncodedFrame]) -> OutboundQueue {
    let mut queue = OutboundQueue::new(100);
    for frame in frames {
        queue.push(frame.clone(), OverflowPolicy::RejectNewest).expect("the queue has room");
    }
    queue
}

fn wire_in(form: Form, frames: &[EncodedFrame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.wire_in(form).to_vec()).collect()
}

fn rest(batch: &Batch) -> Vec<u8> {
    batch.chunks().flatten().copied().collect()
}

#[test]
fn a_transport_gets_each_byte_once_however_little_it_takes_at_a_time() {
    let frames = frames();
    for (form, step) in [(deflated(15), 1), (deflated(9), 7), (deflated(12), 1_000)] {
        let (mut queue, mut wire, mut sent) = (queue(&frames), Vec::new(), Vec::new());
        while !queue.is_empty() {
            let mut batch = queue.take().in_form(form);
            let bytes = rest(&batch);
            let taken = step.min(bytes.len());
            wire.extend_from_slice(&bytes[..taken]);
            let beyond = batch.advance(taken, |frame| sent.push(frame.clone()));
            assert_eq!(beyond, 0);
            queue.give_back(batch);
            let waiting = frames.len() - sent.len();
            let held: usize = frames[sent.len()..].iter().map(EncodedFrame::wire_bytes).sum();
            assert_eq!((queue.len(), queue.held_bytes()), (waiting, held));
        }
        assert_eq!(wire, wire_in(form, &frames));
        assert!(wire.len() < wire_in(Form::Plain, &frames).len());
        assert!(sent.iter().zip(&frames).all(|(sent, frame)| sent.is_same(frame)));
    }
}

#[test]
fn what_a_transport_has_in_part_is_finished_in_its_form_and_begun_anew_in_that_of_the_next() {
    let frames = frames();
    let mut queue = queue(&frames);
    let mut batch = queue.take().in_form(deflated(15));
    batch.advance(5, |_| panic!("none is whole"));
    assert_eq!(batch.started().expect("it is begun"), &frames[0].wire_in(deflated(15))[5..]);
    queue.give_back(batch);
    let remainder = queue.rewind().expect("it is begun").in_form(deflated(15));
    assert_eq!(remainder.bytes(), &frames[0].wire_in(deflated(15))[5..]);
    assert_eq!(rest(&queue.take()), wire_in(Form::Plain, &frames));
}

#[test]
fn what_many_have_to_write_is_joined_for_each_form() {
    let frames = frames();
    let mut joined = JoinedFrames::default();
    for form in [deflated(15), Form::Plain, deflated(10), deflated(15)] {
        let batch = || queue(&frames).take().in_form(form);
        assert_eq!(joined.join(&batch(), 10_000), None, "the first one");
        assert_eq!(joined.join(&batch(), 10_000), Some(&*wire_in(form, &frames)));
        let mut written = batch();
        assert!(joined.join(&written, 10_000).is_some());
        assert_eq!(joined.advance(&mut written).len(), frames.len());
        assert!(written.is_empty());
    }
}

#[test]
fn a_frame_that_is_not_to_be_compressed_is_not() {
    use wspulse_core::Frame;
    use wspulse_core::codec::JsonCodec;
    let outgoing =
        Frame::new("secret").with_payload(format!("\"{}\"", "a".repeat(500))).uncompressed();
    let marks = outgoing.marks().expect("it has one");
    let frame = EncodedFrame::encode_marked(&JsonCodec, &outgoing.frame, marks).unwrap();
    assert_eq!(frame.wire_in(deflated(15)), frame.wire());
    let other = EncodedFrame::encode(&JsonCodec, &outgoing.frame).unwrap();
    let mut inflated = Vec::new();
    inflate(&other.wire_in(deflated(15))[2..], 1_000, &mut inflated).unwrap();
    assert_eq!(inflated, other.payload());
}

#[test]
fn however_short_frames_are_once_they_are_compressed_no_more_are_joined_than_fit_as_they_are() {
    let list = |len| vec![b'a'; len];
    let frame = |len| EncodedFrame::from_payload(MessageKind::Text, &list(len));
    let joined = |frames: &[EncodedFrame], bytes_max| {
        let mut joined = JoinedFrames::default();
        let batch = || queue(frames).take().in_form(deflated(15));
        assert_eq!(joined.join(&batch(), bytes_max), None);
        joined.join(&batch(), bytes_max).map(<[u8]>::to_vec)
    };
    let large = [frame(10_000), frame(10_000), frame(10_000)];
    assert_eq!(joined(&large, 9_999), None);
    assert_eq!(joined(&large, 25_000), Some(wire_in(deflated(15), &large[..2])));
}
