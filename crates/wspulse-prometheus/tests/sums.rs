//! Whatever connections live through, the numbers agree with each other and with the server.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::DuplexStream;
use wspulse::testing::TestClient;
use wspulse::{Admission, DuplicatePolicy, Frame, Server, ServerBuilder};
use wspulse_prometheus::PrometheusCollector;

const SEEDS: u64 = 200;
const STEPS: usize = 60;
const IDS: u32 = 5;

fn value(page: &str, name: &str) -> u64 {
    let name = format!("wspulse_{name}");
    let values = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let is_named = series == name || series.starts_with(&format!("{name}{{"));
        is_named.then(|| value.parse::<u64>().unwrap())
    });
    values.sum()
}

fn house() -> ServerBuilder {
    Server::builder_sync(|request| {
        let id = request.query("id").unwrap_or_default();
        // Half of them share a room that comes and goes.
        let room = if id.ends_with(['0', '1']) { "lobby" } else { "attic" };
        Ok(Admission::room(room).id(&*id))
    })
    .on_message(|conn, frame| match frame.event() {
        "close" => conn.close(),
        "panic" => panic!("of the test"),
        _ => drop(conn.room().broadcast(frame)),
    })
}

async fn step(server: &Server, clients: &mut Vec<TestClient<DuplexStream>>, dice: &mut StdRng) {
    let id = dice.random_range(0..IDS);
    match dice.random_range(0..10) {
        0..4 => {
            if let Ok(client) = TestClient::connect(server, &format!("/ws?id={id}")).await {
                clients.push(client);
            }
        }
        4 => drop(server.kick(&id.to_string())),
        5 => drop(server.send(&id.to_string(), Frame::new("news"))),
        6 if !clients.is_empty() => {
            let place = dice.random_range(0..clients.len());
            drop(clients.swap_remove(place));
        }
        7 if !clients.is_empty() => {
            let place = dice.random_range(0..clients.len());
            let event = ["close", "panic", "talk"][dice.random_range(0..3)];
            let _ = clients[place].send(&Frame::new(event)).await;
        }
        8 => tokio::time::sleep(Duration::from_secs(dice.random_range(1..8))).await,
        _ => tokio::task::yield_now().await,
    }
}

fn assert_sums(server: &Server, metrics: &PrometheusCollector) {
    let page = metrics.handler().response().into_body();
    let get = |name| value(&page, name);
    let active = get("connections_active");
    assert_eq!(get("connections_opened_total"), get("connections_closed_total") + active, "{page}");
    assert_eq!(active, server.connection_count() as u64, "{page}");
    assert_eq!(get("connections_suspended"), server.suspended_count() as u64, "{page}");
    assert_eq!(get("rooms_active"), server.room_count() as u64, "{page}");
    let dropped = get("frames_dropped_total");
    assert_eq!(dropped, get("frames_dropped_by_reason_total"), "{page}");
}

async fn live(seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let metrics = PrometheusCollector::builder().room_label(1).build().unwrap();
    let window = Duration::from_secs([0, 5, 60][dice.random_range(0..3)]);
    let resumes = !window.is_zero() && dice.random_bool(0.5);
    let policy = if resumes { DuplicatePolicy::Resume } else { DuplicatePolicy::Replace };
    let server = house().metrics(metrics.clone()).resume_window(window).duplicates(policy);
    let server = server.build().unwrap();
    let mut clients = Vec::new();
    for _ in 0..STEPS {
        step(&server, &mut clients, &mut dice).await;
        if dice.random_bool(0.2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_sums(&server, &metrics);
        }
    }
    server.close().await;
    assert_sums(&server, &metrics);
    assert_eq!((server.connection_count(), server.suspended_count()), (0, 0));
}

#[test]
fn the_sums_are_right_whatever_connections_live_through() {
    for seed in 0..SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let lived = std::panic::catch_unwind(|| runtime.block_on(live(seed)));
        lived.unwrap_or_else(|_| panic!("seed {seed}"));
    }
}
