//! Servers that are drained and begun anew, one after the other, while all speak and a client goes from
//! one to the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse::cluster::{Gap, GapIn, Missed, NodeId};
use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
use wspulse::{Frame, Server};

use super::support::speaker::Heard;
use super::traveller::{Traveller, come_somewhere, exactly_once};
use super::{know_each_other, node};

const PAUSE: Duration = Duration::from_millis(20);

/// What a client has heard, by who has said it, whether to all, and in which order.
type AllHeard = BTreeMap<(String, bool), Vec<usize>>;

/// What all servers have said, and whether that is enough.
#[derive(Default)]
struct AllSaid {
    /// How many frames, by the server's name.
    frames: Mutex<BTreeMap<String, (NodeId, usize)>>,
    is_enough: AtomicBool,
}

/// What was told as lost.
#[derive(Default)]
struct AllLost {
    /// How many frames of each server; more than any has said, if that is not known.
    frames: BTreeMap<NodeId, u64>,
    /// How many gaps were told of a session that has come from elsewhere.
    of_sessions: usize,
}

impl AllLost {
    fn note(&mut self, gap: &Gap) {
        const NOT_KNOWN: u64 = 1 << 40;
        let missed = if let Missed::Frames(missed) = gap.missed { missed } else { NOT_KNOWN };
        *self.frames.entry(gap.origin).or_default() += missed;
        self.of_sessions += usize::from(matches!(gap.within, GapIn::Connection(_)));
    }
}

