//! One server with its clients on their links, from its start to its accounts.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clients::{Kind, Phase, Seat};
use crate::ledger::{Account, Expected, Heard, Ledger, Streams};
use crate::link::{
    self, Route, Weather,
    plan::{Way, between},
};
use crate::nginx::Nginx;
use crate::options::{CLIENT_PAUSE, DIRECT_EVERY, NGINX_EVERY, RunOptions};
use crate::server::{Level, Sent};
use crate::subject::{Subject, resident_kib, signal};
use crate::verdict::Promise;

/// A server to be tested, and who visits it.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// What it promises; `None` for other servers than ours, which are not judged.
    pub(crate) level: Option<Level>,
    pub(crate) streams: Streams,
    pub(crate) server: Command,
    pub(crate) kinds: Vec<Box<dyn Kind>>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) is_ours: bool,
    /// Where nothing is promised, bad links must have cost something.
    pub(crate) is_lossy: bool,
    pub(crate) sent: Sent,
    pub(crate) clients: usize,
    /// Seconds since the start, and resident KiB.
    pub(crate) memory: Vec<(f64, u64)>,
    /// How long its process was stopped, each time.
    pub(crate) stops: Vec<Duration>,
    pub(crate) kinds: Vec<KindOutcome>,
    /// What went wrong beside the accounts.
    pub(crate) faults: Vec<String>,
}

/// What became of the clients of one kind.
#[derive(Debug)]
pub(crate) struct KindOutcome {
    pub(crate) name: &'static str,
    pub(crate) clients: usize,
    pub(crate) sessions_lost: u64,
    /// How often a client has ended for good that was not asked to.
    pub(crate) ended: u64,
    pub(crate) down: (Promise, Account),
    pub(crate) up: (Promise, Account),
}

/// How long clients have to get in, and to get what is missing once links are good.
const PATIENCE: Duration = Duration::from_mins(2);
/// Where nothing more is promised, what is on its way has this time.
const GRACE: Duration = Duration::from_secs(4);

struct Group {
    kind: Box<dyn Kind>,
    clients: Vec<(usize, Arc<Ledger>)>,
}

impl Group {
    fn promise(&self, level: Option<Level>, way: Way) -> Promise {
        let speaks = self.kind.speaks_protocol();
        level.map_or(Promise::None, |level| Promise::of(level, speaks, way))
    }
}

impl Scene {
    /// Plays it.
    ///
    /// # Errors
    ///
    /// If a process does not do its part.
    pub(crate) async fn play(
        self,
        options: &RunOptions,
        seed: u64,
    ) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
        let mut server = Subject::start(self.server).await?;
        let nginx =
            if Nginx::is_here() { Some(Nginx::start(server.address()).await?) } else { None };
        let weather = Weather::default();
        let (phase, phases) = watch::channel(Phase::Join);
        let mut dice = StdRng::seed_from_u64(seed);
        let (mut groups, mut running) = (Vec::new(), Vec::new());
        let mut next = 0;
        for kind in self.kinds {
            let mut seats = Vec::new();
            for client in next..next + options.clients() {
                let behind = nginx.as_ref().filter(|_| client % NGINX_EVERY == 0);
                let ledger = Arc::new(Ledger::new(self.streams));
                let route = Route {
                    to: behind.map_or(server.address(), Nginx::address),
                    seed: dice.random(),
                    severity: options.severity(),
                    weather: weather.clone(),
                    ledger: Arc::clone(&ledger),
                };
                let address = link::open(route).await?;
                let phase = phases.clone();
                seats.push(Seat { client, address, ledger, phase, pause: CLIENT_PAUSE });
            }
            next += seats.len();
            let ledgers = seats.iter().map(|seat| (seat.client, Arc::clone(&seat.ledger)));
            groups.push(Group { clients: ledgers.collect(), kind });
            let kind = &groups[groups.len() - 1].kind;
            running.push((kind.name(), tokio::spawn(kind.run(seats))));
        }
        all_in(&groups).await.map_err(|error| format!("{}: {error}", self.name))?;
        let began_at = Instant::now();
        let memory = tokio::spawn(watch_memory(server.pid(), began_at, phases.clone()));
        server.start_sending().await?;
        phase.send_replace(Phase::Talk);
        sleep(Duration::from_secs(1)).await;
        weather.bad.cancel();
        let stops = stop_now_and_then(server.pid(), options, &mut dice).await;
        weather.quiet.cancel();
        // What waits behind narrow links, and new frames behind it.
        sleep(Duration::from_secs(3)).await;
        phase.send_replace(Phase::Listen);
        let sent = server.pause().await?;
        let heard = drain(&mut server, &groups, self.level, &sent).await?;
        phase.send_replace(Phase::Leave);
        let mut faults = leave(running).await;
        let memory = memory.await?;
        let kinds = account(&groups, self.level, &sent, &heard);
        if let Err(error) = server.end().await {
            faults.push(error.to_string());
        }
        let outcome = Outcome {
            name: self.name,
            is_ours: self.level.is_some(),
            is_lossy: self.level == Some(Level::AtMostOnce),
            sent,
            clients: next,
            memory,
            stops,
            kinds,
            faults,
        };
        Ok(outcome)
    }
}

