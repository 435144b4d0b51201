//! What the logs of rooms must do, for an engine that has some.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::node::{Node, PATIENCE, Word, fresh_group};
use super::{Engines, Interruption};
use crate::cluster::{
    AppendFailed, AppendId, GroupKey, Log, LogPosition, LogRead, LogStart, Topic,
};

/// How long an append or a read may take. What is not there by then must say so.
const WITHIN: Duration = Duration::from_secs(5);

/// By how much it may take longer than that.
const LATE: Duration = Duration::from_secs(5);

fn log(node: &Node) -> &dyn Log {
    let log = node.engine.log();
    log.expect("an engine of which one has a log has one each")
}

fn entry(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn append(node: &Node, key: GroupKey, text: &str) -> LogPosition {
    append_as(node, key, AppendId::random(), text).await
}

async fn append_as(node: &Node, key: GroupKey, id: AppendId, text: &str) -> LogPosition {
    match log(node).append(key, id, entry(text), WITHIN).await {
        Ok(position) => position,
        Err(error) => panic!("a connected engine should append {text:?}: {error}"),
    }
}

async fn read(node: &Node, key: GroupKey, from: LogStart, max: usize) -> LogRead {
    match log(node).read(key, from, max, WITHIN).await {
        Ok(read) => read,
        Err(error) => panic!("a connected engine should read {from:?}: {error}"),
    }
}

/// Reads until so many are there: what was acknowledged is readable at once by whoever appended it, and
/// soon by all.
async fn read_all(node: &Node, key: GroupKey, count: usize) -> Vec<(LogPosition, Bytes)> {
    let mut all = Vec::new();
    let until = Instant::now() + PATIENCE;
    while all.len() < count {
        assert!(Instant::now() < until, "{count} entries were appended, {} are read", all.len());
        let after = all.last().map(|(position, _)| *position);
        let from = after.map_or(LogStart::Last(count), LogStart::After);
        let LogRead { entries, newest } = read(node, key, from, count).await;
        if entries.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        for it in entries {
            assert!(Some(it.position) <= newest, "{:?} is behind the newest", it.position);
            all.push((it.position, it.entry));
        }
    }
    all
}

pub(super) async fn what_is_acknowledged_is_in_the_log_under_rising_numbers(
    engines: &impl Engines,
) {
    let (node, key) = (Node::connect(engines).await, fresh_group());
    let empty = read(&node, key, LogStart::Last(1), 1).await;
    assert_eq!(empty, LogRead::default(), "nothing was appended");
    let mut appended = Vec::new();
    for number in 1..=20_u64 {
        let text = number.to_string();
        let position = append(&node, key, &text).await;
        assert_eq!(position.number, number, "numbers have no holes");
        appended.push((position, entry(&text)));
    }
    assert!(appended.iter().all(|(it, _)| it.epoch == appended[0].0.epoch), "of one epoch");
    assert_eq!(read_all(&node, key, 20).await, appended);
    node.close().await;
}

pub(super) async fn what_two_append_at_once_has_one_order_for_all(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let key = fresh_group();
    let say = async |node: &Node, name: &str| {
        let mut positions = Vec::new();
        for number in 0..20 {
            positions.push(append(node, key, &format!("{name} {number:02}")).await);
        }
        positions
    };
    let (one, other) = tokio::join!(say(&ann, "ann"), say(&bob, "bob"));
    for positions in [&one, &other] {
        assert!(positions.is_sorted_by(|one, next| one < next), "what one appends stays in order");
    }
    let (heard, told) = (read_all(&ann, key, 40).await, read_all(&bob, key, 40).await);
    assert_eq!(heard, told, "all read one order");
    let numbers = heard.iter().map(|(position, _)| position.number);
    assert!(numbers.eq(1..=40), "each has a place of its own, without a hole");
    let all = one.iter().chain(&other);
    assert!(all.clone().all(|it| heard.iter().any(|(read, _)| read == it)), "where it was told");
    ann.close().await;
    bob.close().await;
}

pub(super) async fn an_id_that_was_appended_is_not_appended_again(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let (key, other, id) = (fresh_group(), fresh_group(), AppendId::random());
    let position = append_as(&ann, key, id, "once").await;
    append(&ann, key, "then").await;
    for node in [&ann, &bob] {
        let again = append_as(node, key, id, "once").await;
        assert_eq!(again, position, "an id that was appended is where it was");
    }
    assert_eq!(append_as(&ann, other, id, "elsewhere").await.number, 1, "an id is of its room");
    let texts: Vec<_> = read_all(&bob, key, 2).await.into_iter().map(|(_, it)| it).collect();
    assert_eq!(texts, [entry("once"), entry("then")]);
    let newest = read(&bob, key, LogStart::Last(5), 5).await;
    assert_eq!(newest.entries.len(), 2, "and nothing is there twice");
    ann.close().await;
    bob.close().await;
}

pub(super) async fn a_log_is_read_from_any_place_on(engines: &impl Engines) {
    let (node, key) = (Node::connect(engines).await, fresh_group());
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(append(&node, key, &number.to_string()).await);
        // Others lie between them.
        append(&node, fresh_group(), "other").await;
    }
    read_all(&node, key, 10).await;
    let places = async |from, max| -> Vec<_> {
        let LogRead { entries, newest } = read(&node, key, from, max).await;
        assert_eq!(newest, positions.last().copied(), "a read says where the newest is");
        entries.iter().map(|it| it.position.number).collect()
    };
    assert_eq!(places(LogStart::Last(3), 10).await, [8, 9, 10]);
    assert_eq!(places(LogStart::Last(3), 2).await, [8, 9], "no more than were asked for");
    assert!(places(LogStart::Last(0), 10).await.is_empty());
    assert_eq!(places(LogStart::Last(100), 2).await, [1, 2]);
    for position in &positions[..9] {
        assert_eq!(places(LogStart::After(*position), 1).await, [position.number + 1]);
    }
    assert!(places(LogStart::After(positions[9]), 10).await.is_empty());
    // Of a log that there was before this one, all is new.
    let before = LogPosition { epoch: positions[0].epoch - 1, number: 7 };
    assert_eq!(places(LogStart::After(before), 1).await, [1]);
    node.close().await;
}

