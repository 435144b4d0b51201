//! A run of frames goes to a writer without waiting, and counts as if it had.

use wspulse_core::outbound::{Form, OutboundQueue, OverflowPolicy, Run, Window};
use wspulse_core::{EncodedFrame, MessageKind};

fn frame(text: &str) -> EncodedFrame {
    EncodedFrame::from_payload(MessageKind::Text, text.as_bytes())
}

fn run(texts: &[&str]) -> Run {
    let frames: Vec<_> = texts.iter().map(|text| frame(text)).collect();
    let mut run = Run::default();
    run.refill(frames.iter());
    run
}

fn push(queue: &mut OutboundQueue, text: &str) {
    queue.push(frame(text), OverflowPolicy::RejectNewest).expect("there is room");
}

/// All that waits, as its texts.
fn waiting(queue: &mut OutboundQueue) -> Vec<String> {
    let batch = queue.take();
    let text = |frame: &EncodedFrame| String::from_utf8_lossy(frame.payload()).into_owned();
    let texts = batch.frames().map(text).collect();
    queue.give_back(batch);
    texts
}

#[test]
fn a_run_is_accepted_with_its_writer_and_sent_when_that_has_written_it() {
    let mut queue = OutboundQueue::new(10);
    let run = run(&["one", "two"]);
    let mut batch = queue.take_run(&run).expect("nothing waits");
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.pending, stats.sent), (2, 2, 0));
    assert_eq!(stats.held_bytes, run.wire_bytes() as u64);
    batch.advance_whole(&run);
    queue.give_back(batch);
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.pending, stats.sent, stats.held_bytes), (2, 0, 2, 0));
}

#[test]
fn what_is_not_written_of_a_run_waits_in_front_of_what_has_come_meanwhile() {
    let mut queue = OutboundQueue::new(10);
    let run = run(&["one", "two"]);
    let mut batch = queue.take_run(&run).expect("nothing waits");
    push(&mut queue, "three");
    batch.fill(&run);
    let first = run.chunks(Form::Plain).next().expect("there are two").len();
    batch.advance(first + 1, |_| ());
    queue.give_back(batch);
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.pending, stats.sent), (3, 2, 1));
    assert_eq!(waiting(&mut queue), ["two", "three"]);
}

#[test]
fn a_run_does_not_pass_what_waits_or_is_being_written() {
    let mut queue = OutboundQueue::new(10);
    push(&mut queue, "one");
    assert!(queue.take_run(&run(&["two"])).is_none());
    let batch = queue.take();
    assert!(queue.take_run(&run(&["two"])).is_none());
    queue.give_back(batch);
    assert_eq!(waiting(&mut queue), ["one"]);
}

#[test]
fn a_run_that_goes_beyond_the_window_is_not_taken() {
    let mut queue = OutboundQueue::new(10).with_window(Window { frames: 2, bytes: 1000 });
    assert!(queue.take_run(&run(&["one", "two", "three"])).is_none());
    let run = run(&["one", "two"]);
    let mut batch = queue.take_run(&run).expect("it fits");
    batch.advance_whole(&run);
    queue.give_back(batch);
    assert!(queue.take_run(&run).is_none(), "nothing is acknowledged");
    assert_eq!(queue.acknowledge(2).expect("both were written").frames, 2);
    assert!(queue.take_run(&run).is_some());
}

#[test]
fn a_run_that_was_written_is_written_again_to_the_next_transport() {
    for texts in [["one"].as_slice(), &["one", "two", "three"]] {
        let mut queue = OutboundQueue::new(10).with_window(Window { frames: 9, bytes: 1000 });
        let run = run(texts);
        let mut batch = queue.take_run(&run).expect("nothing waits");
        batch.advance_whole(&run);
        queue.give_back(batch);
        assert_eq!(queue.stats().unacknowledged, texts.len() as u64);
        queue.rewind();
        assert_eq!(waiting(&mut queue), texts);
    }
}
