//! One server, its application and its clients, driven by one seed.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wspulse::Server;

use super::app::{App, closing_time_max};
use super::checks::{check_closed, check_life};
use super::client::{Break, Order, Seen};
use super::crowd::{self, Whom, any_room};
use super::dialer::Dialer;
use super::people::name_of;
use super::plan::{Character, Plan, Size};
use super::trace::{Event, Trace, Who};

/// A client, and the way to tell it what to do.
struct Line {
    orders: UnboundedSender<Order>,
    client: JoinHandle<Option<Seen>>,
}

pub(crate) struct World {
    app: Arc<App>,
    server: Server,
    lines: Vec<Line>,
    closers: Vec<JoinHandle<()>>,
    rng: SmallRng,
}

/// What is new about the people in a room is told by then.
const FOLDED: Duration = Duration::from_millis(51);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let app = Arc::new(App::new(Plan::draw(&mut rng), rng.fork()));
        Self { server: app.serve(), app, lines: Vec::new(), closers: Vec::new(), rng }
    }

    pub(crate) fn trace(&self) -> Arc<Trace> {
        Arc::clone(&self.app.trace)
    }

    /// Lets things happen, shuts the server down and checks everything.
    pub(crate) async fn run(mut self) -> Vec<Event> {
        if self.app.plan.size == Size::Large {
            self.dial_all();
        }
        for step in 0..self.app.plan.steps {
            if self.app.plan.closes_at_step == Some(step) {
                self.close_beside();
            }
            self.step();
            self.app.truth.deadlines.check();
            if self.app.plan.hears_of_people() && self.rng.random_bool(0.1) {
                self.check_people().await;
            }
            if self.rng.random_bool(0.4) {
                let longest = if self.rng.random_bool(0.1) { 1_000 } else { 20 };
                sleep(ms(self.rng.random_range(0..longest))).await;
            }
        }
        self.close_beside();
        for closer in self.closers {
            closer.await.unwrap();
        }
        let clients = self.lines.iter().filter(|line| !line.client.is_finished()).count();
        assert_eq!(Handle::current().metrics().num_alive_tasks(), clients, "tasks are left");
        check_closed(&self.app, &self.server);

        let (orders, clients): (Vec<_>, Vec<_>) =
            self.lines.into_iter().map(|line| (line.orders, line.client)).unzip();
        drop(orders);
        let mut seen = Vec::new();
        for client in clients {
            seen.extend(client.await.unwrap());
        }
        check_life(&self.app, seen).await;
        self.app.connections.lock().unwrap().clear();
        drop(self.server);
        assert_eq!(Arc::strong_count(&self.app), 1, "something of the server is left");
        self.app.trace.take()
    }

    /// If nobody comes or goes for a while, what was told of the people is so.
    async fn check_people(&self) {
        let before = self.app.truth.people_now();
        sleep(FOLDED).await;
        if before != self.app.truth.people_now() || self.server.is_draining() {
            return;
        }
        for (room, names) in before.0.iter().enumerate() {
            if let Ok(snapshot) = self.server.room(room.to_string()).presence() {
                let told = snapshot.people.iter().map(|it| (name_of(&it.id), it.state)).collect();
                assert_eq!(*names, told, "in room {room}");
            }
        }
    }

    fn step(&mut self) {
        let id = self.rng.random_range(0..self.app.plan.ids);
        let kind = self.rng.random_range(0..1_000);
        self.app.trace.note(Who::World, "step", kind);
        match kind {
            0..250 => self.dial(id, Duration::ZERO),
            250..285 => self.change_rooms(id),
            285..290 => self.renew(id),
            290..420 => self.order(|rng| Order::Say(rng.random_range(1..50))),
            420..440 => self.order(|rng| Order::Flood(rng.random_range(50..400))),
            440..470 => self.order(|_| Order::Misbehave),
            470..550 => self.order(|rng| Order::Break(draw_break(rng))),
            550..590 => self.order(|_| Order::Leave),
            590..640 => self.order(|rng| Order::Dawdle(ms(rng.random_range(1..900)))),
            640..700 => self.break_and_return_in_time(id),
            700..780 => self.send(id),
            780..800 => self.ask(id),
            800..930 => self.broadcast(id),
            930..960 => drop(self.server.kick(&id.to_string())),
            960..990 => {
                if let Some(connection) = self.server.connection(&id.to_string()) {
                    connection.close();
                }
            }
            _ if self.app.plan.size == Size::Large => self.break_all_and_return(),
            _ => self.dial_twice(id),
        }
    }

    fn send(&mut self, id: usize) {
        if let Some(connection) = self.server.connection(&id.to_string()) {
            (0..self.rng.random_range(1..20)).for_each(|_| self.app.send(&connection));
        }
    }

    /// Somebody asks beside all callbacks, and waits for longer than anything lasts.
    fn ask(&mut self, id: usize) {
        let Some(connection) = self.server.connection(&id.to_string()) else { return };
        for _ in 0..self.rng.random_range(1..4) {
            let (app, connection) = (Arc::clone(&self.app), connection.clone());
            let time = if self.rng.random_bool(0.5) { ms(100) } else { Duration::from_hours(1) };
            drop(tokio::spawn(async move { app.ask(&connection, time).await }));
        }
    }

    fn change_rooms(&mut self, id: usize) {
        let Some(connection) = self.server.connection(&id.to_string()) else { return };
        for _ in 0..self.rng.random_range(1..6) {
            let room = any_room(&self.app.plan, &mut self.rng);
            if self.rng.random_bool(0.6) {
                crowd::join(&self.app, &connection, room);
            } else {
                crowd::leave(&self.app, &connection, room);
            }
        }
        crowd::check(&self.server, &self.app.plan);
    }

    fn renew(&mut self, id: usize) {
        if let Some(connection) =
            self.server.connection(&id.to_string()).filter(|_| self.app.plan.expires)
        {
            let time = ms(self.rng.random_range(1..3_000));
            self.app.truth.deadlines.renew(&connection, time);
        }
    }

    fn broadcast(&mut self, id: usize) {
        let whom = Whom::draw(&self.app.plan, &mut self.rng);
        let excluded = self.server.connection(&id.to_string());
        let excluded = excluded.filter(|_| self.rng.random_bool(0.3));
        for _ in 0..self.rng.random_range(1..10) {
            self.app.broadcast(&self.server, &whom, excluded.as_ref());
        }
    }

    fn dial(&mut self, id: usize, after: Duration) {
        let (orders, received) = unbounded_channel();
        let dialer = Dialer {
            app: Arc::clone(&self.app),
            server: self.server.clone(),
            id,
            room: self.rng.random_range(0..self.app.plan.rooms),
            after,
            time: self.app.plan.draw_time(&mut self.rng),
            number: self.lines.len(),
            exchanges: self.app.plan.draw_exchange(&mut self.rng),
            character: Character::draw(&self.app.plan, &mut self.rng),
            orders: received,
            rng: self.rng.fork(),
        };
        self.lines.push(Line { orders, client: tokio::spawn(dialer.run()) });
    }

    fn dial_all(&mut self) {
        for id in 0..self.app.plan.ids {
            let after = ms(self.rng.random_range(0..60));
            self.dial(id, after);
        }
    }

    fn dial_twice(&mut self, id: usize) {
        self.dial(id, Duration::ZERO);
        self.dial(id, Duration::ZERO);
    }

    /// Somebody comes back just when the resume window of a loss now would end.
    fn break_and_return_in_time(&mut self, id: usize) {
        self.order(|rng| Order::Break(draw_break(rng)));
        let window = self.app.plan.resume_window;
        let around = ms(self.rng.random_range(0..3));
        self.dial(id, (window + around).saturating_sub(ms(1)));
    }

    fn break_all_and_return(&mut self) {
        for line in 0..self.lines.len() {
            let order = Order::Break(draw_break(&mut self.rng));
            let _ = self.lines[line].orders.send(order);
        }
        self.dial_all();
    }

    fn order(&mut self, order: impl FnOnce(&mut SmallRng) -> Order) {
        if !self.lines.is_empty() {
            let newest = self.lines.len().saturating_sub(2 * self.app.plan.ids);
            let line = self.rng.random_range(newest..self.lines.len());
            // It may have gone already.
            let _ = self.lines[line].orders.send(order(&mut self.rng));
        }
    }

    /// Closes or drains the server, once or twice at the same time, while everything else goes on.
    fn close_beside(&mut self) {
        for _ in 0..self.rng.random_range(1..=2) {
            let (server, longest) = (self.server.clone(), closing_time_max(&self.app.plan));
            let window = self.app.plan.drain_window;
            let drains = !window.is_zero() && self.rng.random_bool(0.8);
            if !drains {
                self.app.truth.drained.cut_short();
            }
            self.closers.push(tokio::spawn(async move {
                let started = Instant::now();
                if drains {
                    server.drain(window).await;
                } else {
                    server.close().await;
                }
                let took = started.elapsed();
                assert!(took <= longest, "the shutdown took {took:?}");
            }));
        }
    }
}

fn draw_break(rng: &mut SmallRng) -> Break {
    match rng.random_range(0..4) {
        0 => Break::End,
        1 => Break::Reset,
        2 => Break::After(rng.random_range(1..200)),
        _ => Break::Silence,
    }
}
