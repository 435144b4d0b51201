//! Servers that cannot reach each other may both let in clients under one id. Once they can, one stays.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::TestClient;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse::{DuplicatePolicy, Frame, IdScope, Server, ServerBuilder};

use super::ids::{closed_as_duplicate, hang_up, who_has};
use super::support::clients::{Client, numbered};
use super::support::clock::WINDOW;
use super::{come, hears, know_each_other, node, rooms};

const ANN: &str = "room=lobby&id=ann";

fn resuming() -> ServerBuilder {
    rooms().resume_window(WINDOW)
}

/// Two servers that know each other, and the first one's end of the network.
async fn two(builder: impl Fn() -> ServerBuilder) -> (MemoryNetwork, MemoryEngine, Vec<Server>) {
    let network = MemoryNetwork::new();
    let (first, engine) = node(&network, builder());
    let servers = vec![first, node(&network, builder()).0];
    know_each_other(&servers).await;
    (network, engine, servers)
}

/// They are cut for longer than it takes them to see that, and `cut` happens meanwhile.
async fn while_cut<R>(
    network: &MemoryNetwork,
    engine: &MemoryEngine,
    cut: impl Future<Output = R>,
) -> R {
    network.cut(engine);
    sleep(Duration::from_secs(5)).await;
    let done = cut.await;
    network.heal();
    sleep(Duration::from_secs(2)).await;
    done
}

