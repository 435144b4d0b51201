//! Servers that are drained, and what becomes of their sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::{Disconnect, Frame, Server, ServerBuilder};
use wspulse_core::protocol::SessionKind;

use super::support::clients::{close_frame, dial};
use super::support::clock::WINDOW;
use super::support::speaker::{Heard, Speaker, frame};
use super::traveller::{ANN, Traveller, exactly_once, refused};
use super::{cluster_of, know_each_other, node};

const WITHIN: Duration = Duration::from_secs(10);

async fn three() -> Vec<Server> {
    cluster_of(&MemoryNetwork::new(), 3, exactly_once).await
}

/// A client whose transport is gone, and its session not.
async fn away(server: &Server) -> Traveller {
    let mut ann = Traveller::begin(server).await;
    ann.hangs_up();
    while server.suspended_count() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    ann
}

/// A server that others know, with a count of the gaps that are told there.
fn counting(gaps: &Arc<AtomicUsize>) -> ServerBuilder {
    let gaps = Arc::clone(gaps);
    exactly_once().on_gap(move |_| {
        gaps.fetch_add(1, Ordering::Relaxed);
    })
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_drained_server_is_told_to_come_back_and_goes_on_at_another_one() {
    let servers = three().await;
    let mut ann = Traveller::begin(&servers[0]).await;
    let drained = {
        let server = servers[0].clone();
        tokio::spawn(async move { server.drain(WITHIN).await })
    };
    let closed = timeout(WITHIN, ann.speaker.hear()).await.unwrap();
    let Heard::Closed(Some(close)) = closed else { panic!("{closed:?}") };
    assert_eq!(close.code().as_u16(), 1012);
    assert!(close.reason().starts_with("retry="), "{}", close.reason());
    servers[1].broadcast("lobby", Frame::new("while it is away")).unwrap();
    sleep(Duration::from_millis(10)).await;
    ann.comes_to(&servers[1]).await;
    servers[0].broadcast("lobby", Frame::new("of the drained one")).unwrap();
    ann.hears(&["while it is away", "of the drained one"]).await;
    drained.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_comes_after_the_end_of_its_server_goes_on_with_all_that_waits() {
    for place in [1, 2] {
        let servers = three().await;
        let mut ann = Traveller::begin(&servers[0]).await;
        servers[0].send("ann", Frame::new("direct")).unwrap();
        servers[1].broadcast("lobby", Frame::new("of the second")).unwrap();
        sleep(Duration::from_millis(10)).await;
        servers[0].broadcast("lobby", Frame::new("of the first")).unwrap();
        servers[0].drain(WITHIN).await;
        servers[1].broadcast("lobby", Frame::new("after its end")).unwrap();
        ann.comes_to(&servers[place]).await;
        servers[2].broadcast("lobby", Frame::new("of the third")).unwrap();
        let all = ["direct", "of the second", "of the first", "after its end", "of the third"];
        ann.hears(&all).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_outlives_its_server() {
    let servers = three().await;
    let mut ann = away(&servers[0]).await;
    servers[0].send("ann", Frame::new("waits")).unwrap();
    servers[0].drain(WITHIN).await;
    let kept = servers[1..].iter().map(|it| it.cluster().unwrap().readings());
    assert_eq!(kept.map(|it| it.sessions_inherited).sum::<u64>(), 1);
    assert_eq!(servers[0].cluster().unwrap().readings().sessions_handed_over, 1);
    ann.comes_to(&servers[2]).await;
    ann.hears(&["waits"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_over_all_at_once_where_it_has_no_time() {
    let servers = three().await;
    let mut ann = Traveller::begin(&servers[0]).await;
    let began = Instant::now();
    let listens = async {
        while !matches!(ann.speaker.hear().await, Heard::Closed(_)) {}
        ann.hangs_up();
    };
    tokio::join!(servers[0].drain(Duration::ZERO), listens);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    servers[2].broadcast("lobby", Frame::new("waits")).unwrap();
    ann.comes_to(&servers[1]).await;
    ann.hears(&["waits"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_its_server_has_said_last_is_heard_where_nobody_listened_and_no_gap_is_told() {
    let network = MemoryNetwork::new();
    let gaps = Arc::new(AtomicUsize::new(0));
    let servers = cluster_of(&network, 3, || counting(&gaps)).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    // Nobody else is in it.
    servers[0].connection("ann").unwrap().join("garden").unwrap();
    let speaks = async {
        let mut said = Vec::new();
        while servers[0].broadcast("garden", Frame::new(said.len().to_string())).is_ok() {
            said.push(said.len().to_string());
            sleep(Duration::from_millis(100)).await;
        }
        said
    };
    let (said, ()) = tokio::join!(speaks, servers[0].drain(WITHIN));
    assert!(said.len() >= 90, "it speaks until it ends");
    ann.comes_to(&servers[1]).await;
    for number in &said {
        assert_eq!(ann.next().await, *number);
    }
    servers[2].broadcast("garden", Frame::new("more")).unwrap();
    ann.hears(&["more"]).await;
    assert_eq!(gaps.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_from_one_drained_server_to_the_next_with_what_both_have_said() {
    let gaps = Arc::new(AtomicUsize::new(0));
    let network = MemoryNetwork::new();
    let servers = cluster_of(&network, 2, || counting(&gaps)).await;
    let mut ann = away(&servers[0]).await;
    servers[0].drain(WITHIN).await;
    servers[1].broadcast("lobby", Frame::new("of the heir")).unwrap();
    sleep(Duration::from_secs(2)).await;
    let (third, _) = node(&network, counting(&gaps));
    sleep(Duration::from_secs(2)).await;
    let _bob = dial(&servers[1], "bob").await;
    let speaks = async {
        sleep(Duration::from_secs(1)).await;
        servers[1].broadcast("lobby", Frame::new("before its end")).unwrap();
    };
    tokio::join!(speaks, servers[1].drain(WITHIN));
    ann.comes_to(&third).await;
    ann.hears(&["of the heir", "before its end"]).await;
    assert_eq!(gaps.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn while_it_drains_it_sends_clients_away_and_others_fetch_their_sessions() {
    let servers = three().await;
    let mut ann = away(&servers[0]).await;
    let drained = {
        let server = servers[0].clone();
        tokio::spawn(async move { server.drain(WITHIN).await })
    };
    sleep(Duration::from_secs(1)).await;
    assert_eq!(refused(&servers[0], ANN, &ann.hello.token).await, 503);
    ann.comes_to(&servers[1]).await;
    drained.await.unwrap();
    servers[1].send("ann", Frame::new("here")).unwrap();
    ann.hears(&["here"]).await;
    let kept: u64 =
        servers[1..].iter().map(|it| it.cluster().unwrap().readings().sessions_inherited).sum();
    assert_eq!(kept, 0, "it had gone before");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_kept_for_no_longer_than_its_window() {
    let servers = three().await;
    let ann = away(&servers[0]).await;
    sleep(WINDOW / 2).await;
    servers[0].drain(Duration::from_secs(1)).await;
    sleep(WINDOW / 2).await;
    let (_ann, hello) = Speaker::resume(&servers[1], ANN, &ann.hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::New);
}

#[tokio::test(start_paused = true)]
async fn its_end_is_told_once_and_where_it_was() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let network = MemoryNetwork::new();
    let servers = [0, 1, 2].map(|place| {
        let told = told.clone();
        let builder = exactly_once().on_disconnect(move |conn, end| {
            drop(told.send((place, conn.id().to_owned(), matches!(end, Disconnect::Moved))));
        });
        node(&network, builder).0
    });
    know_each_other(&servers).await;
    let _ann = away(&servers[0]).await;
    servers[0].drain(WITHIN).await;
    // Nobody comes for it.
    sleep(WINDOW * 2).await;
    let all: Vec<_> = std::iter::from_fn(|| tells.try_recv().ok()).collect();
    assert_eq!(all, [(0, "ann".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn without_another_server_sessions_end_as_they_do_without_a_cluster() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let network = MemoryNetwork::new();
    let builder = exactly_once().on_disconnect(move |_, end| drop(told.send(end)));
    let (server, _) = node(&network, builder);
    server.cluster().unwrap().started().await.unwrap();
    let _ann = Traveller::begin(&server).await;
    server.drain(Duration::from_secs(1)).await;
    let end = tells.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Drained { .. }), "{end}");
}

#[tokio::test(start_paused = true)]
async fn other_clients_end_as_they_do_without_a_cluster() {
    let servers = three().await;
    let mut bob = dial(&servers[0], "bob").await;
    servers[0].drain(Duration::from_secs(1)).await;
    assert_eq!(close_frame(&mut bob).await.map(|it| it.code().as_u16()), Some(1012));
    let readings = servers[0].cluster().unwrap().readings();
    assert_eq!((readings.sessions_handed_over, readings.sessions_left_behind), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_close_in_the_middle_of_a_drain_waits_until_sessions_are_handed_over() {
    let servers = three().await;
    let mut ann = Traveller::begin(&servers[0]).await;
    let mut bob = dial(&servers[0], "bob").await;
    servers[0].send("ann", Frame::new("waits")).unwrap();
    let drained = {
        let server = servers[0].clone();
        tokio::spawn(async move { server.drain(Duration::from_mins(10)).await })
    };
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    servers[0].close().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drained.await.unwrap();
    assert_eq!(close_frame(&mut bob).await.map(|it| it.code().as_u16()), Some(1001));
    ann.comes_to(&servers[1]).await;
    ann.hears(&["waits"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_drained_itself_keeps_no_session_of_another_one() {
    let servers = three().await;
    let mut ann = away(&servers[0]).await;
    let second = {
        let server = servers[1].clone();
        let _bob = dial(&server, "bob").await;
        tokio::spawn(async move { server.drain(Duration::from_mins(1)).await })
    };
    sleep(Duration::from_secs(2)).await;
    servers[0].drain(Duration::from_secs(1)).await;
    assert_eq!(servers[2].cluster().unwrap().readings().sessions_inherited, 1);
    ann.comes_to(&servers[2]).await;
    servers[1].close().await;
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_is_there_until_others_have_asked_for_what_they_lack() {
    const ROOMS: usize = 8;
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::from_millis(190)..Duration::from_millis(200);
    let network = MemoryNetwork::with_faults(3, faults);
    let gaps = Arc::default();
    let servers = cluster_of(&network, 2, || counting(&gaps)).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    let rooms: Vec<_> = (0..ROOMS).map(|number| format!("room-{number}")).collect();
    for room in &rooms {
        servers[0].connection("ann").unwrap().join(room).unwrap();
    }
    let drains = async {
        // Her session has left, and the server has more to say.
        while servers[0].connection("ann").is_some() {
            sleep(Duration::from_millis(1)).await;
        }
        for room in &rooms {
            servers[0].broadcast(room, Frame::new(&**room)).unwrap();
        }
        servers[0].drain(Duration::ZERO).await;
    };
    tokio::join!(drains, ann.comes_to(&servers[1]));
    let mut heard = Vec::new();
    for _ in 0..ROOMS {
        heard.push(ann.next().await);
    }
    heard.sort_unstable();
    assert_eq!((heard, gaps.load(Ordering::Relaxed)), (rooms, 0));
}

#[tokio::test(start_paused = true)]
async fn handing_over_goes_on_as_long_as_others_take_sessions() {
    const SESSIONS: u64 = 3_000;
    let mut faults = NetworkFaults::NONE;
    // Of so many, about a hundred are handed over in a second.
    faults.delay = Duration::from_millis(150)..Duration::from_millis(250);
    let network = MemoryNetwork::with_faults(7, faults);
    let waiting = || exactly_once().resume_window(Duration::from_mins(5));
    let servers = cluster_of(&network, 2, waiting).await;
    let mut coming = JoinSet::new();
    for number in 0..SESSIONS {
        let server = servers[0].clone();
        coming.spawn(async move {
            drop(Speaker::begin(&server, &format!("/ws?id={number}&room=lobby")).await);
        });
    }
    while coming.join_next().await.is_some() {}
    while (servers[0].suspended_count() as u64) < SESSIONS {
        sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    servers[0].drain(Duration::ZERO).await;
    assert!(began.elapsed() > Duration::from_secs(25), "it was no test: {:?}", began.elapsed());
    let readings = servers[0].cluster().unwrap().readings();
    assert_eq!((readings.sessions_handed_over, readings.sessions_left_behind), (SESSIONS, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_no_server_takes_in_time_is_counted_and_begins_anew() {
    let network = MemoryNetwork::new();
    let (first, engine) = node(&network, exactly_once());
    let (second, _) = node(&network, exactly_once());
    let servers = [first, second];
    know_each_other(&servers).await;
    let ann = away(&servers[0]).await;
    // It is not known yet that nobody answers.
    network.cut(&engine);
    servers[0].drain(Duration::ZERO).await;
    assert_eq!(servers[0].cluster().unwrap().readings().sessions_left_behind, 1);
    sleep(Duration::from_secs(5)).await;
    let (mut ann, hello) = Speaker::resume(&servers[1], ANN, &ann.hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::New);
    servers[1].broadcast("lobby", Frame::new("anew")).unwrap();
    assert_eq!(ann.hear().await, frame("anew"));
}
