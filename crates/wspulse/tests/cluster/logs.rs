//! Rooms with a log: one order everywhere, nothing lost that was acknowledged, and what was said before
//! for whoever comes.

use std::time::Duration;

use wspulse::cluster::{AppendId, GapIn, Missed};
use wspulse::testing::Dice;
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::{
    AppendError, BroadcastError, Frame, HistoryError, RoomOptions, Server, ServerBuilder,
};

use super::support::clients::{Client, hears_nothing, numbered, numbers};
use super::support::clock::settle;
use super::{cluster_of, come, hears, node};

/// Rooms whose name begins with `log` have one, and those with `log-5` give whoever comes five of it.
fn logged() -> ServerBuilder {
    super::rooms().logged_rooms(|room| room.starts_with("log")).room_options(|room| {
        match room.split_once('-') {
            Some((_, frames)) => {
                let frames = frames.parse().expect("a number");
                RoomOptions::new().history(frames, Duration::from_hours(1))
            }
            None => RoomOptions::new(),
        }
    })
}

async fn two(network: &MemoryNetwork) -> Vec<Server> {
    cluster_of(network, 2, logged).await
}

async fn append(server: &Server, room: &str, number: usize) -> u64 {
    server.room(room).append(numbered(number)).await.expect("appended").number
}

fn order(numbers: &[usize]) -> String {
    format!("{numbers:?}")
}

