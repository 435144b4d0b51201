//! What other servers say of their people is bounded, whatever it is.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use wspulse::PresenceState::Here;
use wspulse_core::cluster::{
    ListedPerson, ListedState, MetaMark, NodeId, NodeReply, NodeRequest, PersonName,
};

use super::asking::asking;
use super::asking_hostile::{PEER, Script, beside_of};
use super::come;
use super::presence::{TOLD, present, telling};

fn person(id: &str, meta: &str) -> ListedPerson {
    let name = PersonName { is_user: false, id: id.into() };
    let meta_mark = MetaMark { number: 1, node: NodeId::new(*PEER.as_bytes()) };
    ListedPerson { name, state: ListedState::Here, meta_mark, meta: Some(meta.into()) }
}

fn page(is_last: bool, listed: Vec<ListedPerson>) -> Bytes {
    NodeReply::People { stream: 1, number: 1, is_last, listed }.encode()
}

/// Those whose numbers come after this one, without an end.
fn without_end(request: NodeRequest) -> Option<Bytes> {
    let NodeRequest::People { after, .. } = request else { return None };
    let after = after.map_or(0, |it| it.id.parse::<u32>().unwrap());
    let people = (after + 1..=after + 1_024).map(|it| person(&format!("{it:08}"), "1"));
    Some(page(false, people.collect()))
}

#[tokio::test(start_paused = true)]
async fn of_one_server_no_more_people_are_kept_than_so_many_and_the_rest_counted() {
    let (server, _peer) = beside_of(telling(), without_end).await;
    let _ann = come(&server, "room=lobby&id=ann").await;
    sleep(2 * TOLD).await;
    assert_eq!(present(&server).len(), 16_384 + 1);
    assert_eq!(asking(&server).readings().people_refused, 1_024);
}

#[tokio::test(start_paused = true)]
async fn pages_that_never_end_or_are_none_keep_nobody_from_being_told() {
    let scripts: [Script; 5] = [
        |_| Some(Bytes::from_static(&[0xff; 40])),
        |_| Some(NodeReply::Queued.encode()),
        |_| None,
        // It names the same ones again and again.
        |_| Some(page(false, vec![person("dan", "1"), person("dan", "2"), person("cid", "1")])),
        |_| Some(page(false, Vec::new())),
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let (server, _peer) = beside_of(telling(), script).await;
        let _ann = come(&server, "room=lobby&id=ann").await;
        let _bob = come(&server, "room=lobby&id=bob").await;
        sleep(Duration::from_millis(500)).await;
        let mut people = present(&server);
        people.retain(|(id, _)| id != "dan");
        assert_eq!(people, [("ann".to_owned(), Here), ("bob".to_owned(), Here)], "{number}");
        assert!(asking(&server).readings().asked < 10);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_are_none_are_left_out() {
    let script: Script = |_| {
        let long = format!("\"{}\"", "x".repeat(1_024));
        let people = [("a", "{"), ("b", "\"\\ud800\""), ("c", &*long), ("d", "{\"a\":1}")];
        Some(page(true, people.map(|(id, meta)| person(id, meta)).into()))
    };
    let (server, _peer) = beside_of(telling(), script).await;
    let _ann = come(&server, "room=lobby&id=ann").await;
    sleep(TOLD).await;
    let people = server.room("lobby").presence().unwrap().people;
    let metadata: Vec<_> = people.iter().map(|it| (it.id.as_str(), it.meta())).collect();
    let all = [("a", None), ("ann", None), ("b", None), ("c", None), ("d", Some("{\"a\":1}"))];
    assert_eq!(metadata, all);
}
