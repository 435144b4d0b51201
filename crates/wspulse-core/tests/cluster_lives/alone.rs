//! What a server says while it knows no other one: kept for whoever comes, and sent to nobody.

use std::time::Instant;

use wspulse_core::cluster::{Answer, Ask, GroupKey, NodeId, Outbox, OutboxConfig, Said, Target};
use wspulse_core::{EncodedFrame, MessageKind};

const TO: Target = Target::Group(GroupKey::new([1; GroupKey::BYTES]));

fn said(text: &str) -> Said {
    Said::new(EncodedFrame::from_payload(MessageKind::Text, text.as_bytes()))
}

fn outbox() -> Outbox {
    Outbox::new(NodeId::new([7; 16]), OutboxConfig::default())
}

#[test]
fn it_is_kept_for_who_asks_and_not_sent() {
    let (mut outbox, now) = (outbox(), Instant::now());
    outbox.say_alone(TO, said("a"), now);
    outbox.say_alone(TO, said("b"), now);
    assert!(!outbox.has_waiting() && outbox.take_batch(0).is_none());
    let Answer::Frames { first, newest, said, .. } =
        outbox.answer(&Ask::From { target: TO, stream: 1, first: 1 }, now)
    else {
        panic!("no frames");
    };
    assert_eq!((first, newest, said.len()), (1, 2, 2));
}

#[test]
fn what_follows_once_another_is_known_goes_on_from_there() {
    let (mut outbox, now) = (outbox(), Instant::now());
    outbox.say_alone(TO, said("a"), now);
    outbox.say(TO, said("b"), now);
    let (_, batch) = outbox.take_batch(0).expect("it is to be sent");
    assert_eq!((batch.first, batch.said.len()), (2, 1));
    assert!(outbox.take_batch(0).is_none());
}

#[test]
fn behind_what_waits_it_waits_as_well() {
    let (mut outbox, now) = (outbox(), Instant::now());
    outbox.say(TO, said("a"), now);
    outbox.say_alone(TO, said("b"), now);
    let (_, batch) = outbox.take_batch(0).expect("it is to be sent");
    assert_eq!((batch.first, batch.said.len()), (1, 2));
}
