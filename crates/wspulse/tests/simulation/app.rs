//! The application: callbacks that answer, dawdle, hang, panic and call back into their server.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep};
use wspulse::{
    Admission, ConnectRequest, Connection, Frame, Outgoing, Rejection, RequestError, Room,
    SendError, Server,
};

use super::crowd::{self, Memberships, Whom, any_room, user_of};
use super::exchange::Clients;
use super::heard::Numbered;
use super::histories::Mark;
use super::hooks::{Counting, Totals};
use super::journal::{Life, Said, Told, life};
use super::ledger::{Entry, unlisted};
use super::moods::{Act, Manner, Mood};
use super::plan::Plan;
use super::trace::{Trace, Who};
use super::truth::Truth;

/// What callbacks, clients and the scenario share.
pub(crate) struct App {
    pub(crate) plan: Plan,
    pub(crate) totals: Arc<Totals>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) truth: Arc<Truth>,
    pub(crate) clients: Clients,
    rng: Mutex<SmallRng>,
    /// Every connection that `on_connect` has seen.
    pub(crate) connections: Mutex<Vec<Connection>>,
    admissions: AtomicUsize,
    /// By client.
    pub(crate) admitted_until: Mutex<BTreeMap<usize, Instant>>,
    pub(crate) transports: AtomicUsize,
    /// Frames are numbered as they are made, so that order can be seen.
    frames: AtomicUsize,
    pub(crate) rejected: AtomicUsize,
    /// How many members broadcasts have reached.
    pub(crate) offered: AtomicUsize,
    /// Messages that clients did not mean to send: bytes that happen to make sense.
    pub(crate) strays: AtomicUsize,
}

/// The text of panics that are meant to be.
pub(crate) const PANIC: &str = "of the simulation";

impl App {
    pub(crate) fn new(plan: Plan, rng: SmallRng) -> Self {
        Self {
            truth: Arc::new(Truth::new(&plan)),
            plan,
            clients: Clients::default(),
            totals: Arc::default(),
            trace: Arc::new(Trace::begin()),
            rng: Mutex::new(rng),
            connections: Mutex::default(),
            admissions: AtomicUsize::new(0),
            admitted_until: Mutex::default(),
            transports: AtomicUsize::new(0),
            frames: AtomicUsize::new(0),
            rejected: AtomicUsize::new(0),
            offered: AtomicUsize::new(0),
            strays: AtomicUsize::new(0),
        }
    }

    /// The server of this application.
    pub(crate) fn serve(self: &Arc<Self>) -> Server {
        let app = Arc::clone(self);
        let builder = Server::builder(move |request| Arc::clone(&app).admit(request));
        let [opening, messaging, dropping, restoring, leaving] = [(); 5].map(|()| Arc::clone(self));
        let counting = Counting {
            totals: Arc::clone(&self.totals),
            trace: Arc::clone(&self.trace),
            truth: Arc::clone(&self.truth),
        };
        let (plan, hears) = (self.plan.clone(), Arc::clone(&self.truth));
        self.plan
            .configure(builder)
            .metrics(counting)
            .room_options(move |room| plan.room_options(room))
            .on_presence(move |room, changes| hears.presence_changed(room.id(), &changes))
            .on_connect(move |connection: Connection| {
                opening.connections.lock().unwrap().push(connection.clone());
                Arc::clone(&opening).call(connection, Some(Told::Connect))
            })
            .on_message(move |connection, frame: Frame| {
                let told = Said::parse(frame.event()).map(Told::Message);
                messaging.reply(&connection, &frame);
                Arc::clone(&messaging).call(connection, told)
            })
            .on_transport_drop(move |connection, cause| {
                let number = life(&connection).number;
                dropping.trace.note(Who::Connection(number), cause.to_string(), 0);
                Arc::clone(&dropping).call(connection, Some(Told::Drop))
            })
            .on_transport_restore(move |connection, _| {
                Arc::clone(&restoring).call(connection, Some(Told::Restore))
            })
            .on_join(|connection: Connection, room: Room| {
                life(&connection).enter_shortly();
                life(&connection).memberships.told_in(room.id());
            })
            .on_leave(|connection: Connection, room: Room| {
                life(&connection).enter_shortly();
                life(&connection).memberships.told_out(room.id());
            })
            .on_disconnect(move |connection, end| {
                let number = life(&connection).number;
                leaving.trace.note(Who::Connection(number), end.to_string(), 0);
                Arc::clone(&leaving).call(connection, Some(Told::Disconnect(end)))
            })
            .build()
            .unwrap()
    }

