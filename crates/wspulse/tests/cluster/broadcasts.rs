//! What is said on one server is heard on all.

use std::time::Duration;

use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{BroadcastError, Frame};

use super::support::clients::{hears_nothing, numbered};
use super::{cluster, come, hears};

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_the_members_on_all_servers_in_its_order() {
    let network = MemoryNetwork::new();
    let servers = cluster(&network, 3).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let mut eve = come(&servers[2], "room=other&id=eve").await;
    for number in 1..=100 {
        servers[0].broadcast("lobby", numbered(number)).unwrap();
    }
    let all: Vec<_> = (1..=100).collect();
    assert_eq!((hears(&mut ann, 100).await, hears(&mut bob, 100).await), (all.clone(), all));
    hears_nothing(&mut eve).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_members_of_a_room_can_speak_to_it() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let here = servers[0].broadcast("lobby", numbered(1)).unwrap();
    assert_eq!((here.reached, hears(&mut bob, 1).await), (0, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn who_is_left_out_hears_nothing_and_others_elsewhere_do() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    let sender = servers[0].connection("ann").unwrap();
    servers[0].broadcast_except("lobby", &sender, numbered(1)).unwrap();
    assert_eq!(hears(&mut bob, 1).await, [1]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_has_devices_on_many_servers() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut phone = come(&servers[0], "room=lobby&id=1&user=ann").await;
    let mut tab = come(&servers[1], "room=other&id=2&user=ann").await;
    servers[0].user("ann").send(numbered(1)).unwrap();
    assert_eq!((hears(&mut phone, 1).await, hears(&mut tab, 1).await), (vec![1], vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_all_reaches_all_connections_of_all_servers() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[0], "room=a&id=ann").await;
    let mut bob = come(&servers[1], "room=b&id=bob").await;
    servers[1].broadcast_all(numbered(1)).unwrap();
    assert_eq!((hears(&mut ann, 1).await, hears(&mut bob, 1).await), (vec![1], vec![1]));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_the_local_room_stays_on_its_server() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    servers[0].room("lobby").local().broadcast(numbered(1)).unwrap();
    assert_eq!(hears(&mut ann, 1).await, [1]);
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn an_audience_of_many_groups_hears_a_frame_once_on_each_server() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[1], "room=a&id=ann&user=u").await;
    let mut bob = come(&servers[1], "room=b&id=bob").await;
    let mut eve = come(&servers[1], "room=b&id=eve&user=muted").await;
    servers[1].connection("ann").unwrap().join("b").unwrap();
    servers[0].to(["a", "b"]).and_user("u").except_user("muted").broadcast(numbered(1)).unwrap();
    assert_eq!((hears(&mut ann, 1).await, hears(&mut bob, 1).await), (vec![1], vec![1]));
    hears_nothing(&mut ann).await;
    hears_nothing(&mut bob).await;
    hears_nothing(&mut eve).await;
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_of_a_key_waits_for_who_is_away_elsewhere() {
    let network = MemoryNetwork::new();
    let servers: Vec<_> = (0..2)
        .map(|_| super::node(&network, super::rooms().resume_window(Duration::from_mins(1))).0)
        .collect();
    super::know_each_other(&servers).await;
    drop(come(&servers[1], "room=lobby&id=bob").await);
    super::support::clock::settle().await;
    for number in 1..=3 {
        servers[0].broadcast("lobby", numbered(number).conflate("state")).unwrap();
    }
    super::support::clock::settle().await;
    let mut bob = come(&servers[1], "room=lobby&id=bob").await;
    assert_eq!(hears(&mut bob, 1).await, [3]);
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_others_cannot_take_reaches_nobody() {
    let servers = cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = come(&servers[0], "room=lobby&id=ann").await;
    let large = Frame::new("large").with_payload(format!("\"{}\"", "x".repeat(2 * 1024 * 1024)));
    let refused = servers[0].broadcast("lobby", large).unwrap_err();
    assert!(matches!(refused, BroadcastError::TooLarge { .. }), "{refused}");
    assert!(refused.to_string().contains("split the frame"), "{refused}");
    hears_nothing(&mut ann).await;
    servers[0].room("lobby").local().broadcast(numbered(1)).unwrap();
    assert_eq!(hears(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_local_room_of_several_codecs_takes_what_others_could_not() {
    let network = MemoryNetwork::new();
    let builder = super::rooms()
        .delivery(wspulse::Delivery::ExactlyOnce)
        .resume_window(Duration::from_mins(1))
        .duplicates(wspulse::DuplicatePolicy::Resume)
        .send_buffer_size(64)
        .also_codec(wspulse::codec::MessagePackCodec);
    let (server, _) = super::node(&network, builder);
    let mut ann = come(&server, "room=lobby&id=ann").await;
    let text = format!("\"{}\"", "x".repeat(2 * 1024 * 1024));
    let large = || Frame::new("large").with_payload(text.clone());
    let refused = server.broadcast("lobby", large()).unwrap_err();
    assert!(matches!(refused, BroadcastError::TooLarge { .. }), "{refused}");
    server.room("lobby").local().broadcast(large()).unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "large");
}
