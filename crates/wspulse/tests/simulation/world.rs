//! One server, its application and its clients, driven by one seed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wspulse::testing::TestClient;
use wspulse::{Admission, Connection, Frame, SendError, Server};

use super::client::{Client, Order, Seen};
use super::journal::{Counting, Life, Told, Totals, value};
use super::plan::Plan;

/// What callbacks and scenario share.
struct App {
    plan: Plan,
    rng: Mutex<SmallRng>,
    totals: Arc<Totals>,
    /// Every connection that `on_connect` has seen.
    connections: Mutex<Vec<Connection>>,
    /// Frames are numbered as they are made, so that order can be seen.
    next_frame: AtomicUsize,
    /// Direct sends that were accepted.
    accepted: AtomicUsize,
    rejected: AtomicUsize,
}

/// A transport that was opened, and the connection that it was opened for.
struct Line {
    orders: UnboundedSender<Order>,
    client: JoinHandle<Seen>,
    connection: Connection,
}

pub(crate) struct World {
    app: Arc<App>,
    server: Server,
    lines: Vec<Line>,
    rng: SmallRng,
}

fn life(connection: &Connection) -> &Life {
    connection.data().expect("every connection has one")
}

impl App {
    fn number(&self) -> Frame {
        Frame::new(self.next_frame.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn send(&self, connection: &Connection) {
        match connection.send(self.number()) {
            Ok(()) => drop(self.accepted.fetch_add(1, Ordering::Relaxed)),
            Err(SendError::Full { .. }) => drop(self.rejected.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {}
        }
    }

    /// Runs one callback: it sends, takes its time, panics, or none of it.
    async fn call(self: Arc<Self>, connection: Connection, told: Told) {
        let _inside = life(&connection).enter(told);
        let (slow, panics, sends, time) = {
            let mut rng = self.rng.lock().unwrap();
            let time = if rng.random_bool(0.1) { 2_000 } else { rng.random_range(0..60) };
            let slow = rng.random_range(0..1_000) < self.plan.slow_callbacks;
            let panics = rng.random_range(0..1_000) < self.plan.panics;
            (slow, panics, rng.random_bool(0.3), Duration::from_millis(time))
        };
        if sends {
            self.send(&connection);
        }
        if slow {
            sleep(time).await;
        }
        assert!(!panics, "of the simulation");
    }
}

fn build(app: &Arc<App>) -> Server {
    let builder = Server::builder_sync(|request| {
        let (room, id) = (request.query("room").unwrap(), request.query("id").unwrap());
        Ok(Admission::room(&*room).id(&*id).data(Life::default()))
    });
    let at = |told: fn() -> Told| {
        let app = Arc::clone(app);
        move |connection| Arc::clone(&app).call(connection, told())
    };
    let (opening, messaging) = (Arc::clone(app), Arc::clone(app));
    let (dropping, leaving) = (Arc::clone(app), Arc::clone(app));
    app.plan
        .configure(builder)
        .metrics(Counting(Arc::clone(&app.totals)))
        .on_connect(move |connection: Connection| {
            opening.connections.lock().unwrap().push(connection.clone());
            Arc::clone(&opening).call(connection, Told::Connect)
        })
        .on_message(move |connection, frame: Frame| {
            let (transport, number) = frame.event().split_once(' ').unwrap();
            let told = Told::Message(transport.parse().unwrap(), number.parse().unwrap());
            Arc::clone(&messaging).call(connection, told)
        })
        .on_transport_drop(move |connection, _| Arc::clone(&dropping).call(connection, Told::Drop))
        .on_transport_restore(at(|| Told::Restore))
        .on_disconnect(move |connection, end| {
            Arc::clone(&leaving).call(connection, Told::Disconnect(end))
        })
        .build()
        .unwrap()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let app = Arc::new(App {
            plan: Plan::draw(&mut rng),
            rng: Mutex::new(rng.fork()),
            totals: Arc::default(),
            connections: Mutex::default(),
            next_frame: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            rejected: AtomicUsize::new(0),
        });
        Self { server: build(&app), app, lines: Vec::new(), rng }
    }

    /// Lets things happen, shuts the server down and checks everything.
    pub(crate) async fn run(mut self) {
        for _ in 0..self.app.plan.steps {
            self.step().await;
            if self.rng.random_bool(0.4) {
                let longest = if self.rng.random_bool(0.1) { 1_000 } else { 20 };
                sleep(Duration::from_millis(self.rng.random_range(0..longest))).await;
            }
        }
        let started = Instant::now();
        self.server.close().await;
        let took = started.elapsed();
        assert!(took <= 2 * self.app.plan.drain_timeout, "the shutdown took {took:?}");
        let clients = self.lines.iter().filter(|line| !line.client.is_finished()).count();
        assert_eq!(Handle::current().metrics().num_alive_tasks(), clients, "tasks are left");
        self.check().await;
    }

    async fn step(&mut self) {
        let id = self.rng.random_range(0..self.app.plan.ids).to_string();
        match self.rng.random_range(0..100) {
            0..25 => self.connect(&id).await,
            25..45 => self.order(|rng| Order::Say(rng.random_range(1..50))),
            45..55 => self.order(|_| Order::Cut),
            55..60 => self.order(|_| Order::Leave),
            60..65 => self.order(|rng| {
                let time = rng.random_range(1..900);
                Order::Dawdle(Duration::from_millis(time))
            }),
            65..78 => {
                if let Some(connection) = self.server.connection(&id) {
                    (0..self.rng.random_range(1..20)).for_each(|_| self.app.send(&connection));
                }
            }
            78..93 => {
                let room = self.rng.random_range(0..self.app.plan.rooms).to_string();
                for _ in 0..self.rng.random_range(1..10) {
                    self.server.broadcast(&room, self.app.number()).unwrap();
                }
            }
            93..97 => drop(self.server.kick(&id)),
            _ => {
                if let Some(connection) = self.server.connection(&id) {
                    connection.close();
                }
            }
        }
    }

    async fn connect(&mut self, id: &str) {
        let room = self.rng.random_range(0..self.app.plan.rooms);
        let capacity = [16, 256, 64 * 1024][self.rng.random_range(0..3)];
        let target = format!("/ws?room={room}&id={id}");
        let stream = TestClient::connect_with_capacity(&self.server, &target, capacity).await;
        let connection = self.server.connection(id).expect("registered");
        let (orders, received) = unbounded_channel();
        let well_behaved = capacity > 1024;
        let client = Client {
            stream: stream.expect("the server is open"),
            orders: received,
            transport: self.lines.len(),
            rng: self.rng.fork(),
            seen: Seen { frames: Vec::new(), close: None, to_the_end: false, well_behaved },
            said: 0,
        };
        self.lines.push(Line { orders, client: tokio::spawn(client.run()), connection });
    }

    fn order(&mut self, order: impl FnOnce(&mut SmallRng) -> Order) {
        if !self.lines.is_empty() {
            let newest = self.lines.len().saturating_sub(2 * self.app.plan.ids);
            let line = self.rng.random_range(newest..self.lines.len());
            // It may have gone already.
            let _ = self.lines[line].orders.send(order(&mut self.rng));
        }
    }

    async fn check(self) {
        let mut transports: Vec<(Connection, Seen)> = Vec::new();
        for Line { orders, client, connection } in self.lines {
            transports.push((connection, client.await.unwrap()));
            drop(orders);
        }
        check_totals(&self.app);
        for connection in &*self.app.connections.lock().unwrap() {
            life(connection).check();
            let seen: Vec<_> = transports
                .iter()
                .filter_map(|(other, seen)| (other == connection).then_some(seen))
                .collect();
            check_connection(connection, &seen);
        }
    }
}

fn check_totals(app: &App) {
    let connections = app.connections.lock().unwrap();
    let sum = |count: fn(&Connection) -> u64| connections.iter().map(count).sum::<u64>();
    let totals = &app.totals;
    let all = connections.len() as u64;
    assert_eq!((value(&totals.opened), value(&totals.closed), value(&totals.rooms)), (all, all, 0));
    let accepted = app.accepted.load(Ordering::Relaxed) as u64 + value(&totals.offered);
    assert_eq!(sum(|connection| connection.outbound_stats().accepted), accepted);
    assert_eq!(sum(|connection| connection.outbound_stats().sent), value(&totals.sent));
    assert_eq!(sum(|connection| connection.outbound_stats().dropped), value(&totals.dropped));
    assert_eq!(app.rejected.load(Ordering::Relaxed) as u64, value(&totals.rejected));
    let delivered = sum(|connection| life(connection).messages());
    assert_eq!(value(&totals.received), delivered + value(&totals.discarded));
}

fn check_connection(connection: &Connection, transports: &[&Seen]) {
    let stats = connection.outbound_stats();
    assert_eq!(stats.pending, 0);
    assert_eq!(stats.accepted, stats.sent + stats.dropped);
    let mut last = None;
    let mut unique = 0;
    for (index, seen) in transports.iter().enumerate() {
        let frames = &seen.frames;
        assert!(frames.is_sorted_by(|a, b| a < b), "out of order or twice: {frames:?}");
        // Only a frame that was in hand when a transport died is written again, to the next.
        let first = frames.first().copied();
        assert!(first.is_none() || last <= first, "{index}: {first:?} after {last:?}");
        unique += frames.len() as u64 - u64::from(first.is_some() && first == last);
        last = frames.last().copied().or(last);
    }
    if transports.iter().all(|seen| seen.to_the_end) {
        // A frame that was half written when its transport was parted with is finished there, and
        // then sent again or dropped.
        let finished = transports.len() as u64;
        assert!((stats.sent..=stats.sent + finished).contains(&unique), "{unique}: {stats:?}");
    }
    check_close(connection, transports);
}

/// A client that did all that it should knows why the connection was ended.
fn check_close(connection: &Connection, transports: &[&Seen]) {
    let Some(newest) = transports.last().filter(|seen| seen.well_behaved) else {
        return;
    };
    let told = life(connection).told();
    let was_lost = told.iter().rev().nth(1).is_some_and(|told| matches!(told, Told::Drop));
    let end = life(connection).end().expect("it has ended");
    if end.cause().is_some() || was_lost {
        return;
    }
    let close = newest.close.as_ref();
    // A callback that panicked, or too high a rate, may have taken the transport first.
    let is_told = close == Some(&end.close_frame())
        || close.is_some_and(|close| matches!(close.code().as_u16(), 1008 | 1011));
    assert!(is_told, "ended as {end:?}, told {close:?}");
}