#[tokio::test(start_paused = true)]
async fn all_members_on_all_servers_hear_a_log_in_one_order_its_appenders_included() {
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::ZERO..Duration::from_millis(40);
    let servers = two(&MemoryNetwork::with_faults(5, faults)).await;
    let mut ann = come(&servers[0], "room=log&id=ann").await;
    let mut bob = come(&servers[1], "room=log&id=bob").await;
    settle().await;
    let say = |server: usize| {
        let server = servers[server].clone();
        tokio::spawn(async move {
            let mut places = Vec::new();
            for number in 0..50 {
                places.push(append(&server, "log", number).await);
            }
            places
        })
    };
    let (one, other) = (say(0), say(1));
    let heard = (hears(&mut ann, 100).await, hears(&mut bob, 100).await);
    assert_eq!(order(&heard.0), order(&heard.1));
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert!(one.is_sorted() && other.is_sorted());
    let mut all: Vec<_> = one.into_iter().chain(other).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=100).collect::<Vec<_>>(), "each has a place of its own");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_twice_or_disordered_on_its_way_is_heard_once_and_in_order() {
    let mut faults = NetworkFaults::ALL;
    faults.interrupted_per_mille = 0;
    faults.lost_per_mille = 200;
    faults.twice_per_mille = 200;
    faults.log_unanswered_per_mille = 0;
    faults.log_failed_per_mille = 0;
    let network = MemoryNetwork::with_faults(9, faults);
    let servers = two(&network).await;
    let mut ann = come(&servers[0], "room=log&id=ann").await;
    let mut bob = come(&servers[1], "room=log&id=bob").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 1..=60 {
        append(&servers[number % 2], "log", number).await;
    }
    let all: Vec<_> = (1..=60).collect();
    assert_eq!((hears(&mut ann, 60).await, hears(&mut bob, 60).await), (all.clone(), all));
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_hears_the_newest_of_a_log_and_then_what_follows_wherever_it_comes() {
    let servers = two(&MemoryNetwork::new()).await;
    for number in 1..=9 {
        append(&servers[0], "log-5", number).await;
    }
    // Nobody was there. The first hears it from the log, the next one from the room.
    for id in ["ann", "bob"] {
        let mut client = come(&servers[1], &format!("room=log-5&id={id}")).await;
        assert_eq!(hears(&mut client, 5).await, [5, 6, 7, 8, 9]);
        settle().await;
    }
    let mut ann = come(&servers[0], "room=log-5&id=eve").await;
    assert_eq!(hears(&mut ann, 5).await, [5, 6, 7, 8, 9]);
    append(&servers[1], "log-5", 10).await;
    assert_eq!(hears(&mut ann, 1).await, [10]);
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_once_a_client_is_in_is_heard_by_it_though_its_server_has_still_to_look() {
    let mut faults = NetworkFaults::NONE;
    faults.delay = Duration::ZERO..Duration::from_millis(40);
    for seed in 0..50 {
        let servers = two(&MemoryNetwork::with_faults(seed, faults.clone())).await;
        append(&servers[0], "log", 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut ann = come(&servers[1], "room=log&id=ann").await;
        // The clock stands still otherwise: then nobody could tell which was first.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for number in 1..=20 {
            append(&servers[0], "log", number).await;
        }
        assert_eq!(hears(&mut ann, 20).await, (1..=20).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn however_much_is_appended_until_its_server_has_looked_who_came_before_hears_all() {
    for room in ["log", "log-5"] {
        let network = MemoryNetwork::new();
        let servers = two(&network).await;
        append(&servers[0], room, 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut faults = NetworkFaults::NONE;
        faults.log_unanswered_per_mille = 1000;
        network.set_faults(faults);
        let mut ann = come(&servers[1], &format!("room={room}&id=ann")).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        network.set_faults(NetworkFaults::NONE);
        for number in 1..=1_000 {
            append(&servers[0], room, number).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let first = usize::from(room == "log");
        let heard = hears(&mut ann, 1_001 - first).await;
        assert!(heard.into_iter().eq(first..1_001), "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_begins_once_more_is_told_its_log_once_more() {
    let servers = two(&MemoryNetwork::new()).await;
    append(&servers[0], "log-5", 1).await;
    for _ in 0..3 {
        let mut ann = come(&servers[1], "room=log-5&id=ann").await;
        assert_eq!(hears(&mut ann, 1).await, [1]);
        hears_nothing(&mut ann).await;
        drop(ann);
        // It is still listened for.
        while servers[1].connection("ann").is_some() {
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_while_others_append_and_nothing_is_told_twice_or_left_out() {
    let servers = two(&MemoryNetwork::new()).await;
    let appending = tokio::spawn({
        let server = servers[0].clone();
        async move {
            for number in 0.. {
                append(&server, "log-5", number).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    for _ in 0..20 {
        let mut ann = come(&servers[1], "room=log-5&id=ann").await;
        let heard = hears(&mut ann, 30).await;
        assert!(heard.iter().copied().eq(heard[0]..heard[0] + 30), "{heard:?}");
        drop(ann);
        while servers[1].connection("ann").is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    appending.abort();
}

#[tokio::test(start_paused = true)]
async fn without_a_history_who_comes_hears_what_follows_alone() {
    let servers = two(&MemoryNetwork::new()).await;
    append(&servers[0], "log", 1).await;
    let mut ann = come(&servers[0], "room=log&id=ann").await;
    settle().await;
    append(&servers[1], "log", 2).await;
    assert_eq!(hears(&mut ann, 1).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn the_history_of_a_room_is_read_on_any_server_and_from_any_place() {
    let servers = two(&MemoryNetwork::new()).await;
    let mut third = None;
    for number in 1..=600 {
        let position = servers[0].room("log").append(numbered(number)).await.unwrap();
        if number == 3 {
            third = Some(position);
        }
    }
    let room = servers[1].room("log");
    let read = |frames: Vec<wspulse::LoggedFrame>| -> Vec<usize> {
        let of = |it: wspulse::LoggedFrame| it.frame.expect("readable").to_json().unwrap();
        frames.into_iter().map(of).collect()
    };
    assert_eq!(read(room.history(2).await.unwrap()), [599, 600]);
    assert_eq!(room.history(10_000).await.unwrap().len(), 600);
    let after = room.history_after(third.unwrap(), 2).await.unwrap();
    assert_eq!(read(after), [4, 5]);
    assert!(room.history(0).await.unwrap().is_empty());
    assert!(servers[1].room("log-1").history(5).await.unwrap().is_empty());
    let not_logged = servers[1].room("plain").history(1).await;
    assert_eq!(not_logged, Err(HistoryError::NotLogged { room: "plain".into() }));
}

#[tokio::test(start_paused = true)]
async fn what_the_log_keeps_no_more_is_a_gap_of_exactly_so_many() {
    let network = MemoryNetwork::new();
    let (gaps, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listener = logged().on_gap(move |gap| {
        assert!(matches!(&gap.within, GapIn::Room(room) if room.id() == "log"));
        let _ = gaps.send(gap.missed);
    });
    let (speaker, _) = node(&network, logged());
    let (server, engine) = node(&network, listener);
    super::know_each_other(&[speaker.clone(), server.clone()]).await;
    let mut ann = come(&server, "room=log&id=ann").await;
    settle().await;
    append(&speaker, "log", 1).await;
    assert_eq!(hears(&mut ann, 1).await, [1]);
    engine.interrupt();
    for number in 2..=10 {
        append(&speaker, "log", number).await;
    }
    network.keep_logged(3, Duration::from_hours(1));
    engine.restore();
    assert_eq!(hears(&mut ann, 3).await, [8, 9, 10]);
    assert_eq!(told.try_recv(), Ok(Missed::Frames(6)));
    assert!(told.try_recv().is_err(), "it is told once");
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_log_that_nothing_follows_is_found_when_its_appender_is_gone() {
    let network = MemoryNetwork::new();
    let (speaker, _) = node(&network, logged());
    let (server, engine) = node(&network, logged());
    super::know_each_other(&[speaker.clone(), server.clone()]).await;
    let mut ann = come(&server, "room=log&id=ann").await;
    settle().await;
    engine.interrupt();
    append(&speaker, "log", 1).await;
    speaker.close().await;
    engine.restore();
    assert_eq!(hears(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_is_not_answered_is_there_once_however_often_it_is_tried() {
    let network = MemoryNetwork::new();
    let servers = two(&network).await;
    let mut ann = come(&servers[1], "room=log&id=ann").await;
    settle().await;
    let mut faults = NetworkFaults::NONE;
    faults.log_unanswered_per_mille = 700;
    network.set_faults(faults);
    let (mut unanswered, room) = (0, servers[0].room("log"));
    for number in 1..=20 {
        let id = AppendId::random();
        loop {
            match room.append(numbered(number)).with_id(id).await {
                Ok(position) => {
                    assert_eq!(position.number, number as u64);
                    break;
                }
                Err(AppendError::Unknown { id: of, frame, .. }) => {
                    assert_eq!((of, *frame), (id, numbered(number)));
                    unanswered += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(unanswered > 10, "{unanswered}");
    network.set_faults(NetworkFaults::NONE);
    assert_eq!(hears(&mut ann, 20).await, (1..=20).collect::<Vec<_>>());
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_nothing_is_appended_and_the_frame_comes_back() {
    let network = MemoryNetwork::new();
    let (server, engine) = node(&network, logged());
    server.cluster().unwrap().started().await.unwrap();
    engine.interrupt();
    let refused = server.room("log").append(numbered(1)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused}");
    assert_eq!(refused.into_frame(), numbered(1));
    assert_eq!(server.room("log").history(1).await, Err(HistoryError::Unavailable));
    engine.restore();
    assert_eq!(append(&server, "log", 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_a_log_is_refused_and_says_what_to_do() {
    let servers = two(&MemoryNetwork::new()).await;
    let mut ann = come(&servers[0], "room=log&id=ann").await;
    settle().await;
    let refused = servers[0].broadcast("log", numbered(1)).unwrap_err();
    assert!(matches!(&refused, BroadcastError::Logged { room, .. } if room == "log"));
    assert!(refused.to_string().contains("Room::append"), "{refused}");
    let refused = servers[0].to(["other", "log"]).broadcast(numbered(1)).unwrap_err();
    assert!(matches!(&refused, BroadcastError::Logged { room, .. } if room == "log"));
    let refused = servers[0].room("plain").append(numbered(1)).await.unwrap_err();
    assert!(matches!(&refused, AppendError::NotLogged { room, .. } if room == "plain"));
    let refused = servers[0].room("log").append(numbered(1).volatile()).await.unwrap_err();
    assert!(matches!(refused, AppendError::Volatile { .. }), "{refused}");
    let large = Frame::new("large").with_payload(format!("\"{}\"", "x".repeat(2 * 1024 * 1024)));
    let refused = servers[0].room("log").append(large).await.unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { .. }), "{refused}");
    hears_nothing(&mut ann).await;
    // What promises nothing, and what stays here, go as ever.
    servers[1].broadcast("log", numbered(2).volatile()).unwrap();
    assert_eq!(hears(&mut ann, 1).await, [2]);
    servers[0].room("log").local().broadcast(numbered(3)).unwrap();
    assert_eq!(hears(&mut ann, 1).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_engine_has_no_log_is_not_built_with_rooms_that_have_one() {
    let alone = logged().build().unwrap_err();
    assert_eq!(alone.option(), "logged_rooms");
    let engine = MemoryNetwork::new().without_log().engine();
    let refused = logged().cluster(engine).build().unwrap_err();
    assert_eq!(refused.option(), "logged_rooms");
    assert!(refused.to_string().contains("an engine that has a log"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_log_of_which_nothing_is_left_begins_anew_and_only_who_was_away_lacks_something() {
    const AGE: Duration = Duration::from_secs(30);
    let network = MemoryNetwork::new();
    network.keep_logged(100, AGE);
    let (gaps, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listener = logged().on_gap(move |gap| gaps.send(gap.missed).unwrap_or_default());
    let (speaker, _) = node(&network, logged());
    let (server, engine) = node(&network, listener);
    super::know_each_other(&[speaker.clone(), server.clone()]).await;
    let mut ann = come(&server, "room=log&id=ann").await;
    settle().await;
    for number in 1..=3 {
        assert_eq!(append(&speaker, "log", number).await, 1, "it begins anew each time");
        assert_eq!(hears(&mut ann, 1).await, [number]);
        tokio::time::sleep(2 * AGE).await;
    }
    assert!(told.try_recv().is_err(), "it was quiet, and nothing is lost");
    engine.interrupt();
    append(&speaker, "log", 4).await;
    tokio::time::sleep(2 * AGE).await;
    append(&speaker, "log", 5).await;
    engine.restore();
    assert_eq!(hears(&mut ann, 1).await, [5]);
    assert_eq!(told.try_recv(), Ok(Missed::Unknown));
}

/// Two servers append to one room while nothing goes right; what was acknowledged is heard by all, and
/// everything is heard in one order.
async fn life(mut dice: Dice) {
    let network = MemoryNetwork::from_seed(dice.seed());
    let servers = two(&network).await;
    let mut clients: Vec<Client> = Vec::new();
    for (place, server) in servers.iter().enumerate() {
        clients.push(come(server, &format!("room=log&id={place}")).await);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut acknowledged = Vec::new();
    for number in 0..120 {
        let room = servers[number % 2].room("log");
        let within = Duration::from_secs(1);
        if room.append(numbered(number)).within(within).await.is_ok() {
            acknowledged.push(number);
        }
        tokio::time::sleep(dice.time(Duration::ZERO..Duration::from_millis(60))).await;
    }
    network.set_faults(NetworkFaults::NONE);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let kept = servers[0].room("log").history(1_000).await.unwrap();
    let of = |it: &wspulse::LoggedFrame| it.frame.as_ref().unwrap().to_json::<usize>().unwrap();
    let kept: Vec<_> = kept.iter().map(of).collect();
    assert!(acknowledged.len() > 60, "only {} of 120 were appended", acknowledged.len());
    assert!(acknowledged.iter().all(|number| kept.contains(number)), "something is lost");
    for client in &mut clients {
        assert_eq!(order(&numbers(client, kept.len()).await), order(&kept));
        hears_nothing(client).await;
    }
}

#[test]
fn what_is_acknowledged_is_heard_by_all_in_one_order_whatever_goes_wrong() {
    wspulse::testing::play(20, life);
}
