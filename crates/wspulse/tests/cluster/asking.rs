//! One connection, wherever it is: where it is, what is sent to it, and its end.

use std::time::Duration;

use tokio::time::Instant;
use wspulse::cluster::{Cluster, Found, NotKicked, NotSent};
use wspulse::testing::TestClient;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse::{BufferLimit, CloseCode, ConnectionState, Frame, IdScope, Server, ServerBuilder};

use super::support::clients::{close, close_frame, hears_nothing, numbered};
use super::{cluster, cluster_of, come, hears, know_each_other, node, rooms};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn asking(server: &Server) -> Cluster {
    server.cluster().expect("one of many")
}

/// Two servers of this kind that know each other, with their ends of the network.
pub(super) async fn two(
    network: &MemoryNetwork,
    builder: impl Fn() -> ServerBuilder,
) -> ([Server; 2], [MemoryEngine; 2]) {
    let ((here, at), (there, its)) = (node(network, builder()), node(network, builder()));
    let servers = [here, there];
    know_each_other(&servers).await;
    (servers, [at, its])
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_this_server_is_found_without_the_network() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network, rooms).await;
    let _ann = come(&servers[0], "room=lobby&id=ann").await;
    network.cut(&engines[0]);
    let began = Instant::now();
    let Found::At(ann) = asking(&servers[0]).find("ann").await else { panic!("not found") };
    assert_eq!(ann.node, asking(&servers[0]).id());
    asking(&servers[0]).send("ann", numbered(1)).await.unwrap();
    asking(&servers[0]).kick("ann").await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_another_server_is_found_with_its_room_user_and_state() {
    let network = MemoryNetwork::new();
    let (servers, _) = two(&network, || rooms().resume_window(60 * SECOND)).await;
    let ann = come(&servers[1], "room=lobby&id=ann&user=anna").await;
    let find = async || {
        let Found::At(found) = asking(&servers[0]).find("ann").await else { panic!("not found") };
        found
    };
    let found = find().await;
    assert_eq!(found.node, asking(&servers[1]).id());
    assert_eq!((&*found.id, &*found.room, found.user.as_deref()), ("ann", "lobby", Some("anna")));
    assert_eq!(found.state, ConnectionState::Connected);
    drop(ann);
    tokio::time::sleep(SECOND).await;
    assert_eq!(find().await.state, ConnectionState::Suspended);
}

#[tokio::test(start_paused = true)]
async fn what_no_server_has_is_nowhere() {
    let servers = cluster(&MemoryNetwork::new(), 3).await;
    let cluster = asking(&servers[0]);
    assert_eq!(cluster.find("ann").await, Found::Nowhere);
    let sent = cluster.send("ann", numbered(1)).await;
    assert!(matches!(&sent, Err(NotSent::NotFound { id, .. }) if id == "ann"), "{sent:?}");
    assert_eq!(sent.unwrap_err().into_frame(), numbered(1));
    assert_eq!(cluster.kick("ann").await, Err(NotKicked::NotFound { id: "ann".into() }));
}