async fn all_in(groups: &[Group]) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let clients = groups.iter().flat_map(|group| &group.clients);
        let missing = clients.filter(|(_, ledger)| !ledger.is_open()).count();
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{missing} clients do not get in"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn watch_memory(
    pid: u32,
    began_at: Instant,
    phase: watch::Receiver<Phase>,
) -> Vec<(f64, u64)> {
    let mut samples = Vec::new();
    while *phase.borrow() != Phase::Leave {
        let sample = resident_kib(pid).map(|kib| (began_at.elapsed().as_secs_f64(), kib));
        samples.extend(sample);
        sleep(Duration::from_secs(1)).await;
    }
    samples
}

/// Lets the time of bad weather go by, in which the server's process stands still at times.
async fn stop_now_and_then(pid: u32, options: &RunOptions, dice: &mut StdRng) -> Vec<Duration> {
    let mut left = options.bad_weather();
    let [run, stand] = options.stops();
    let mut stops = Vec::new();
    loop {
        let (runs, stands) = (between(dice, run), between(dice, stand));
        if runs + stands >= left {
            sleep(left).await;
            return stops;
        }
        sleep(runs).await;
        signal(pid, "-STOP").await;
        sleep(stands).await;
        signal(pid, "-CONT").await;
        left -= runs + stands;
        stops.push(stands);
    }
}

/// Waits until nothing is missing that was promised, or in vain, and then for what may still come.
async fn drain(
    server: &mut Subject,
    groups: &[Group],
    level: Option<Level>,
    sent: &Sent,
) -> Result<HashMap<usize, Heard>, Box<dyn Error + Send + Sync>> {
    let deadline = Instant::now() + PATIENCE;
    let mut arrived = (0, 0);
    let mut still_since = Instant::now();
    loop {
        let heard = server.heard().await?;
        let kinds = account(groups, level, sent, &heard);
        let is_complete = kinds.iter().all(|kind| {
            let both = [&kind.down, &kind.up];
            both.into_iter().all(|(promise, account)| promise.is_complete(account))
        });
        let clients = groups.iter().flat_map(|group| &group.clients);
        let received: u64 = clients.map(|(_, ledger)| ledger.received()).sum();
        let lost_up: u64 = kinds.iter().map(|kind| kind.up.1.lost).sum();
        if arrived != (received, lost_up) {
            arrived = (received, lost_up);
            still_since = Instant::now();
        }
        let is_still = still_since.elapsed() > GRACE;
        if (is_complete && is_still) || Instant::now() > deadline {
            return Ok(heard);
        }
        sleep(Duration::from_millis(300)).await;
    }
}

async fn leave(running: Vec<(&'static str, JoinHandle<Result<(), String>>)>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, task) in running {
        let ended = tokio::time::timeout(PATIENCE, task).await;
        match ended {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(fault))) => faults.push(format!("{name}: {fault}")),
            Ok(Err(panic)) => faults.push(format!("{name}: {panic}")),
            Err(_) => faults.push(format!("{name}: they do not leave")),
        }
    }
    faults
}

fn account(
    groups: &[Group],
    level: Option<Level>,
    sent: &Sent,
    heard: &HashMap<usize, Heard>,
) -> Vec<KindOutcome> {
    let refused: HashSet<(usize, u64)> = sent.refused.iter().copied().collect();
    let mut kinds = Vec::new();
    for group in groups {
        let (mut down, mut up) = (Account::default(), Account::default());
        let (mut sessions_lost, mut ended) = (0, 0);
        for (client, ledger) in &group.clients {
            let (ticks, client) = (sent.ticks, *client);
            let expected =
                Expected { ticks, client, direct_every: DIRECT_EVERY, refused: &refused };
            down.add(ledger.down(expected));
            up.add(ledger.up(heard.get(&client).unwrap_or(&Heard::default())));
            sessions_lost += ledger.sessions_new();
            ended += ledger.times_ended();
        }
        kinds.push(KindOutcome {
            name: group.kind.name(),
            clients: group.clients.len(),
            sessions_lost,
            ended,
            down: (group.promise(level, Way::Down), down),
            up: (group.promise(level, Way::Up), up),
        });
    }
    kinds
}
