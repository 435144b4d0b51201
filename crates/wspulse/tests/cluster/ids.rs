//! An id is there once in a cluster: a client that comes under it to another server gets its session, or
//! takes its place, as on one server.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use wspulse::testing::TestClient;
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{
    CloseCode, CloseFrame, Delivery, Disconnect, DuplicatePolicy, Frame, IdScope, RoomChange,
    Server, ServerBuilder,
};
use wspulse_core::protocol::SessionKind;

use super::support::clients::{Client, close_frame, numbered};
use super::support::clock::WINDOW;
use super::support::speaker::{Heard, Speaker};
use super::traveller::exactly_once;
use super::{cluster_of, come, hears, know_each_other, node, rooms};

const ANN: &str = "room=lobby&id=ann";

fn resuming() -> ServerBuilder {
    rooms().resume_window(WINDOW)
}

async fn two(builder: impl Fn() -> ServerBuilder) -> Vec<Server> {
    cluster_of(&MemoryNetwork::new(), 2, builder).await
}

/// Its transport ends without a word, and its server knows.
pub(super) async fn hang_up(client: Client, server: &Server) {
    drop(client);
    while server.suspended_count() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

async fn refused(server: &Server, target: &str) -> u16 {
    let refused = TestClient::connect(server, &format!("/ws?{target}")).await;
    refused.expect_err("refused").status().as_u16()
}

pub(super) fn who_has(servers: &[Server], id: &str) -> Vec<usize> {
    let all = servers.iter().enumerate();
    all.filter(|(_, it)| it.connection(id).is_some()).map(|(place, _)| place).collect()
}

/// With what a client's transport is closed, whatever comes before.
async fn closed(speaker: &mut Speaker) -> Option<CloseFrame> {
    loop {
        match speaker.hear().await {
            Heard::Closed(close) => return close,
            Heard::End => panic!("no close frame"),
            Heard::Hello(_) | Heard::Ask | Heard::Ack(_) | Heard::Frame(_) => {}
        }
    }
}

fn duplicate() -> CloseFrame {
    CloseFrame::new(CloseCode::NORMAL, "duplicate connection id")
}

pub(super) async fn closed_as_duplicate(client: &mut Client) {
    assert_eq!(close_frame(client).await, Some(duplicate()));
}

#[tokio::test(start_paused = true)]
async fn a_plain_clients_suspended_session_goes_on_at_another_server_once_and_in_order() {
    let servers = two(resuming).await;
    let ann = come(&servers[0], ANN).await;
    hang_up(ann, &servers[0]).await;
    servers[0].send("ann", numbered(0)).unwrap();
    servers[1].broadcast("lobby", numbered(1)).unwrap();
    sleep(Duration::from_millis(10)).await;
    servers[0].broadcast("lobby", numbered(2)).unwrap();
    let mut ann = come(&servers[1], ANN).await;
    assert_eq!(who_has(&servers, "ann"), [1]);
    servers[0].broadcast("lobby", numbered(3)).unwrap();
    servers[1].broadcast_all(numbered(4)).unwrap();
    let mut heard = hears(&mut ann, 5).await;
    assert_eq!(heard[..3], [0, 1, 2]);
    heard.sort_unstable();
    assert_eq!(heard, [0, 1, 2, 3, 4], "two servers speak in no order");
}

#[tokio::test(start_paused = true)]
async fn it_goes_back_again_and_on_to_a_third() {
    let servers = cluster_of(&MemoryNetwork::new(), 3, resuming).await;
    let mut ann = come(&servers[0], ANN).await;
    for round in 0..6 {
        let (from, to) = (round % 3, (round + 1) % 3);
        hang_up(ann, &servers[from]).await;
        servers[(round + 2) % 3].broadcast("lobby", numbered(round)).unwrap();
        sleep(Duration::from_millis(10)).await;
        ann = come(&servers[to], ANN).await;
        assert_eq!(who_has(&servers, "ann"), [to]);
        assert_eq!(hears(&mut ann, 1).await, [round]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_as_moved_and_is_restored_where_its_client_is() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let builder = || {
        let [connect, restore, end] = [(); 3].map(|()| told.clone());
        resuming()
            .on_connect(move |_| drop(connect.send("connect".to_owned())))
            .on_transport_restore(move |_, restored| {
                drop(restore.send(format!("restore {}", restored.waited())));
            })
            .on_disconnect(move |_, disconnect| {
                assert!(matches!(disconnect, Disconnect::Moved), "{disconnect}");
                drop(end.send("moved".to_owned()));
            })
    };
    let servers = two(builder).await;
    let ann = come(&servers[0], ANN).await;
    hang_up(ann, &servers[0]).await;
    servers[0].send("ann", numbered(0)).unwrap();
    let mut ann = come(&servers[1], ANN).await;
    assert_eq!(hears(&mut ann, 1).await, [0]);
    sleep(Duration::from_millis(10)).await;
    let mut all: Vec<_> = std::iter::from_fn(|| tells.try_recv().ok()).collect();
    assert_eq!(all.remove(0), "connect");
    // Between two servers there is no order.
    all.sort_unstable();
    assert_eq!(all, ["connect", "moved", "restore 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_hears_that_its_session_is_resumed() {
    let servers = two(|| resuming().announce_sessions(true)).await;
    let mut ann = come(&servers[0], ANN).await;
    assert_eq!(ann.frame().await.unwrap().event(), "session");
    hang_up(ann, &servers[0]).await;
    servers[0].send("ann", numbered(0)).unwrap();
    let mut ann = come(&servers[1], ANN).await;
    let told = ann.frame().await.unwrap();
    let told: serde_json::Value = told.to_json().unwrap();
    assert_eq!((&told["session"], &told["replay"]), (&"resumed".into(), &1.into()), "{told}");
    assert_eq!(hears(&mut ann, 1).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn with_at_least_once_what_may_not_have_arrived_is_written_again_there() {
    let servers = two(|| resuming().delivery(Delivery::AtLeastOnce)).await;
    let mut ann = come(&servers[0], ANN).await;
    servers[0].send("ann", numbered(0)).unwrap();
    assert_eq!(hears(&mut ann, 1).await, [0], "it acknowledges nothing");
    hang_up(ann, &servers[0]).await;
    servers[0].send("ann", numbered(1)).unwrap();
    let mut ann = come(&servers[1], ANN).await;
    assert_eq!(hears(&mut ann, 2).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_a_plain_client_has_sent_is_handled_before_its_session_goes() {
    let (said, mut heard) = mpsc::unbounded_channel();
    let builder = || {
        let said = said.clone();
        resuming().duplicates(DuplicatePolicy::Resume).on_message(move |_, frame| {
            let said = said.clone();
            async move {
                sleep(Duration::from_millis(100)).await;
                drop(said.send(frame.event().to_owned()));
            }
        })
    };
    let servers = two(builder).await;
    let mut ann = come(&servers[0], ANN).await;
    for event in ["1", "2", "3"] {
        ann.send(&Frame::new(event)).await.unwrap();
    }
    sleep(Duration::from_millis(10)).await;
    let mut again = come(&servers[1], ANN).await;
    again.send(&Frame::new("4")).await.unwrap();
    for event in ["1", "2", "3", "4"] {
        assert_eq!(heard.recv().await.unwrap(), event);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_connected_ends_as_a_duplicate_for_one_at_another_server() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let builder = || {
        let told = told.clone();
        resuming().on_disconnect(move |_, end| drop(told.send(end.to_string())))
    };
    let servers = two(builder).await;
    let mut old = come(&servers[0], ANN).await;
    let mut new = come(&servers[1], ANN).await;
    assert_eq!(close_frame(&mut old).await, Some(duplicate()));
    assert_eq!(tells.recv().await, Some(Disconnect::Duplicate.to_string()));
    assert_eq!(who_has(&servers, "ann"), [1]);
    servers[0].broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(hears(&mut new, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn with_resume_a_session_that_is_connected_goes_to_the_other_server() {
    let servers = two(|| resuming().duplicates(DuplicatePolicy::Resume)).await;
    let mut old = come(&servers[0], ANN).await;
    servers[0].connection("ann").unwrap().join("garden").unwrap();
    let mut new = come(&servers[1], ANN).await;
    assert_eq!(close_frame(&mut old).await, Some(duplicate()));
    assert_eq!(who_has(&servers, "ann"), [1]);
    servers[0].broadcast("garden", numbered(1)).unwrap();
    assert_eq!(hears(&mut new, 1).await, [1], "it is in its rooms");
}

#[tokio::test(start_paused = true)]
async fn another_user_is_refused_at_every_server() {
    let servers = two(resuming).await;
    let _ann = come(&servers[0], "room=lobby&id=ann&user=a").await;
    assert_eq!(refused(&servers[1], "room=lobby&id=ann&user=b").await, 403);
    assert_eq!(refused(&servers[1], ANN).await, 403);
    assert_eq!(who_has(&servers, "ann"), [0]);
}

#[tokio::test(start_paused = true)]
async fn another_room_is_kept_replaced_or_refused_as_on_one_server() {
    for policy in [RoomChange::Keep, RoomChange::Replace, RoomChange::Refuse] {
        let servers = two(|| resuming().room_changes(policy)).await;
        let ann = come(&servers[0], ANN).await;
        hang_up(ann, &servers[0]).await;
        let garden = "room=garden&id=ann";
        if policy == RoomChange::Refuse {
            assert_eq!(refused(&servers[1], garden).await, 409);
            assert_eq!(who_has(&servers, "ann"), [0]);
            continue;
        }
        let _ann = come(&servers[1], garden).await;
        let room = if policy == RoomChange::Keep { "lobby" } else { "garden" };
        assert_eq!(servers[1].connection("ann").unwrap().room_id(), room);
        assert_eq!(who_has(&servers, "ann"), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_anew_without_its_token_ends_its_session_elsewhere() {
    let servers = two(exactly_once).await;
    let target = "/ws?room=lobby&id=ann";
    let (mut old, _) = Speaker::begin(&servers[0], target).await;
    old.say("it has read its hello").await;
    sleep(Duration::from_millis(10)).await;
    let (_new, hello) = Speaker::begin(&servers[1], target).await;
    assert_eq!(hello.session, SessionKind::New);
    assert_eq!(closed(&mut old).await, Some(duplicate()));
    assert_eq!(who_has(&servers, "ann"), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_first_hello_was_lost_is_for_who_comes_under_its_id() {
    let servers = two(exactly_once).await;
    let target = "/ws?room=lobby&id=ann";
    drop(Speaker::dial(&servers[0], target, &[super::support::speaker::JSON]).await);
    sleep(Duration::from_millis(10)).await;
    servers[0].send("ann", Frame::new("waits")).unwrap();
    let (mut ann, hello) = Speaker::begin(&servers[1], target).await;
    assert_eq!((hello.session, hello.replay), (SessionKind::New, 1));
    assert_eq!(ann.hear().await, Heard::Frame("waits".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_gets_no_session_of_one_that_has_tokens() {
    let servers = two(exactly_once).await;
    let (mut old, _) = Speaker::begin(&servers[0], "/ws?room=lobby&id=ann").await;
    servers[0].send("ann", numbered(0)).unwrap();
    let mut ann = come(&servers[1], ANN).await;
    servers[1].send("ann", numbered(1)).unwrap();
    assert_eq!(hears(&mut ann, 1).await, [1]);
    assert_eq!(closed(&mut old).await, Some(duplicate()));
    assert_eq!(who_has(&servers, "ann"), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_came_in_vain_is_found_by_its_client_later() {
    let network = MemoryNetwork::new();
    let first = node(&network, resuming()).0;
    let second = node(&network, resuming().max_connections(1)).0;
    let servers = [first, second];
    know_each_other(&servers).await;
    let ann = come(&servers[0], ANN).await;
    hang_up(ann, &servers[0]).await;
    servers[0].send("ann", numbered(0)).unwrap();
    let bob = come(&servers[1], "room=lobby&id=bob").await;
    // There is no place: its session is kept.
    assert_eq!(refused(&servers[1], ANN).await, 503);
    assert_eq!(who_has(&servers, "ann"), [] as [usize; 0]);
    servers[1].kick("bob").unwrap();
    drop(bob);
    sleep(Duration::from_secs(1)).await;
    let mut ann = come(&servers[1], ANN).await;
    assert_eq!(hears(&mut ann, 1).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_goes_on_keeps_a_plain_session_where_it_is() {
    let builder = || resuming().on_message(|_, _| async { sleep(Duration::from_secs(5)).await });
    let servers = two(builder).await;
    let mut ann = come(&servers[0], ANN).await;
    ann.send(&Frame::new("slow")).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    hang_up(ann, &servers[0]).await;
    assert_eq!(refused(&servers[1], ANN).await, 503);
    assert_eq!(who_has(&servers, "ann"), [0]);
    sleep(Duration::from_secs(5)).await;
    let _ann = come(&servers[1], ANN).await;
    assert_eq!(who_has(&servers, "ann"), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_keeps_nobody_out_for_more_than_a_second() {
    let network = MemoryNetwork::new();
    let (first, engine) = node(&network, resuming());
    let servers = [first, node(&network, resuming()).0];
    know_each_other(&servers).await;
    let _ann = come(&servers[0], ANN).await;
    network.cut(&engine);
    let began = Instant::now();
    let _again = come(&servers[1], ANN).await;
    assert!(began.elapsed() <= Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(who_has(&servers, "ann"), [0, 1], "as long as they cannot reach each other");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_alone_asks_nobody_and_waits_for_nobody() {
    let (server, _) = node(&MemoryNetwork::new(), resuming());
    server.cluster().unwrap().started().await.unwrap();
    let began = Instant::now();
    let _ann = come(&server, ANN).await;
    let _again = come(&server, ANN).await;
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn ids_that_servers_make_up_are_asked_about_nowhere() {
    let network = MemoryNetwork::new();
    let builder = || Server::builder_sync(|_| Ok(wspulse::Admission::room("lobby")));
    let (first, engine) = node(&network, builder());
    let servers = [first, node(&network, builder()).0];
    know_each_other(&servers).await;
    network.cut(&engine);
    let began = Instant::now();
    let _nobody = come(&servers[1], "").await;
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn with_ids_of_each_server_two_may_have_one() {
    let servers = two(|| resuming().id_scope(IdScope::Server)).await;
    let _here = come(&servers[0], ANN).await;
    let _there = come(&servers[1], ANN).await;
    assert_eq!(who_has(&servers, "ann"), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn two_clients_of_one_id_at_one_server_come_one_after_the_other() {
    let servers = two(resuming).await;
    let old = come(&servers[0], ANN).await;
    hang_up(old, &servers[0]).await;
    servers[0].send("ann", numbered(0)).unwrap();
    let (one, other) = tokio::join!(come(&servers[1], ANN), come(&servers[1], ANN));
    assert_eq!(who_has(&servers, "ann"), [1]);
    drop((one, other));
}
