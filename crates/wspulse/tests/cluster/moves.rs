//! Sessions that go on at another server, where their clients have come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork, NetworkFaults};
use wspulse::{CloseCode, CloseFrame, Disconnect, Frame, IdScope, Server};
use wspulse_core::OVERTAKEN;
use wspulse_core::protocol::SessionKind;

use super::support::clients::dial;
use super::support::speaker::{Heard, Speaker, frame};
use super::traveller::{ANN, Traveller, come_somewhere, come_with, exactly_once, refused};
use super::{cluster_of, know_each_other, node};

async fn three() -> Vec<Server> {
    cluster_of(&MemoryNetwork::new(), 3, exactly_once).await
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_at_another_server_with_all_that_waits_for_its_client() {
    let servers = three().await;
    let mut ann = Traveller::begin(&servers[0]).await;
    servers[0].send("ann", Frame::new("direct")).unwrap();
    servers[1].broadcast("lobby", Frame::new("from the second")).unwrap();
    sleep(Duration::from_millis(10)).await;
    servers[0].broadcast("lobby", Frame::new("from the first")).unwrap();
    ann.comes_to(&servers[1]).await;
    assert_eq!(ann.hello.replay, 3);
    servers[2].broadcast("lobby", Frame::new("from the third")).unwrap();
    ann.hears(&["direct", "from the second", "from the first", "from the third"]).await;
    assert!(servers[0].connection("ann").is_none());
    assert_eq!(servers[1].connection("ann").unwrap().room_id(), "lobby");
}

#[tokio::test(start_paused = true)]
async fn a_client_from_whom_an_older_handshake_of_its_own_takes_the_session_comes_back() {
    let servers = three().await;
    let (mut ann, hello) = Speaker::begin(&servers[0], ANN).await;
    ann.say("it has read its hello").await;
    drop(ann);
    let (mut ann, _) = Speaker::resume(&servers[0], ANN, &hello.token, 0).await;
    // It was on its way for longer, with the token of before.
    let late = come_with(&servers[1], &hello.token).await;
    assert!(late.is_some(), "it may be the newer one");
    assert_eq!(ann.hear().await, Heard::Closed(Some(OVERTAKEN)));
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_newest_token_somebody_comes_with_elsewhere_is_told_that_it_is_replaced() {
    let servers = three().await;
    let (mut ann, hello) = Speaker::begin(&servers[0], ANN).await;
    assert!(come_with(&servers[1], &hello.token).await.is_some());
    let replaced = CloseFrame::new(CloseCode::NORMAL, "duplicate connection id");
    assert_eq!(ann.hear().await, Heard::Closed(Some(replaced)));
}

#[tokio::test(start_paused = true)]
async fn what_its_client_has_is_not_written_again() {
    let servers = three().await;
    let mut ann = Traveller::begin(&servers[0]).await;
    for event in ["1", "2", "3"] {
        servers[0].send("ann", Frame::new(event)).unwrap();
    }
    ann.hears(&["1", "2"]).await;
    ann.comes_to(&servers[1]).await;
    assert_eq!(ann.hello.replay, 1);
    ann.hears(&["3"]).await;
    // And back again, with more behind it.
    servers[1].send("ann", Frame::new("4")).unwrap();
    ann.comes_to(&servers[0]).await;
    ann.hears(&["4"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_server_on_the_way_has_said_to_it_is_not_said_again_at_the_next() {
    for to_all in [false, true] {
        let servers = three().await;
        let mut ann = Traveller::begin(&servers[0]).await;
        let say = |event: &str| {
            let frame = Frame::new(event);
            if to_all {
                servers[1].broadcast_all(frame).unwrap();
            } else {
                servers[1].broadcast("lobby", frame).unwrap();
            }
        };
        say("1");
        ann.hears(&["1"]).await;
        // It has heard all that this one has said so far.
        ann.comes_to(&servers[1]).await;
        say("2");
        ann.hears(&["2"]).await;
        ann.comes_to(&servers[2]).await;
        say("3");
        ann.hears(&["3"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_its_client_has_sent_is_handled_once_and_counted_there() {
    let (said, mut heard) = mpsc::unbounded_channel();
    let builder = || {
        let said = said.clone();
        exactly_once().on_message(move |_, frame| drop(said.send(frame.event().to_owned())))
    };
    let servers = cluster_of(&MemoryNetwork::new(), 2, builder).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    ann.speaker.say("1").await;
    ann.speaker.say("2").await;
    assert_eq!([heard.recv().await.unwrap(), heard.recv().await.unwrap()], ["1", "2"]);
    ann.comes_to(&servers[1]).await;
    assert_eq!((ann.hello.received, ann.hello.handled), (2, 2));
    ann.speaker.say("3").await;
    assert_eq!(heard.recv().await.unwrap(), "3");
    ann.comes_to(&servers[0]).await;
    assert_eq!((ann.hello.received, ann.hello.handled), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_handed_in_yet_is_sent_again_there() {
    let may_go_on = Arc::new(Semaphore::new(0));
    let (said, mut heard) = mpsc::unbounded_channel();
    let builder = || {
        let (may_go_on, said) = (Arc::clone(&may_go_on), said.clone());
        exactly_once().on_message(move |_, frame| {
            let (may_go_on, said) = (Arc::clone(&may_go_on), said.clone());
            async move {
                said.send(frame.event().to_owned()).unwrap();
                may_go_on.acquire().await.unwrap().forget();
            }
        })
    };
    let servers = cluster_of(&MemoryNetwork::new(), 2, builder).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    ann.speaker.say("1").await;
    ann.speaker.say("2").await;
    assert_eq!(heard.recv().await.unwrap(), "1");
    sleep(Duration::from_millis(10)).await;
    let release = async {
        sleep(Duration::from_millis(500)).await;
        may_go_on.add_permits(1);
    };
    tokio::join!(ann.comes_to(&servers[1]), release);
    assert_eq!(
        (ann.hello.received, ann.hello.handled),
        (1, 1),
        "its client sends the second again"
    );
    assert!(heard.try_recv().is_err(), "nothing was called for the second");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_goes_on_for_long_keeps_its_session_where_it_is() {
    let may_go_on = Arc::new(Semaphore::new(0));
    let builder = || {
        let may_go_on = Arc::clone(&may_go_on);
        exactly_once().on_message(move |_, _| {
            let may_go_on = Arc::clone(&may_go_on);
            async move { may_go_on.acquire().await.unwrap().forget() }
        })
    };
    let servers = cluster_of(&MemoryNetwork::new(), 2, builder).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    ann.speaker.say("1").await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(refused(&servers[1], ANN, &ann.hello.token).await, 503);
    may_go_on.add_permits(1);
    sleep(Duration::from_millis(10)).await;
    ann.comes_to(&servers[1]).await;
    assert_eq!(ann.hello.handled, 1);
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_the_first_server_and_begins_and_is_restored_at_the_second() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let builder = |name: &'static str| {
        let [connect, restore, disconnect] = [(); 3].map(|()| told.clone());
        exactly_once()
            .on_connect(move |_| drop(connect.send(format!("{name} connect"))))
            .on_transport_restore(move |_, restored| {
                drop(restore.send(format!("{name} restore {}", restored.waited())));
            })
            .on_disconnect(move |_, end| {
                assert!(matches!(end, Disconnect::Moved), "{end}");
                drop(disconnect.send(format!("{name} disconnect")));
            })
    };
    let network = MemoryNetwork::new();
    let servers = ["first", "second"].map(|name| node(&network, builder(name)).0);
    know_each_other(&servers).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    servers[0].send("ann", Frame::new("waits")).unwrap();
    ann.comes_to(&servers[1]).await;
    ann.hears(&["waits"]).await;
    sleep(Duration::from_millis(10)).await;
    let all: Vec<_> = std::iter::from_fn(|| tells.try_recv().ok()).collect();
    // It may be told at both at a time.
    let of = |name: &str| all.iter().filter(|it| it.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("first"), ["first connect", "first disconnect"]);
    assert_eq!(of("second"), ["second connect", "second restore 0"], "it was written before");
}

#[tokio::test(start_paused = true)]
async fn it_keeps_its_rooms_and_its_user() {
    let servers = three().await;
    let target = "/ws?id=ann&room=lobby&user=a";
    let (_ann, hello) = Speaker::begin(&servers[0], target).await;
    servers[0].connection("ann").unwrap().join("garden").unwrap();
    let (mut ann, _) = Speaker::resume(&servers[1], target, &hello.token, 0).await;
    servers[2].broadcast("garden", Frame::new("in the garden")).unwrap();
    assert_eq!(ann.hear().await, frame("in the garden"));
    servers[2].user("a").send(Frame::new("to the user")).unwrap();
    assert_eq!(ann.hear().await, frame("to the user"));
    servers[2].broadcast_all(Frame::new("to all")).unwrap();
    assert_eq!(ann.hear().await, frame("to all"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_not_heard_of_the_move_finds_its_session_by_the_older_token() {
    let servers = three().await;
    let mut ann = Traveller::begin(&servers[0]).await;
    servers[0].send("ann", Frame::new("1")).unwrap();
    // The hello of the second server is lost.
    drop(Speaker::come_back(&servers[1], ANN, &ann.hello.token, 0).await);
    sleep(Duration::from_millis(10)).await;
    assert!(servers[1].connection("ann").is_some());
    ann.comes_to(&servers[2]).await;
    ann.hears(&["1"]).await;
    ann.comes_to(&servers[0]).await;
    ann.comes_to(&servers[1]).await;
    servers[1].send("ann", Frame::new("2")).unwrap();
    ann.hears(&["2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_back_before_its_last_callback_has_ended_is_found_by_the_token_from_elsewhere()
 {
    let may_end = Arc::new(Semaphore::new(0));
    let builder = || {
        let may_end = Arc::clone(&may_end);
        exactly_once().on_disconnect(move |_, _| {
            let may_end = Arc::clone(&may_end);
            async move { may_end.acquire().await.unwrap().forget() }
        })
    };
    let servers = cluster_of(&MemoryNetwork::new(), 2, builder).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    ann.comes_to(&servers[1]).await;
    // The hello of the first server is lost, whose callback for the session's end goes on until now.
    drop(Speaker::come_back(&servers[0], ANN, &ann.hello.token, 0).await);
    sleep(Duration::from_millis(10)).await;
    may_end.add_permits(2);
    sleep(Duration::from_millis(10)).await;
    ann.comes_to(&servers[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_server_that_is_dead_begins_anew_and_its_client_hears_so() {
    let network = MemoryNetwork::new();
    let (first, engine) = node(&network, exactly_once());
    let (second, _) = node(&network, exactly_once());
    let servers = [first, second];
    know_each_other(&servers).await;
    let ann = Traveller::begin(&servers[0]).await;
    network.cut(&engine);
    // It may be on its way back.
    assert_eq!(refused(&servers[1], ANN, &ann.hello.token).await, 503);
    sleep(Duration::from_secs(4)).await;
    let (_ann, hello) = Speaker::resume(&servers[1], ANN, &ann.hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::New);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_session_that_has_ended_begins_a_new_one() {
    let servers = three().await;
    let ann = Traveller::begin(&servers[0]).await;
    servers[0].kick("ann").unwrap();
    let (_ann, hello) = Speaker::resume(&servers[1], ANN, &ann.hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::New);
}

#[tokio::test(start_paused = true)]
async fn another_user_does_not_get_it() {
    let servers = three().await;
    let (_ann, hello) = Speaker::begin(&servers[0], "/ws?id=ann&room=lobby&user=a").await;
    let other = "/ws?id=ann&room=lobby&user=b";
    assert_eq!(refused(&servers[1], other, &hello.token).await, 403);
    assert!(servers[0].connection("ann").is_some(), "nothing was done to it");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_changed_is_none() {
    // Else the id alone would do something.
    let of_each = || exactly_once().id_scope(IdScope::Server);
    let servers = cluster_of(&MemoryNetwork::new(), 3, of_each).await;
    let ann = Traveller::begin(&servers[0]).await;
    let token = ann.hello.token.replacen(".1.", ".2.", 1);
    let (_other, hello) = Speaker::resume(&servers[1], ANN, &token, 0).await;
    assert_eq!(hello.session, SessionKind::New);
    assert!(servers[0].connection("ann").is_some(), "nothing was done to it");
}

/// Two servers, of which the second hears nothing of the first once it has asked it for a session.
async fn cut_while_a_session_moves(for_long: Duration) -> ([Server; 3], Traveller) {
    let network = MemoryNetwork::new();
    let mut engines: Vec<MemoryEngine> = Vec::new();
    let servers = [(); 3].map(|()| {
        let (server, engine) = node(&network, exactly_once());
        engines.push(engine);
        server
    });
    know_each_other(&servers).await;
    let ann = Traveller::begin(&servers[0]).await;
    servers[0].send("ann", Frame::new("1")).unwrap();
    let token = ann.hello.token.clone();
    network.cut_between(&engines[0], &engines[1]);
    let heal = async {
        sleep(for_long).await;
        network.heal();
    };
    let (status, ()) = tokio::join!(refused(&servers[1], ANN, &token), heal);
    assert_eq!(status, 503);
    (servers, ann)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_could_not_be_fetched_waits_where_it_was() {
    let (servers, mut ann) = cut_while_a_session_moves(Duration::from_millis(2500)).await;
    ann.comes_to(&servers[2]).await;
    ann.hears(&["1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_has_come_for_is_forgotten_after_its_window() {
    let servers = three().await;
    let ann = Traveller::begin(&servers[0]).await;
    drop(Speaker::come_back(&servers[1], ANN, &ann.hello.token, 0).await);
    sleep(Duration::from_mins(3)).await;
    assert!(servers.iter().all(|server| server.connection("ann").is_none()));
    let (_ann, hello) = Speaker::resume(&servers[2], ANN, &ann.hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::New);
}

/// Three servers that speak to all and to a room, over a network with these faults, and a client that
/// goes from one to the next all the time: what it hears of each.
async fn hear_on_the_way(seed: u64, faults: NetworkFaults) -> [Vec<usize>; 3] {
    const PAUSE: Duration = Duration::from_millis(1);
    let network = MemoryNetwork::with_faults(seed, NetworkFaults::NONE);
    let servers = cluster_of(&network, 3, exactly_once).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    // Somebody is there already.
    let _others = [dial(&servers[1], "bob").await, dial(&servers[0], "cid").await];
    network.set_faults(faults);
    let speak = async {
        for number in 0..SAID {
            for (place, server) in servers.iter().enumerate() {
                let frame = Frame::new(format!("{place} {number}"));
                match number % 3 {
                    0 => server.broadcast_all(frame).unwrap(),
                    _ => server.broadcast("lobby", frame).unwrap(),
                };
            }
            sleep(PAUSE).await;
        }
    };
    let travel = async {
        let mut heard = [const { Vec::new() }; 3];
        let mut next = 1;
        while heard.iter().map(Vec::len).sum::<usize>() < 3 * SAID {
            let event = ann.next().await;
            let (place, number) = event.split_once(' ').unwrap();
            heard[place.parse::<usize>().unwrap()].push(number.parse::<usize>().unwrap());
            if ann.had.is_multiple_of(37) {
                come_somewhere(&mut ann, &servers, next).await;
                next += 1;
            }
        }
        heard
    };
    tokio::join!(speak, travel).1
}

/// So many frames each server says.
const SAID: usize = 300;

/// What is said to all and what is said to a room are two orders: each is whole.
fn assert_whole(heard: [Vec<usize>; 3], seed: u64) {
    for (place, numbers) in heard.into_iter().enumerate() {
        for is_to_all in [true, false] {
            let of = |numbers: Vec<usize>| {
                numbers.into_iter().filter(|it| (it % 3 == 0) == is_to_all).collect::<Vec<_>>()
            };
            let (heard, said) = (of(numbers.clone()), of((0..SAID).collect()));
            assert_eq!(heard, said, "of server {place}, to all: {is_to_all}, seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_all_speak_a_client_that_goes_from_server_to_server_hears_all_once_and_in_order() {
    for seed in 0..10 {
        let mut faults = NetworkFaults::NONE;
        faults.delay = Duration::ZERO..Duration::from_millis(20);
        assert_whole(hear_on_the_way(seed, faults).await, seed);
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_does_over_a_network_that_loses_and_repeats_what_they_say() {
    for seed in 0..10 {
        let mut faults = NetworkFaults::ALL;
        faults.interrupted_per_mille = 0;
        assert_whole(hear_on_the_way(seed, faults).await, seed);
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_network_that_loses_and_repeats_all_is_heard_and_handled_once_and_in_order() {
    const ROUNDS: usize = 10;
    for seed in 0..20 {
        let mut faults = NetworkFaults::ALL;
        (faults.lost_per_mille, faults.interrupted_per_mille) = (100, 0);
        let network = MemoryNetwork::with_faults(seed, NetworkFaults::NONE);
        let (said, mut handled) = mpsc::unbounded_channel();
        let builder = || {
            let said = said.clone();
            exactly_once().on_message(move |_, frame| drop(said.send(frame.event().to_owned())))
        };
        let servers = cluster_of(&network, 3, builder).await;
        let mut ann = Traveller::begin(&servers[0]).await;
        network.set_faults(faults);
        let mut sent = 0_u64;
        for round in 0..ROUNDS {
            for number in 5 * round..5 * (round + 1) {
                let frame = || Frame::new(number.to_string());
                let is_sent = servers.iter().any(|it| it.send("ann", frame()).is_ok());
                assert!(is_sent, "it is at one of them");
            }
            ann.speaker.say(&sent.to_string()).await;
            sent += 1;
            sleep(Duration::from_millis(seed * 7 % 30)).await;
            come_somewhere(&mut ann, &servers, round * 7).await;
            // What was not taken over is said again.
            for number in ann.hello.received..sent {
                ann.speaker.say(&number.to_string()).await;
            }
        }
        for number in 0..5 * ROUNDS {
            assert_eq!(ann.next().await, number.to_string(), "seed {seed}");
        }
        for number in 0..sent {
            assert_eq!(handled.recv().await.unwrap(), number.to_string(), "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_handshakes_with_one_token_at_two_servers_neither_begins_anew() {
    for delay in 0..20 {
        let mut faults = NetworkFaults::NONE;
        faults.delay = Duration::ZERO..Duration::from_millis(2);
        let network = MemoryNetwork::with_faults(delay, faults);
        let servers = cluster_of(&network, 3, exactly_once).await;
        let ann = Traveller::begin(&servers[0]).await;
        let come = |place: usize| {
            let (servers, token) = (&servers, &ann.hello.token);
            async move {
                let (_, hello) = come_with(&servers[place], token).await?;
                Some(hello.session)
            }
        };
        let both = tokio::join!(come(1), come(2));
        for session in [both.0, both.1] {
            assert_ne!(session, Some(SessionKind::New), "seed {delay}");
        }
    }
}
