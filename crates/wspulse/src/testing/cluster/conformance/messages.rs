//! What is published, and who hears it.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::Engines;
use super::node::{Heard, Node, fresh_group, neighbour};
use crate::cluster::{Topic, TopicFilter};

/// How many messages of each publisher to each topic show its order.
const ORDERED: u32 = 400;

/// How many subscriptions in a row must be in force at once.
const SUBSCRIPTIONS: u32 = 50;

/// How many rounds without a message show that a subscription has ended, and how many there may be.
const SILENT_ROUNDS: u32 = 10;
const ROUNDS_MAX: u32 = 2_000;

/// How much is published without giving way: more than any buffer should hold.
const UNYIELDING: u32 = 20_000;
const UNYIELDING_BYTES: usize = 4 * 1024;

/// How long one of them may take: it is a matter of microseconds, unless the machine is busy.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);

fn numbered(publisher: u8, number: u32) -> Bytes {
    let mut bytes = vec![publisher];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.into()
}

/// The numbers that this publisher's messages have on a topic, each where it came first.
fn numbers_of(publisher: u8, topic: Topic, heard: &Heard) -> Vec<u32> {
    let mut numbers = Vec::new();
    for message in heard.on(topic) {
        let (from, number) = message.split_first().expect("a message of ours");
        let number = u32::from_be_bytes(number.try_into().expect("four bytes of ours"));
        if *from == publisher && !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

pub(super) async fn a_message_reaches_all_who_are_subscribed_to_its_topic_and_says_which(
    engines: &impl Engines,
) {
    let (ann, bob, eve) =
        (Node::connect(engines).await, Node::connect(engines).await, Node::connect(engines).await);
    for topic in [Topic::Group(fresh_group()), Topic::Everybody, Topic::Beats] {
        bob.hears(topic).await;
        eve.hears(topic).await;
        let message = Bytes::from(format!("for {topic:?}"));
        ann.publish(topic, &message).await;
        bob.heard.message_comes(topic, &message).await;
        eve.heard.message_comes(topic, &message).await;
    }
    for node in [ann, bob, eve] {
        node.close().await;
    }
}

pub(super) async fn what_one_publishes_to_one_topic_arrives_in_order(engines: &impl Engines) {
    let (ann, bob, eve) =
        (Node::connect(engines).await, Node::connect(engines).await, Node::connect(engines).await);
    let topics = [Topic::Group(fresh_group()), Topic::Group(fresh_group())];
    for topic in topics {
        eve.hears(topic).await;
    }
    for number in 0..ORDERED {
        for topic in topics {
            ann.publish(topic, &numbered(b'a', number)).await;
            bob.publish(topic, &numbered(b'b', number)).await;
        }
        // A reader that is never polled is no network: give it a turn now and then.
        if number % 50 == 0 {
            yield_now().await;
        }
    }
    for topic in topics {
        for publisher in [b'a', b'b'] {
            eve.heard.message_comes(topic, &numbered(publisher, ORDERED - 1)).await;
            let numbers = numbers_of(publisher, topic, &eve.heard);
            assert!(
                numbers.is_sorted(),
                "what {} published to {topic:?} came in another order: {numbers:?}",
                char::from(publisher)
            );
        }
    }
    for node in [ann, bob, eve] {
        node.close().await;
    }
}

pub(super) async fn a_subscription_is_in_force_once_it_is_ready(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    for number in 0..SUBSCRIPTIONS {
        let topic = Topic::Group(fresh_group());
        bob.hears(topic).await;
        let message = numbered(b'a', number);
        ann.publish(topic, &message).await;
        bob.heard.message_comes(topic, &message).await;
    }
    ann.close().await;
    bob.close().await;
}

pub(super) async fn a_filter_of_a_shard_hears_all_of_its_groups(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let group = fresh_group();
    bob.subscribe(TopicFilter::Shard(group.shard())).await;
    for (number, group) in (0..).zip([group, neighbour(group), neighbour(group)]) {
        let message = numbered(b'a', number);
        ann.publish(Topic::Group(group), &message).await;
        bob.heard.message_comes(Topic::Group(group), &message).await;
    }
    ann.close().await;
    bob.close().await;
}

pub(super) async fn a_topic_that_two_filters_cover_stays_in_order(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let group = fresh_group();
    let topic = Topic::Group(group);
    bob.hears(topic).await;
    for number in 0..ORDERED {
        ann.publish(topic, &numbered(b'a', number)).await;
        // In the middle of the messages, from one filter to the other.
        if number == ORDERED / 4 {
            bob.subscribe(TopicFilter::Shard(group.shard())).await;
        }
        if number == ORDERED / 2 {
            bob.engine.unsubscribe(TopicFilter::Topic(topic));
        }
    }
    bob.heard.message_comes(topic, &numbered(b'a', ORDERED - 1)).await;
    let numbers = numbers_of(b'a', topic, &bob.heard);
    assert!(
        numbers.is_sorted(),
        "two filters brought their messages in another order: {numbers:?}"
    );
    let lost: Vec<u32> =
        (ORDERED / 4 + 1..ORDERED).filter(|number| !numbers.contains(number)).collect();
    assert!(lost.is_empty(), "of what came once both were in force, this was lost: {lost:?}");
    ann.close().await;
    bob.close().await;
}

pub(super) async fn an_ended_subscription_falls_silent(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let (ended, other) = (Topic::Group(fresh_group()), Topic::Group(fresh_group()));
    bob.hears(ended).await;
    bob.hears(other).await;
    ann.publish(ended, &numbered(b'a', 0)).await;
    bob.heard.message_comes(ended, &numbered(b'a', 0)).await;
    bob.engine.unsubscribe(TopicFilter::Topic(ended));
    let (mut silent, mut round) = (0, 0);
    while silent < SILENT_ROUNDS {
        round += 1;
        assert!(
            round < ROUNDS_MAX,
            "an ended subscription should fall silent, and still hears after {round} messages; {}",
            bob.heard.told()
        );
        let before = bob.heard.on(ended).len();
        ann.publish(ended, &numbered(b'a', round)).await;
        ann.publish(other, &numbered(b'a', round)).await;
        bob.heard.message_comes(other, &numbered(b'a', round)).await;
        silent = if bob.heard.on(ended).len() == before { silent + 1 } else { 0 };
    }
    ann.close().await;
    bob.close().await;
}

pub(super) async fn the_smallest_and_the_largest_message_arrive_whole(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let topic = Topic::Group(fresh_group());
    bob.hears(topic).await;
    let largest = Bytes::from(vec![0x5a; ann.engine.message_bytes_max()]);
    for message in [Bytes::new(), largest] {
        ann.publish(topic, &message).await;
        bob.heard.message_comes(topic, &message).await;
    }
    ann.close().await;
    bob.close().await;
}

/// It is published from a thread of its own, while this one waits for that: on a runtime of one thread,
/// what the engine reads and writes with has no turn.
pub(super) async fn publish_never_waits(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let topic = Topic::Group(fresh_group());
    let (engine, runtime) = (Arc::clone(&ann.engine), Handle::current());
    let (progress, published) = mpsc::channel();
    thread::spawn(move || {
        let _in_runtime = runtime.enter();
        let message = Bytes::from(vec![0; UNYIELDING_BYTES]);
        for number in 0..UNYIELDING {
            let outcome = engine.publish(topic, message.clone());
            let is_last = outcome.is_err() || number + 1 == UNYIELDING;
            if progress.send(is_last).is_err() || is_last {
                return;
            }
        }
    });
    let mut count = 0;
    loop {
        match published.recv_timeout(PUBLISHED_WITHIN) {
            Ok(true) => break,
            Ok(false) => count += 1,
            Err(error) => panic!(
                "publish should never wait, and after {count} messages it takes more than \
                 {PUBLISHED_WITHIN:?} ({error})"
            ),
        }
    }
    // And it works on as before.
    bob.hears(topic).await;
    let word = numbered(b'a', 0);
    ann.publish(topic, &word).await;
    bob.heard.message_comes(topic, &word).await;
    ann.close().await;
    bob.close().await;
}
