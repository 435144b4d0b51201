//! What an engine does while its network is gone, and when that is back.

use std::time::Duration;

use bytes::Bytes;

use super::node::{Heard, Node, PATIENCE, fresh_group};
use super::{Engines, Interruption};
use crate::cluster::{EngineStatus, GroupKey, RequestFailed, Topic, TopicFilter, Unavailable};

async fn disconnected(node: &Node) {
    let is = |heard: &Heard| heard.last_status() == Some(EngineStatus::Disconnected);
    node.heard.until("the engine should tell that it is disconnected", is).await;
}

/// Everything that was subscribed to is heard, the first time that it is said.
async fn all_is_heard(ann: &Node, bob: &Node, groups: &[GroupKey]) {
    for group in groups {
        let (topic, message) = (Topic::Group(*group), Bytes::from(format!("to {group}")));
        ann.publish(topic, &message).await;
        bob.heard.message_comes(topic, &message).await;
    }
    match ann.engine.request(bob.id, Bytes::from("?"), PATIENCE).await {
        Ok(_) => {}
        Err(error) => panic!("a node should answer again after an interruption: {error}"),
    }
}

pub(super) async fn after_an_interruption_all_subscriptions_are_in_force(
    engines: &impl Engines,
    interruption: &dyn Interruption,
) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let (before, shard, meanwhile) = (fresh_group(), fresh_group(), fresh_group());
    bob.hears(Topic::Group(before)).await;
    bob.subscribe(TopicFilter::Shard(shard.shard())).await;

    interruption.interrupt().await;
    disconnected(&ann).await;
    disconnected(&bob).await;
    assert_eq!(
        ann.engine.publish(Topic::Group(before), Bytes::from("lost")),
        Err(Unavailable),
        "a disconnected engine publishes nothing"
    );
    match ann.engine.request(bob.id, Bytes::from("?"), Duration::from_secs(1)).await {
        Err(RequestFailed::Unavailable(Unavailable)) => {}
        other => panic!("a disconnected engine should be Unavailable, {other:?} came"),
    }
    assert!(
        bob.engine.subscribe(TopicFilter::Topic(Topic::Group(meanwhile))).await.is_err(),
        "a disconnected engine cannot say that a subscription is in force"
    );

    interruption.restore().await;
    ann.connected().await;
    bob.connected().await;
    all_is_heard(&ann, &bob, &[before, shard, meanwhile]).await;
    ann.close().await;
    bob.close().await;
}

pub(super) async fn an_engine_begins_without_a_network(
    engines: &impl Engines,
    interruption: &dyn Interruption,
) {
    interruption.interrupt().await;
    let (ann, bob) = (Node::begin(engines).await, Node::begin(engines).await);
    disconnected(&ann).await;
    disconnected(&bob).await;
    let group = fresh_group();
    assert!(
        bob.engine.subscribe(TopicFilter::Topic(Topic::Group(group))).await.is_err(),
        "a disconnected engine cannot say that a subscription is in force"
    );
    interruption.restore().await;
    ann.connected().await;
    bob.connected().await;
    all_is_heard(&ann, &bob, &[group]).await;
    ann.close().await;
    bob.close().await;
}