/// Speaks to all and to a room until the server ends.
async fn speak(server: Server, name: String, said: Arc<AllSaid>) {
    let node = server.cluster().unwrap().id();
    for number in 0.. {
        let frame = Frame::new(format!("{name} {number}"));
        let result = match number % 3 {
            0 => server.broadcast_all(frame),
            _ => server.broadcast("lobby", frame),
        };
        if result.is_err() {
            return;
        }
        said.frames.lock().unwrap().insert(name.clone(), (node, number + 1));
        if said.is_enough.load(Ordering::Relaxed) {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// The next frame's event, unless the transport ends.
async fn next(ann: &mut Traveller) -> Option<String> {
    loop {
        match timeout(Duration::from_secs(5), ann.speaker.hear()).await.ok()? {
            Heard::Ask => ann.speaker.ack(ann.had).await,
            Heard::Frame(event) => {
                ann.had += 1;
                return Some(event);
            }
            Heard::Closed(_) | Heard::End => return None,
            other @ (Heard::Hello(_) | Heard::Ack(_)) => panic!("{other:?}"),
        }
    }
}

/// Three servers, each of which is drained and begun anew while a client goes round, and hears all once
/// and in order, but for what is told as lost. Returns how many frames it has not heard, and what was told.
async fn restart_all(seed: u64, faults: NetworkFaults) -> (u64, AllLost) {
    let network = MemoryNetwork::with_faults(seed, NetworkFaults::NONE);
    let lost = Arc::new(Mutex::new(AllLost::default()));
    let begin = || {
        let lost = Arc::clone(&lost);
        let builder = exactly_once().on_gap(move |gap| lost.lock().unwrap().note(&gap));
        node(&network, builder).0
    };
    let first = [begin(), begin(), begin()];
    know_each_other(&first).await;
    let mut ann = Traveller::begin(&first[0]).await;
    network.set_faults(faults);
    let said = Arc::new(AllSaid::default());
    let begin_to_speak = |server: &Server, name: String| {
        tokio::spawn(speak(server.clone(), name, Arc::clone(&said)))
    };
    for (place, server) in first.iter().enumerate() {
        begin_to_speak(server, format!("{place}a"));
    }
    let servers = Mutex::new(first.to_vec());
    let restarts = async {
        for place in 0..3 {
            sleep(Duration::from_millis(500 + seed * 13 % 700)).await;
            let old = servers.lock().unwrap()[place].clone();
            old.drain(Duration::from_millis(seed * 37 % 1500)).await;
            let readings = old.cluster().unwrap().readings();
            assert_eq!(readings.sessions_left_behind, 0, "seed {seed}");
            let anew = begin();
            anew.cluster().unwrap().started().await.unwrap();
            begin_to_speak(&anew, format!("{place}b"));
            servers.lock().unwrap()[place] = anew;
            // Each is known to the others before the next one ends.
            sleep(Duration::from_secs(4)).await;
        }
        said.is_enough.store(true, Ordering::Relaxed);
    };
    let (heard, ()) = tokio::join!(travel(&mut ann, &servers, &said, seed), restarts);
    let told = std::mem::take(&mut *lost.lock().unwrap());
    let mut lacking = 0;
    for (name, (node, frames)) in said.frames.lock().unwrap().iter() {
        let lacks = lacking_of(&heard, name, *frames, seed);
        let told = told.frames.get(node).copied().unwrap_or_default();
        assert!(lacks <= told, "{lacks} of server {name} are lacking, {told} told, seed {seed}");
        lacking += lacks;
    }
    (lacking, told)
}

/// How many frames of a server were not heard. Those that were came once and in order.
fn lacking_of(heard: &AllHeard, name: &str, frames: usize, seed: u64) -> u64 {
    let mut lacking = 0;
    for is_to_all in [true, false] {
        let said = (0..frames).filter(|it| (it % 3 == 0) == is_to_all).count();
        let heard = heard.get(&(name.to_owned(), is_to_all)).map(Vec::as_slice).unwrap_or_default();
        let is_in_order = heard.windows(2).all(|two| two[0] < two[1]);
        assert!(is_in_order, "of server {name}, to all: {is_to_all}, seed {seed}: {heard:?}");
        lacking += said - heard.len();
    }
    lacking as u64
}

/// Goes from one server to the next until nothing more comes.
async fn travel(
    ann: &mut Traveller,
    servers: &Mutex<Vec<Server>>,
    said: &AllSaid,
    seed: u64,
) -> AllHeard {
    let (mut heard, mut place, mut silences) = (AllHeard::new(), 1, 0);
    while !said.is_enough.load(Ordering::Relaxed) || silences < 3 {
        let stays = if let Some(event) = next(ann).await {
            silences = 0;
            let (name, number) = event.split_once(' ').unwrap();
            let number: usize = number.parse().unwrap();
            let all = heard.entry((name.to_owned(), number.is_multiple_of(3))).or_default();
            all.push(number);
            !ann.had.is_multiple_of(61)
        } else {
            silences += 1;
            false
        };
        if !stays {
            sleep(Duration::from_millis(seed * 101 % 1200)).await;
            let there = servers.lock().unwrap().clone();
            come_somewhere(ann, &there, place).await;
            place += 1;
        }
    }
    heard
}

fn seeds(all: u64) -> std::ops::Range<u64> {
    let told = |name| std::env::var(name).ok().map(|told| told.parse::<u64>().unwrap());
    if let Some(seed) = told("WSPULSE_SEED") {
        return seed..seed + 1;
    }
    0..told("WSPULSE_SEEDS").unwrap_or(all)
}

#[tokio::test(start_paused = true)]
async fn while_each_server_is_drained_and_begun_anew_a_client_hears_all_once_and_in_order() {
    for seed in seeds(8) {
        let mut faults = NetworkFaults::NONE;
        faults.delay = Duration::ZERO..Duration::from_millis(20);
        let (lacking, told) = restart_all(seed, faults).await;
        assert_eq!((lacking, told.of_sessions), (0, 0), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_network_that_loses_and_repeats_whatever_it_lacks_is_told() {
    for seed in seeds(8) {
        let mut faults = NetworkFaults::ALL;
        faults.interrupted_per_mille = 0;
        // A server that has ended may not be known to have: then it is asked in vain, and that is told.
        restart_all(seed, faults).await;
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_slow_network_whatever_it_lacks_is_told() {
    for seed in seeds(16) {
        let mut faults = NetworkFaults::NONE;
        faults.delay = Duration::ZERO..Duration::from_millis(500);
        restart_all(seed, faults).await;
    }
}