    async fn admit(self: Arc<Self>, request: ConnectRequest) -> Result<Admission, Rejection> {
        let (room, id) = (request.query("room").unwrap(), request.query("id").unwrap());
        let (is_odd, is_refused, manner, also_in) = {
            let mut rng = self.rng.lock().unwrap();
            let is_odd = rng.random_range(0..1_000) < self.plan.odd_admissions;
            let is_elsewhere = self.plan.counts_frames() && rng.random_bool(0.3);
            let also_in = is_elsewhere.then(|| any_room(&self.plan, &mut rng));
            (is_odd, rng.random_bool(0.3), Manner::draw(&self.plan, &mut rng), also_in)
        };
        if is_odd && is_refused {
            return Err(Rejection::unauthorized());
        }
        if is_odd {
            finish(manner).await;
        }
        let number = self.admissions.fetch_add(1, Ordering::Relaxed);
        let (home, user) = (room.parse().unwrap(), user_of(&id));
        let memberships = Memberships::new([home].into_iter().chain(also_in), user);
        let admission = Admission::room(&*room).also_in(also_in.map(|room| room.to_string()));
        let admission = admission.id(&*id).data(Life::new(number, memberships));
        let admission = match user {
            Some(user) => admission.user(user.to_string()),
            None => admission,
        };
        let Some(time) = self.admitted_for(&request) else { return Ok(admission) };
        Ok(admission.expires_in(time))
    }

    /// Until when a client may stay, by what its request says; it is noted for the client.
    fn admitted_for(&self, request: &ConnectRequest) -> Option<Duration> {
        let time = Duration::from_millis(request.query("time")?.parse().unwrap());
        let client = request.query("client").unwrap().parse().unwrap();
        self.admitted_until.lock().unwrap().insert(client, Instant::now() + time);
        Some(time)
    }

    async fn call(self: Arc<Self>, connection: Connection, told: Option<Told>) {
        let life = life(&connection);
        let what = told.as_ref().map_or("told stray", Told::name);
        self.trace.note(Who::Connection(life.number), what, 0);
        let inside = told.map(|told| life.enter(told));
        if inside.is_none() {
            self.strays.fetch_add(1, Ordering::Relaxed);
        }
        let mood = Mood::draw(&self.plan, &mut self.rng.lock().unwrap());
        self.act(&connection, mood.act).await;
        finish(mood.manner).await;
        drop(inside);
    }

    /// What a new connection has heard of the rooms that it was admitted to.
    pub(crate) fn give_first_histories(&self, connection: &Connection) {
        let home = connection.room_id().parse().unwrap();
        let rooms = life(connection).memberships.first_rooms(home);
        match &rooms[..] {
            [room] if !self.plan.counts_frames() => {
                self.truth.give_history(connection, *room, None);
            }
            rooms => self.truth.give_histories(connection, rooms, self.plan.send_buffer),
        }
        assert_eq!(unlisted(connection), 0, "more than it should");
    }

    async fn act(&self, connection: &Connection, act: Act) {
        let server = connection.server();
        match act {
            Act::Nothing => {}
            Act::Send => self.send(connection),
            Act::SendTo(id) => {
                if let Some(other) = server.connection(&id.to_string()) {
                    self.send(&other);
                }
            }
            Act::Broadcast => self.broadcast(server, &home(connection), None),
            Act::BroadcastToOthers => {
                self.broadcast(server, &home(connection), Some(connection));
            }
            Act::Ask(time) => self.ask(connection, time).await,
            Act::Join(room) => crowd::join(self, connection, room),
            Act::Leave(room) => crowd::leave(self, connection, room),
            Act::Renew(time) => self.truth.deadlines.renew(connection, time),
            Act::ResendPresence(room) => drop(connection.resend_presence(&room.to_string())),
            Act::CloseItself => connection.close(),
            Act::Kick(id) => drop(server.kick(&id.to_string())),
            Act::List => {
                let members = server.connections(connection.room_id());
                assert!(members.len() <= server.all_connections().len());
            }
            Act::CloseServer => {
                self.truth.drained.cut_short();
                server.close().await;
            }
        }
    }