pub(super) async fn what_is_appended_is_told_to_all_who_are_subscribed(engines: &impl Engines) {
    let (ann, bob) = (Node::connect(engines).await, Node::connect(engines).await);
    let (key, other) = (fresh_group(), fresh_group());
    for node in [&ann, &bob] {
        node.hears(Topic::Group(key)).await;
    }
    append(&ann, other, "for nobody").await;
    for number in 0..5 {
        let text = number.to_string();
        let position = append(&ann, key, &text).await;
        for node in [&ann, &bob] {
            let word = Word::Logged(key, position, entry(&text));
            let expected = format!("{word:?} should be told, to its appender too");
            node.heard.until(&expected, |heard| heard.has(&word)).await;
        }
    }
    for node in [&ann, &bob] {
        let is_other = |word: &Word| matches!(word, Word::Logged(of, ..) if *of == other);
        assert!(!node.heard.any(is_other), "a room that nobody listens for; {}", node.heard.told());
        assert!(node.heard.on(Topic::Group(key)).is_empty(), "it is no message");
    }
    ann.close().await;
    bob.close().await;
}

pub(super) async fn a_log_that_cannot_be_reached_says_so_in_time(
    engines: &impl Engines,
    interruption: &dyn Interruption,
) {
    let (node, key) = (Node::connect(engines).await, fresh_group());
    let first = append(&node, key, "before").await;
    interruption.interrupt().await;
    let (id, within) = (AppendId::random(), Duration::from_secs(1));
    let appended = log(&node).append(key, id, entry("meanwhile"), within);
    let appended = timeout(within + LATE, appended).await;
    let read = timeout(within + LATE, log(&node).read(key, LogStart::Last(1), 1, within)).await;
    interruption.restore().await;
    match appended {
        Ok(Err(AppendFailed::Unavailable | AppendFailed::Unknown { .. })) => {}
        other => panic!("without a network, an append should say so in time, not {other:?}"),
    }
    assert!(matches!(read, Ok(Err(_))), "without a network, so should a read, not {read:?}");
    node.connected().await;
    // It comes back by itself, and has what was acknowledged, and nothing twice.
    let until = Instant::now() + PATIENCE;
    let position = loop {
        match log(&node).append(key, id, entry("meanwhile"), WITHIN).await {
            Ok(position) => break position,
            Err(error) => assert!(Instant::now() < until, "it should append again: {error}"),
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((position.epoch, position.number), (first.epoch, 2));
    let texts: Vec<_> = read_all(&node, key, 2).await.into_iter().map(|(_, it)| it).collect();
    assert_eq!(texts, [entry("before"), entry("meanwhile")]);
    node.close().await;
}
