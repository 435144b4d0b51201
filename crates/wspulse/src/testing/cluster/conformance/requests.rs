//! What one node asks another, and the end of a node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::Engines;
use super::node::{KEEP, Node, PATIENCE, Word, fresh_group, fresh_node};
use crate::cluster::{RequestFailed, Topic, Unavailable};

/// How many requests are under way at once.
const AT_ONCE: u32 = 100;

/// How long a node that does not answer is waited for.
const WITHIN: Duration = Duration::from_millis(300);

pub(super) async fn a_request_reaches_the_node_it_is_for_and_the_reply_its_asker(
    engines: &impl Engines,
) {
    let (ann, bob, eve) =
        (Node::connect(engines).await, Node::connect(engines).await, Node::connect(engines).await);
    let mut under_way = JoinSet::new();
    for number in 0..AT_ONCE {
        let (from, to) = if number % 2 == 0 { (&ann, bob.id) } else { (&bob, ann.id) };
        let engine = Arc::clone(&from.engine);
        under_way.spawn(async move {
            let question = Bytes::from(format!("question {number}"));
            let answer = engine.request(to, question.clone(), PATIENCE).await;
            (question, answer)
        });
    }
    while let Some(one) = under_way.join_next().await {
        let (question, answer) = one.expect("asking does not panic");
        match answer {
            Ok(answer) => assert_eq!(answer, question, "the reply to another request came"),
            Err(error) => panic!("{question:?} should be answered: {error}"),
        }
        let asked = Word::Request(question);
        assert!(ann.heard.has(&asked) != bob.heard.has(&asked), "{asked:?} should reach one node");
        assert!(!eve.heard.has(&asked), "{asked:?} is not for the third node");
    }
    for node in [ann, bob, eve] {
        node.close().await;
    }
}

pub(super) async fn the_largest_request_and_reply_arrive_whole(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let largest = Bytes::from(vec![0x5a; ann.engine.message_bytes_max()]);
    for question in [Bytes::new(), largest] {
        match ann.engine.request(bob.id, question.clone(), PATIENCE).await {
            Ok(answer) => assert!(
                answer == question,
                "a reply of {} bytes came as {}",
                question.len(),
                answer.len()
            ),
            Err(error) => panic!("a request of {} bytes failed: {error}", question.len()),
        }
    }
    ann.close().await;
    bob.close().await;
}

pub(super) async fn a_node_that_never_was_is_told_from_one_that_does_not_answer(
    engines: &impl Engines,
) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let nobody = fresh_node();
    match ann.engine.request(nobody, Bytes::from("?"), PATIENCE).await {
        Err(RequestFailed::NoNode { node }) => assert_eq!(node, nobody),
        other => panic!("for a node that never was NoNode is expected, {other:?} came"),
    }
    match ann.engine.request(bob.id, Bytes::from_static(KEEP), WITHIN).await {
        Err(RequestFailed::Timeout { node, within }) => {
            assert_eq!((node, within), (bob.id, WITHIN));
        }
        other => panic!("from a node that does not answer Timeout is expected, {other:?} came"),
    }
    ann.close().await;
    bob.close().await;
}

pub(super) async fn a_node_that_has_closed_is_not_there(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    match ann.engine.request(bob.id, Bytes::from("?"), PATIENCE).await {
        Ok(_) => {}
        Err(error) => panic!("a node should answer before it is closed: {error}"),
    }
    let gone = bob.id;
    bob.close().await;
    match ann.engine.request(gone, Bytes::from("?"), PATIENCE).await {
        Err(RequestFailed::NoNode { node }) => assert_eq!(node, gone),
        other => panic!("for a node that has closed NoNode is expected, {other:?} came"),
    }
    ann.close().await;
}

pub(super) async fn a_closed_engine_says_nothing_more(engines: &impl Engines) {
    let (ann, bob, eve) =
        (Node::connect(engines).await, Node::connect(engines).await, Node::connect(engines).await);
    let topic = Topic::Group(fresh_group());
    bob.hears(topic).await;
    eve.hears(topic).await;
    // What was accepted before is still said.
    let last = Bytes::from("the last word");
    bob.publish(topic, &last).await;
    bob.engine.close().await;
    eve.heard.message_comes(topic, &last).await;
    let heard = bob.heard.count();
    assert_eq!(
        bob.engine.publish(topic, Bytes::from("?")),
        Err(Unavailable),
        "a closed engine publishes nothing"
    );
    match bob.engine.request(ann.id, Bytes::from("?"), PATIENCE).await {
        Err(RequestFailed::Unavailable(Unavailable)) => {}
        other => panic!("a closed engine should be Unavailable, {other:?} came"),
    }
    for number in 0..10 {
        let message = Bytes::from(format!("message {number}"));
        ann.publish(topic, &message).await;
        eve.heard.message_comes(topic, &message).await;
    }
    assert_eq!(bob.heard.count(), heard, "a closed engine was still heard; {}", bob.heard.told());
    ann.close().await;
    eve.close().await;
}
