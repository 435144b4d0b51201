//! The engine in memory: what a cluster's engine must do, what goes wrong, and that a seed replays it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use wspulse::cluster::{
    Engine, EngineStatus, GroupKey, NodeId, Reply, RequestFailed, Sink, Topic, TopicFilter,
};
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork, NetworkFaults, conformance};
use wspulse::testing::{Dice, play};

/// What a sink was given, one line each, with its time.
struct Heard {
    begun_at: Instant,
    lines: Mutex<Vec<(Duration, String)>>,
}

impl Heard {
    fn new() -> Arc<Self> {
        Arc::new(Self { begun_at: Instant::now(), lines: Mutex::default() })
    }

    fn hear(&self, line: String) {
        self.lines.lock().push((self.begun_at.elapsed(), line));
    }

    fn texts(&self) -> Vec<String> {
        self.lines.lock().iter().map(|(_, line)| line.clone()).collect()
    }

    fn messages(&self) -> Vec<String> {
        let is_message = |text: &String| !text.starts_with('=') && !text.starts_with('?');
        self.texts().into_iter().filter(is_message).collect()
    }
}

impl Sink for Heard {
    fn message(&self, _: Topic, message: Bytes) {
        self.hear(String::from_utf8_lossy(&message).into_owned());
    }

    fn request(&self, message: Bytes, reply: Reply) {
        self.hear(format!("?{}", String::from_utf8_lossy(&message)));
        reply.send(message);
    }

    fn status(&self, status: EngineStatus) {
        self.hear(format!("={status:?}"));
    }
}

fn node(number: u8) -> NodeId {
    NodeId::new([number; 16])
}

fn group(number: u8) -> Topic {
    Topic::Group(GroupKey::new([number; 16]))
}

async fn begin(network: &MemoryNetwork, number: u8) -> (MemoryEngine, Arc<Heard>) {
    let (engine, heard) = (network.engine(), Heard::new());
    engine.start(node(number), Arc::clone(&heard) as Arc<dyn Sink>).await.unwrap();
    (engine, heard)
}

/// Longer than anything takes in [`NetworkFaults::ALL`].
const SETTLED: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn the_engine_in_memory_does_what_an_engine_must() {
    conformance(&MemoryNetwork::new()).await;
}

#[tokio::test(start_paused = true)]
async fn it_does_so_with_delays_and_messages_that_come_twice() {
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::ZERO..Duration::from_millis(40);
    faults.twice_per_mille = 300;
    faults.echo = true;
    for seed in 0..20 {
        conformance(&MemoryNetwork::with_faults(seed, faults.clone())).await;
    }
}

/// Three nodes that publish and ask in a network with all faults; returns all that was heard.
async fn life(mut dice: Dice) -> String {
    let network = MemoryNetwork::from_seed(dice.seed());
    let mut nodes = Vec::new();
    for number in 0..3 {
        let (engine, heard) = begin(&network, number).await;
        for topic in [group(1), group(2), Topic::Everybody] {
            engine.subscribe(TopicFilter::Topic(topic)).await.unwrap();
        }
        nodes.push((engine, heard));
    }
    let mut outcomes = String::new();
    for number in 0..300_u32 {
        let from = dice.within(0..3);
        let (engine, _) = &nodes[usize::try_from(from).unwrap()];
        let topic = *dice.pick(&[group(1), group(2), Topic::Everybody]);
        let published = engine.publish(topic, format!("{from}:{topic:?}:{number}").into());
        if number % 10 == 0 {
            let to = node(*dice.pick(&[0, 1, 2, 9]));
            let answer = engine.request(to, "question".into(), Duration::from_millis(200)).await;
            writeln!(outcomes, "{number}: {published:?}, {answer:?}").unwrap();
        }
        sleep(dice.time(Duration::ZERO..Duration::from_millis(20))).await;
    }
    sleep(SETTLED).await;
    for (engine, heard) in nodes {
        engine.close().await;
        for (at, line) in heard.lines.lock().iter() {
            writeln!(outcomes, "{at:?} {line}").unwrap();
        }
    }
    outcomes
}

