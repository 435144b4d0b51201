//! Requests to the members of a room on all servers.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use wspulse::cluster::{Answers, ClusterReplies, NoReply};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{BroadcastError, Frame, Server};

use super::asking::asking;
use super::support::clients::Client;
use super::{cluster, come, know_each_other, node, rooms};

const TIME: Duration = Duration::from_secs(10);

type Asking = JoinHandle<Result<Answers<ClusterReplies>, BroadcastError>>;

fn ask(server: &Server) -> Asking {
    let cluster = asking(server);
    tokio::spawn(async move { cluster.request("lobby", Frame::new("vote")).within(TIME).await })
}

async fn reply(client: &mut Client, event: &'static str, vote: bool) {
    let question = client.frame().await.expect("a question");
    assert_eq!(question.event(), "vote");
    let reply = Frame::new(event).with_id(question.id()).json(&vote).unwrap();
    client.send(&reply).await.unwrap();
}

/// What this member has replied: what, or that there is nothing.
fn of(all: &ClusterReplies, id: &str) -> Result<bool, NoReply> {
    let mut its = all.replies.iter().filter(|it| it.id == id);
    let reply = its.next().expect("each member is in it").reply.clone();
    assert!(its.next().is_none(), "once");
    reply.map(|frame| frame.to_json().unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_member_on_each_server_is_asked_and_heard() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let mut cid = come(&servers[1], "room=lobby&id=cid").await;
    let _dan = come(&servers[1], "room=lobby&id=dan").await;
    let asked = ask(&servers[0]);
    reply(&mut ann, "reply", true).await;
    reply(&mut bob, "reply", false).await;
    reply(&mut cid, "error", true).await;
    let began = Instant::now();
    let answers = asked.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), TIME, "dan has so long");
    assert!(answers.is_complete());
    assert_eq!((answers.from.len(), answers.value.truncated.len()), (2, 0));
    let all = answers.value;
    assert_eq!(all.replies.len(), 4);
    assert_eq!((of(&all, "ann"), of(&all, "bob")), (Ok(true), Ok(false)));
    assert!(matches!(of(&all, "cid"), Err(NoReply::Refused { .. })));
    assert_eq!(of(&all, "dan"), Err(NoReply::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_cut_off_is_named_and_the_members_of_others_are_heard() {
    let network = MemoryNetwork::new();
    let (servers, engines): (Vec<_>, Vec<_>) = (0..3).map(|_| node(&network, rooms())).unzip();
    know_each_other(&servers).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let _cid = come(&servers[2], "room=lobby&id=cid").await;
    network.cut(&engines[2]);
    let (asked, began) = (ask(&servers[0]), Instant::now());
    reply(&mut bob, "reply", true).await;
    let answers = asked.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), TIME + Duration::from_secs(1));
    assert_eq!(answers.silent, [asking(&servers[2]).id()]);
    assert_eq!(of(&answers.value, "bob"), Ok(true));
    assert_eq!(answers.value.replies.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_is_told_as_closed() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let asked = ask(&servers[0]);
    bob.frame().await.expect("a question");
    servers[1].kick("bob").unwrap();
    let answers = asked.await.unwrap().unwrap();
    assert_eq!(of(&answers.value, "bob"), Err(NoReply::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_closed_server_asks_nobody() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    servers[0].close().await;
    let asked = asking(&servers[0]).request("lobby", Frame::new("vote")).within(TIME).await;
    assert!(matches!(asked, Err(BroadcastError::ServerClosed { .. })));
    super::support::clients::hears_nothing(&mut bob).await;
}