    pub(crate) fn send(&self, connection: &Connection) {
        let (number, frame, _) = self.next_frame();
        match connection.send(frame) {
            Ok(()) => accept(connection, number),
            Err(SendError::Full { .. }) => drop(self.rejected.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {}
        }
    }

    /// Answers a message that asks.
    fn reply(&self, connection: &Connection, asked: &Frame) {
        let Some(said) = Said::parse(asked.id()) else { return };
        match connection.reply(asked, Frame::default()) {
            Ok(()) => life(connection).ledger.accept(Entry::Reply(said)),
            Err(SendError::Full { .. }) => drop(self.rejected.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {}
        }
    }

    /// Asks the client, and waits for its answer, whatever that comes to.
    pub(crate) async fn ask(&self, connection: &Connection, time: Duration) {
        let (number, frame, _) = self.next_frame();
        let mut asking = pin!(connection.request(frame.frame).within(time));
        // It is sent at the first poll, and accepted in the order of all frames.
        let first = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx))).await;
        let answer = match first {
            Poll::Ready(Err(RequestError::NotSent(SendError::Full { .. }))) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Poll::Ready(Err(error)) if error.to_string().contains("not sent") => return,
            Poll::Ready(answer) => {
                accept(connection, number);
                answer
            }
            Poll::Pending => {
                accept(connection, number);
                asking.await
            }
        };
        let told = answer.map_or_else(|error| error.to_string(), |_| "answered".to_owned());
        self.trace.note(Who::Connection(life(connection).number), told, number);
    }

    /// To all of these, or to all but one.
    pub(crate) fn broadcast(&self, server: &Server, whom: &Whom, excluded: Option<&Connection>) {
        let excluded = excluded.filter(|_| whom.can_exclude());
        let members = whom.members(server);
        let (number, frame, mark) = self.next_frame();
        let result = self.truth.broadcast(|| whom.broadcast(server, excluded, frame));
        if let Ok(fan_out) = result {
            self.offered.fetch_add(fan_out.reached, Ordering::Relaxed);
            let room = whom.named().filter(|_| self.plan.names_rooms);
            let frame = Numbered { number, room };
            for member in members.iter().filter(|member| excluded != Some(member)) {
                // Who lacks a frame that was promised gets no more, and ends.
                if self.plan.is_promised() && unlisted(member) == 0 {
                    life(member).lack();
                } else {
                    life(member).ledger.accept(Entry::Frame(frame));
                }
            }
            self.truth.record(whom.rooms(), frame, mark);
        }
    }

    /// A frame with its number as its event, large now and then. Some have a key, the same for all:
    /// frames with different keys may change places. Some are volatile.
    fn next_frame(&self) -> (usize, Outgoing, Mark) {
        let number = self.frames.fetch_add(1, Ordering::Relaxed);
        let frame = Frame::new(number.to_string());
        let frame = if number % 16 == 15 { frame.json(&"x".repeat(200)).unwrap() } else { frame };
        match number % 8 {
            1 | 6 => (number, frame.conflate("state"), Mark::Keyed),
            3 => (number, frame.volatile(), Mark::Volatile),
            _ => (number, frame.into(), Mark::None),
        }
    }
}

/// A frame that is no room's.
fn accept(connection: &Connection, number: usize) {
    life(connection).ledger.accept(Entry::Frame(Numbered { number, room: None }));
}

fn home(connection: &Connection) -> Whom {
    Whom::Room(connection.room_id().parse().unwrap())
}

async fn finish(manner: Manner) {
    match manner {
        Manner::AtOnce => {}
        Manner::After(time) => sleep(time).await,
        Manner::Never => pending::<()>().await,
        Manner::Panicking => panic!("{PANIC}"),
    }
}

/// The connection of an id, and those that have ended before it and still run callbacks.
const LAST_CALLBACKS_OF_ONE_ID_MAX: u32 = 1 + 4;

/// How long a server may take to close: callbacks have the drain timeout, and the last one of each
/// connection has it once more. Those of one id run one after the other, and they are few.
pub(crate) fn closing_time_max(plan: &Plan) -> Duration {
    (1 + LAST_CALLBACKS_OF_ONE_ID_MAX) * plan.drain_timeout + plan.drain_window
}
