//! One client with a session, which comes to another node at each attempt to connect.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wspulse_client::{Client, ConfigError, Frame, Proxy, SessionStart, Target};

use super::cut::Scissors;
use super::doors::Doors;
use super::hearing::Hearing;
use super::order::Own;
use crate::cluster::order::{LOST, LOST_ON_THE_WAY, OWN, Payload, SAID, room};

/// How long to wait before coming again: the bounds of a random time, which doubles.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// There are thousands of them in a process.
const READ_BYTES: usize = 4 * 1024;

/// Longer than anything stands still in any case, at the pace at which they send.
const OUTBOX_MESSAGES_MAX: usize = 4 * 1024;

/// When it takes a node for dead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// After so long without a sign of life it asks for one, and waits as long again.
    pub(super) silence: Duration,
    /// So long an attempt to connect may take: a node that stands still takes connections, and says
    /// nothing.
    pub(super) connect: Duration,
}

/// What all of a process have in common.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) doors: Doors,
    pub(super) scissors: Scissors,
}

/// Such a client.
#[derive(Debug)]
pub(super) struct Traveller {
    pub(super) room: u32,
    client: Client,
    pub(super) life: Arc<Mutex<Life>>,
}

/// What has become of it so far.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) hearing: Hearing,
    /// At which node it is, or to which it came last.
    pub(super) place: usize,
    /// How often it has tried to connect.
    attempts: usize,
    pub(super) is_here: bool,
    away_since: Option<Instant>,
    pub(super) away_ms: Vec<u32>,
    pub(super) resumed: u32,
    pub(super) anew: u32,
    /// Why its client has ended, or had no session, if so.
    pub(super) failed: Option<String>,
    /// It has sent its last, and not heard of it.
    pub(super) is_waiting: bool,
    pub(super) own: Own,
}

impl Traveller {
    /// It begins to come, to the node of this place first.
    pub(super) fn set_out(
        number: u32,
        in_room: u32,
        place: usize,
        patience: Patience,
        world: &Arc<World>,
    ) -> Result<Self, ConfigError> {
        let own = Own { client: number, ..Own::default() };
        let life = Arc::new(Mutex::new(Life::new(place, own)));
        let target = {
            let (life, world) = (Arc::clone(&life), Arc::clone(world));
            move || std::future::ready(life.lock().next_target(number, in_room, &world.doors))
        };
        let world = Arc::clone(world);
        let of = |life: &Arc<Mutex<Life>>| Arc::clone(life);
        let (here, gone, heard, lost, ended) =
            (of(&life), of(&life), of(&life), of(&life), of(&life));
        let (client, messages) = Client::builder_with(target)
            .proxy(Proxy::None)
            .connector(move |address| {
                let world = Arc::clone(&world);
                async move {
                    let host = address.host.parse().map_err(io::Error::other)?;
                    world.scissors.connect((std::net::IpAddr::V4(host), address.port).into()).await
                }
            })
            .backoff(BACKOFF, BACKOFF_MAX)
            .connect_timeout(patience.connect)
            .silence(patience.silence)
            .probe_timeout(patience.silence)
            .read_buffer_bytes(READ_BYTES)
            .outbox_messages_max(OUTBOX_MESSAGES_MAX)
            .on_session(move |session, _| here.lock().arrive(session))
            .on_disconnected(move |_| gone.lock().depart())
            .on_message(move |frame| heard.lock().hear(&frame))
            .on_lost(move |frame| lost.lock().lose_own(&frame))
            .on_ended(move |cause| ended.lock().fail(&cause))
            .connect()?;
        // All is told by the callbacks.
        drop(messages);
        Ok(Self { room: in_room, client, life })
    }

    /// Sends one more, and does not wait for it. None goes while too many wait.
    pub(super) fn post(&self) {
        let mut life = self.life.lock();
        let number = life.own.sent + 1;
        if self.client.post(own_frame(life.own.client, number)).is_ok() {
            life.own.sent = number;
        }
    }

    /// Sends its last, and waits until that is handled or told as lost, and so all before it.
    pub(super) fn post_last(&self) {
        let (client, life) = (self.client.clone(), Arc::clone(&self.life));
        let frame = {
            let mut life = life.lock();
            life.own.sent += 1;
            life.is_waiting = true;
            own_frame(life.own.client, life.own.sent)
        };
        tokio::spawn(async move {
            let number = frame.clone();
            let sent = client.send(frame).await;
            let mut life = life.lock();
            if sent.is_err() {
                life.lose_own(&number);
            }
            life.is_waiting = false;
        });
    }
}

fn own_frame(client: u32, number: u32) -> Frame {
    Frame::new(OWN).json(&(client, number)).expect("numbers are JSON")
}

impl Life {
    fn new(place: usize, own: Own) -> Self {
        Self {
            hearing: Hearing::default(),
            place,
            attempts: 0,
            is_here: false,
            away_since: None,
            away_ms: Vec::new(),
            resumed: 0,
            anew: 0,
            failed: None,
            is_waiting: false,
            own,
        }
    }

    fn next_target(
        &mut self,
        number: u32,
        in_room: u32,
        doors: &Doors,
    ) -> Result<Target, Box<dyn std::error::Error + Send + Sync>> {
        let door = match self.attempts {
            0 => doors.at(self.place),
            // The others take turns, and clients of one node go to different ones.
            attempts => doors.elsewhere(self.place, number as usize + attempts),
        };
        self.attempts += 1;
        let (place, address) = door.ok_or("all doors are shut")?;
        self.place = place;
        Ok(Target::new(format!("ws://{address}/ws?room={}&id=client-{number}", room(in_room))))
    }

    fn arrive(&mut self, session: SessionStart) {
        let is_first = !self.is_here && self.away_since.is_none();
        match session {
            SessionStart::Resumed => self.resumed += 1,
            SessionStart::New if is_first => {}
            SessionStart::New => {
                self.anew += 1;
                self.hearing.begin_anew();
            }
            SessionStart::Plain | _ => self.fail(&"no session"),
        }
        if let Some(since) = self.away_since.take() {
            self.away_ms.push(u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX));
        }
        self.is_here = true;
    }

    fn fail(&mut self, cause: &dyn fmt::Display) {
        self.is_here = false;
        self.failed.get_or_insert_with(|| cause.to_string());
    }

    fn depart(&mut self) {
        self.is_here = false;
        self.away_since.get_or_insert_with(Instant::now);
    }

    fn hear(&mut self, frame: &Frame) {
        let payload = frame.payload();
        let Payload(origin, number, ..) =
            serde_json::from_slice(payload).expect("a node says what it is told to");
        match frame.event() {
            SAID => self.hearing.hear(origin, number),
            LOST => self.hearing.lose(origin, number),
            LOST_ON_THE_WAY => self.hearing.lose_on_the_way(origin, number),
            other => panic!("nobody says {other:?}"),
        }
    }

    fn lose_own(&mut self, frame: &Frame) {
        let (_, number) = frame.to_json::<(u32, u32)>().expect("it is a frame of its own");
        self.own.told.push(number);
    }
}