/// The client of that server goes on, and the other one's hears that it is a duplicate.
async fn goes_on(servers: &[Server], stays: usize, mut client: Client, mut other: Client) {
    assert_eq!(who_has(servers, "ann"), [stays]);
    closed_as_duplicate(&mut other).await;
    servers[1 - stays].broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(hears(&mut client, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_from_before_ends_for_one_that_came_meanwhile() {
    for place in [0, 1] {
        let (network, engine, servers) = two(resuming).await;
        let old = come(&servers[1 - place], ANN).await;
        let new = while_cut(&network, &engine, come(&servers[place], ANN)).await;
        goes_on(&servers, place, new, old).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_came_meanwhile_the_later_one_stays() {
    for place in [0, 1] {
        let (network, engine, servers) = two(resuming).await;
        let both = async {
            let old = come(&servers[1 - place], ANN).await;
            sleep(Duration::from_secs(1)).await;
            (old, come(&servers[place], ANN).await)
        };
        let (old, new) = while_cut(&network, &engine, both).await;
        goes_on(&servers, place, new, old).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_came_last_stays_though_its_session_is_the_older_one() {
    for place in [0, 1] {
        let (network, engine, servers) = two(resuming).await;
        let before = come(&servers[place], ANN).await;
        let both = async {
            let old = come(&servers[1 - place], ANN).await;
            sleep(Duration::from_secs(1)).await;
            hang_up(before, &servers[place]).await;
            (old, come(&servers[place], ANN).await)
        };
        let (old, new) = while_cut(&network, &engine, both).await;
        goes_on(&servers, place, new, old).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_connected_stays_and_not_who_is_away() {
    for place in [0, 1] {
        let (network, engine, servers) = two(resuming).await;
        let both = async {
            let stays = come(&servers[place], ANN).await;
            sleep(Duration::from_secs(1)).await;
            let away = come(&servers[1 - place], ANN).await;
            hang_up(away, &servers[1 - place]).await;
            stays
        };
        let _stays = while_cut(&network, &engine, both).await;
        assert_eq!(who_has(&servers, "ann"), [place]);
        assert_eq!(servers[1 - place].connection_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_users_the_first_one_keeps_the_id() {
    for place in [0, 1] {
        let (network, engine, servers) = two(resuming).await;
        let both = async {
            let first = come(&servers[place], "room=lobby&id=ann&user=a").await;
            sleep(Duration::from_secs(1)).await;
            (first, come(&servers[1 - place], "room=lobby&id=ann&user=b").await)
        };
        let (first, other) = while_cut(&network, &engine, both).await;
        goes_on(&servers, place, first, other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_users_the_first_one_keeps_the_id_at_whichever_server_it_is_by_now() {
    const SIDES: [[usize; 2]; 2] = [[0, 3], [1, 2]];
    for side in [0, 1] {
        let ([from, to], others) = (SIDES[side], SIDES[1 - side]);
        let network = MemoryNetwork::new();
        let nodes: Vec<_> = (0..4).map(|_| node(&network, resuming())).collect();
        let servers: Vec<_> = nodes.iter().map(|(server, _)| server.clone()).collect();
        know_each_other(&servers).await;
        let first = come(&servers[from], "room=lobby&id=ann&user=a").await;
        sleep(Duration::from_secs(20)).await;
        for (one, other) in [(0, 1), (0, 2), (3, 1), (3, 2)] {
            network.cut_between(&nodes[one].1, &nodes[other].1);
        }
        sleep(Duration::from_secs(5)).await;
        let mut later = come(&servers[others[0]], "room=lobby&id=ann&user=b").await;
        sleep(Duration::from_secs(2)).await;
        hang_up(first, &servers[from]).await;
        sleep(Duration::from_secs(1)).await;
        let _first = come(&servers[to], "room=lobby&id=ann&user=a").await;
        sleep(Duration::from_secs(3)).await;
        network.heal();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(who_has(&servers, "ann"), [to]);
        closed_as_duplicate(&mut later).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_about_to_go_elsewhere_as_they_met_again_is_not_passed_over() {
    let busy = || {
        let builder = resuming().duplicates(DuplicatePolicy::Resume);
        builder.on_message(|_, _| sleep(Duration::from_secs(3)))
    };
    for millis in [0, 200, 700, 900, 1500] {
        let network = MemoryNetwork::new();
        let nodes: Vec<_> = (0..3).map(|_| node(&network, busy())).collect();
        let servers: Vec<_> = nodes.iter().map(|(server, _)| server.clone()).collect();
        know_each_other(&servers).await;
        let mut old = come(&servers[0], ANN).await;
        network.cut(&nodes[1].1);
        sleep(Duration::from_secs(5)).await;
        let _new = come(&servers[1], ANN).await;
        sleep(Duration::from_secs(5)).await;
        old.send(&Frame::new("takes three seconds")).await.unwrap();
        sleep(Duration::from_millis(10)).await;
        let comes = async {
            let refused = TestClient::connect(&servers[2], &format!("/ws?{ANN}")).await;
            assert_eq!(refused.expect_err("it is busy").status().as_u16(), 503);
        };
        let heals = async {
            sleep(Duration::from_millis(millis)).await;
            network.heal();
        };
        tokio::join!(comes, heals);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(who_has(&servers, "ann"), [1], "healed after {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn servers_that_have_never_met_end_what_both_have() {
    for place in [0, 1] {
        let network = MemoryNetwork::new();
        let (first, engine) = node(&network, resuming());
        network.cut(&engine);
        let servers = [first, node(&network, resuming()).0];
        for server in &servers {
            server.cluster().unwrap().started().await.unwrap();
        }
        let old = come(&servers[1 - place], ANN).await;
        sleep(Duration::from_secs(30)).await;
        let new = come(&servers[place], ANN).await;
        network.heal();
        know_each_other(&servers).await;
        sleep(Duration::from_secs(2)).await;
        goes_on(&servers, place, new, old).await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_one_question_holds_are_there_once() {
    const IDS: usize = 600;
    let (network, engine, servers) = two(resuming).await;
    let both = async {
        let mut clients = Vec::new();
        for number in 0..IDS {
            let target = format!("room=lobby&id=ann-{number}");
            clients.push(come(&servers[number % 2], &target).await);
            clients.push(come(&servers[(number + 1) % 2], &target).await);
        }
        clients
    };
    let _clients = while_cut(&network, &engine, both).await;
    for number in 0..IDS {
        assert_eq!(who_has(&servers, &format!("ann-{number}")).len(), 1, "{number}");
    }
    assert_eq!(servers.iter().map(Server::connection_count).sum::<usize>(), IDS);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_each_server_stays_at_both() {
    let (network, engine, servers) = two(|| resuming().id_scope(IdScope::Server)).await;
    let _here = come(&servers[0], ANN).await;
    let _there = while_cut(&network, &engine, come(&servers[1], ANN)).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(who_has(&servers, "ann"), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn other_ids_stay_where_they_are() {
    let (network, engine, servers) = two(resuming).await;
    let _ann = come(&servers[0], ANN).await;
    let _bob = while_cut(&network, &engine, come(&servers[1], "room=lobby&id=bob")).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!((who_has(&servers, "ann"), who_has(&servers, "bob")), (vec![0], vec![1]));
}