#[test]
fn a_seed_replays_a_network_to_the_line() {
    let once = play(20, life);
    assert_eq!(once, play(20, life));
    assert_ne!(once[0], once[1], "two seeds are two networks");
    for seen in ["=Disconnected", "=Connected", "=Lost", "Timeout", "NoNode", "Unavailable"] {
        assert!(once.iter().any(|life| life.contains(seen)), "no life has {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_lost_come_twice_and_overtake_those_of_others_and_never_those_of_one() {
    let mut faults = NetworkFaults::ALL;
    faults.interrupted_per_mille = 0;
    let network = MemoryNetwork::with_faults(3, faults);
    let (ann, _) = begin(&network, 1).await;
    let (bob, _) = begin(&network, 2).await;
    let (eve, heard) = begin(&network, 3).await;
    eve.subscribe(TopicFilter::Topic(group(1))).await.unwrap();
    let mut said = Vec::new();
    for number in 0..500 {
        for (engine, name) in [(&ann, "ann"), (&bob, "bob")] {
            let message = format!("{name} {number:03}");
            engine.publish(group(1), message.clone().into()).unwrap();
            said.push(message);
        }
        sleep(Duration::from_millis(1)).await;
    }
    sleep(SETTLED).await;

    let heard = heard.messages();
    let mut first = heard.clone();
    let mut seen = std::collections::HashSet::new();
    first.retain(|message| seen.insert(message.clone()));
    assert!(first.len() < heard.len(), "nothing came twice");
    assert!(first.len() < said.len(), "nothing was lost");
    for name in ["ann", "bob"] {
        let of_one: Vec<_> = first.iter().filter(|message| message.starts_with(name)).collect();
        assert!(of_one.is_sorted(), "what {name} said came in another order: {of_one:?}");
    }
    said.retain(|message| first.contains(message));
    assert_ne!(said, first, "nobody overtook anybody");
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_hears_nobody_and_is_told_nothing_of_it() {
    let network = MemoryNetwork::new();
    let (ann, _) = begin(&network, 1).await;
    let (bob, bob_heard) = begin(&network, 2).await;
    let (eve, eve_heard) = begin(&network, 3).await;
    for engine in [&bob, &eve] {
        engine.subscribe(TopicFilter::Topic(group(1))).await.unwrap();
    }
    network.cut(&bob);
    ann.publish(group(1), "one".into()).unwrap();
    let within = Duration::from_secs(1);
    let failed = ann.request(node(2), "?".into(), within).await.unwrap_err();
    assert!(matches!(failed, RequestFailed::Timeout { .. }), "{failed:?}");
    assert_eq!(ann.request(node(3), "!".into(), within).await.unwrap(), "!");

    network.heal();
    network.cut_between(&ann, &eve);
    ann.publish(group(1), "two".into()).unwrap();
    bob.publish(group(1), "three".into()).unwrap();
    sleep(SETTLED).await;
    assert_eq!(bob_heard.texts(), ["=Connected", "two"]);
    assert_eq!(eve_heard.texts(), ["=Connected", "one", "?!", "three"]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_engine_is_told_so_and_is_no_node_to_others() {
    let network = MemoryNetwork::new();
    let (ann, _) = begin(&network, 1).await;
    let (bob, heard) = begin(&network, 2).await;
    bob.subscribe(TopicFilter::Topic(group(1))).await.unwrap();
    bob.interrupt();
    ann.publish(group(1), "lost".into()).unwrap();
    bob.publish(group(1), "refused".into()).unwrap_err();
    let failed = ann.request(node(2), "?".into(), Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(failed, RequestFailed::NoNode { .. }), "{failed:?}");
    bob.restore();
    ann.publish(group(1), "heard".into()).unwrap();
    sleep(SETTLED).await;
    assert_eq!(heard.texts(), ["=Connected", "=Disconnected", "=Connected", "heard"]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_ends_with_the_last_of_its_clones() {
    let network = MemoryNetwork::new();
    let (ann, _) = begin(&network, 1).await;
    let (bob, heard) = begin(&network, 2).await;
    let clone = bob.clone();
    drop(bob);
    assert_eq!(ann.request(node(2), "?".into(), Duration::from_secs(1)).await.unwrap(), "?");
    drop(clone);
    let failed = ann.request(node(2), "?".into(), Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(failed, RequestFailed::NoNode { .. }), "{failed:?}");
    sleep(SETTLED).await;
    assert_eq!(Arc::strong_count(&heard), 1, "its task has ended");
}