#[tokio::test(start_paused = true)]
async fn what_only_a_server_that_is_cut_off_can_have_is_not_known_after_a_second() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network, rooms).await;
    let mut ann = come(&servers[1], "room=lobby&id=ann").await;
    network.cut(&engines[1]);
    let (cluster, there) = (asking(&servers[0]), asking(&servers[1]).id());
    let (silent, gone) = (vec![there], Vec::new());
    let began = Instant::now();
    assert_eq!(cluster.find("ann").await, Found::Unknown { silent: silent.clone(), gone });
    assert_eq!(began.elapsed(), SECOND);
    match cluster.within(3 * SECOND).send("ann", numbered(1)).await {
        Err(NotSent::NotReached { silent: who, gone, .. }) => {
            assert_eq!((who, gone.len()), (silent, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(began.elapsed(), 4 * SECOND);
    assert!(
        matches!(cluster.kick("ann").await, Err(NotKicked::Unknown { silent, .. }) if silent == [there])
    );
    network.heal();
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_connection_to_the_others_is_told_as_gone_at_once() {
    let (network, began) = (MemoryNetwork::new(), Instant::now());
    let (servers, engines) = two(&network, rooms).await;
    let _ann = come(&servers[1], "room=lobby&id=ann").await;
    let known = began.elapsed();
    engines[1].interrupt();
    let gone = vec![asking(&servers[1]).id()];
    let found = asking(&servers[0]).find("ann").await;
    assert_eq!(found, Found::Unknown { silent: Vec::new(), gone });
    engines[1].restore();
    engines[0].interrupt();
    let sent = asking(&servers[0]).send("ann", numbered(1)).await;
    assert!(matches!(&sent, Err(NotSent::NotReached { gone, .. }) if gone.len() == 1), "{sent:?}");
    assert_eq!(began.elapsed(), known);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_left_is_not_asked() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    servers[1].close().await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(asking(&servers[0]).find("ann").await, Found::Nowhere);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_been_silent_for_two_minutes_is_not_asked() {
    let network = MemoryNetwork::new();
    let (servers, engines) = two(&network, rooms).await;
    network.cut(&engines[1]);
    tokio::time::sleep(180 * SECOND).await;
    assert_eq!(asking(&servers[0]).find("ann").await, Found::Nowhere);
}

#[tokio::test(start_paused = true)]
async fn frames_to_a_connection_elsewhere_arrive_in_their_order() {
    let servers = cluster(&MemoryNetwork::new(), 3).await;
    let mut ann = come(&servers[2], "room=lobby&id=ann").await;
    let mut bob = come(&servers[2], "room=lobby&id=bob").await;
    for number in 0..100 {
        let queued = asking(&servers[0]).send("ann", numbered(number)).await.unwrap();
        assert_eq!(queued.node, asking(&servers[2]).id());
    }
    assert!(hears(&mut ann, 100).await.into_iter().eq(0..100));
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_elsewhere_gives_the_frame_back_with_its_bound() {
    let network = MemoryNetwork::new();
    let (servers, _) = two(&network, || rooms().send_buffer_size(4)).await;
    let target = "/ws?room=lobby&id=ann";
    let _ann = TestClient::connect_with_capacity(&servers[1], target, 16).await.expect("admitted");
    let cluster = asking(&servers[0]);
    let mut sent = 0;
    let error = loop {
        match cluster.send("ann", numbered(sent)).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100, "it takes no end");
    };
    let NotSent::Full { frame, node, limit } = error else { panic!("{error:?}") };
    assert_eq!((*frame, node), (numbered(sent), asking(&servers[1]).id()));
    assert_eq!(limit, BufferLimit::Frames { capacity_frames: 4 });
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_frame_holds_elsewhere() {
    let network = MemoryNetwork::new();
    let (servers, _) = two(&network, || rooms().resume_window(60 * SECOND)).await;
    drop(come(&servers[1], "room=lobby&id=ann").await);
    tokio::time::sleep(SECOND).await;
    for number in 1..=3 {
        let newest = numbered(number).conflate("score");
        asking(&servers[0]).send("ann", newest).await.unwrap();
    }
    assert_eq!(servers[1].connection("ann").unwrap().outbound_stats().conflated, 2);
    let mut ann = come(&servers[1], "room=lobby&id=ann").await;
    assert_eq!(hears(&mut ann, 1).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn of_two_servers_with_one_id_one_gets_the_frame_and_both_are_kicked() {
    let of_each = || rooms().id_scope(IdScope::Server);
    let servers = cluster_of(&MemoryNetwork::new(), 3, of_each).await;
    let mut clients = Vec::new();
    for server in &servers[1..] {
        clients.push(come(server, "room=lobby&id=ann").await);
    }
    let cluster = asking(&servers[0]);
    cluster.send("ann", numbered(1)).await.unwrap();
    let accepted = |server: &Server| server.connection("ann").unwrap().outbound_stats().accepted;
    assert_eq!(servers[1..].iter().map(accepted).sum::<u64>(), 1);
    let kicked = cluster.kick("ann").await.unwrap();
    assert_eq!((kicked.nodes.len(), kicked.silent.len(), kicked.gone.len()), (2, 0, 0));
    assert!(servers.iter().all(|server| server.connection("ann").is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_elsewhere_ends_with_the_code_and_reason_of_the_kick() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[1], "room=lobby&id=ann").await;
    let code = CloseCode::new(4001).unwrap();
    let kicked = asking(&servers[0]).kick_with("ann", code, "signed in elsewhere").await.unwrap();
    assert_eq!(kicked.nodes, [asking(&servers[1]).id()]);
    assert!(servers[1].connection("ann").is_none());
    assert_eq!(close_frame(&mut ann).await, Some(close(4001, "signed in elsewhere")));
}

#[tokio::test(start_paused = true)]
async fn a_kick_elsewhere_names_who_may_have_one_more() {
    let network = MemoryNetwork::new();
    let (servers, engines): (Vec<_>, Vec<_>) = (0..3).map(|_| node(&network, rooms())).unzip();
    know_each_other(&servers).await;
    let _ann = come(&servers[1], "room=lobby&id=ann").await;
    network.cut(&engines[2]);
    let kicked = asking(&servers[0]).kick("ann").await.unwrap();
    assert_eq!(kicked.nodes, [asking(&servers[1]).id()]);
    assert_eq!(kicked.silent, [asking(&servers[2]).id()]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_no_message_can_hold_is_sent_to_nobody() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let _ann = come(&servers[1], "room=lobby&id=ann").await;
    let frame = Frame::new("large").json(&"x".repeat(2 << 20)).unwrap();
    let sent = asking(&servers[0]).send("ann", frame.clone()).await;
    match sent {
        Err(NotSent::TooLarge { bytes, bytes_max, .. }) => assert!(bytes > bytes_max),
        other => panic!("{other:?}"),
    }
    // To those who are here it goes.
    asking(&servers[1]).send("ann", frame).await.unwrap();
}

#[test]
fn what_asks_can_be_spawned() {
    const fn is_send<T: Send>(_: &T) {}
    let _ = |cluster: Cluster| {
        is_send(&cluster.find("ann"));
        is_send(&cluster.send("ann", Frame::new("n")));
        is_send(&cluster.kick("ann"));
        is_send(&cluster.connections("lobby"));
        is_send(&cluster.rooms());
        is_send(&cluster.counts());
        is_send(&cluster.kick_user("ann"));
        is_send(&cluster.request("lobby", Frame::new("n")).within(SECOND));
    };
}
