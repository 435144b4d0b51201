//! `Seat`: one client of a run, from its first attempt to its end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use parking_lot::Mutex;
use tokio::sync::Notify;
use wspulse_client::rustls::ClientConfig;
use wspulse_client::{
    Client, ConfigError, Event, Frame, Messages, Proxy, SessionStart, Sessions, Target,
};

use crate::ledger::{Copy, Ledger};
use crate::mark::{Mark, Marks};
use crate::plan::{FanOut, Plan, Protocol};
use crate::road::{Road, Scissors};
use crate::tally::Tally;
use crate::template::{Fields, Template};
use crate::whole::Whole;

/// The longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How many frames of a client may wait to be handled, and how many bytes: as much as its sender may
/// be ahead of a slow server before messages are counted as unsent.
const OUTBOX_MESSAGES_MAX: usize = 4096;
const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a client reads at a time: a few messages, so that thousands of clients find room in memory, and
/// one read is enough where a message comes alone.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 128 * 1024;
/// What a server may put around a message when it passes it on.
const ENVELOPE_BYTES: usize = 1024;

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) tally: Tally,
    pub(crate) marks: Marks,
    pub(crate) road: Road,
    pub(crate) trust: Arc<ClientConfig>,
    pub(crate) rooms: Vec<Room>,
    /// When the first message is due: what times in marks are counted from.
    pub(crate) sending_at: OnceLock<Instant>,
    /// A client has become ready, or has ended.
    pub(crate) changed: Notify,
}

/// A room of a run.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: String,
    /// Clients in it that copies are expected by.
    pub(crate) members: AtomicUsize,
}

/// A client of a run.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) number: usize,
    stage: Arc<Stage>,
    client: OnceLock<Client>,
    scissors: Scissors,
    is_ready: AtomicBool,
    /// It was ready when the sending began, so that copies are expected by it.
    is_member: AtomicBool,
    connect_due_at: Instant,
    /// Since when it has had no connection.
    down_at: Mutex<Option<Instant>>,
}

impl Seat {
    /// Starts the client, which was to connect at this instant.
    pub(crate) fn take(
        stage: &Arc<Stage>,
        number: usize,
        connect_due_at: Instant,
    ) -> Result<(Arc<Self>, Messages), ConfigError> {
        let seat = Arc::new(Self {
            number,
            stage: Arc::clone(stage),
            client: OnceLock::new(),
            scissors: Scissors::default(),
            is_ready: AtomicBool::new(false),
            is_member: AtomicBool::new(false),
            connect_due_at,
            down_at: Mutex::new(None),
        });
        let plan = &stage.plan;
        let mut target = Target::new(seat.text(&plan.url));
        for (name, value) in &plan.headers {
            target = target.header(name, seat.text(value));
        }
        for protocol in &plan.subprotocols {
            target = target.protocol(seat.text(protocol));
        }
        let sessions = match plan.protocol {
            Protocol::Plain => Sessions::Never,
            Protocol::Wspulse => Sessions::Require,
        };
        let on_road = Arc::clone(&seat);
        let (client, messages) = Client::builder(target)
            .codec(Whole)
            .sessions(sessions)
            .connect_timeout(plan.connect_timeout)
            .attempts_max(plan.attempts)
            .backoff(plan.backoff.min(BACKOFF_MAX), BACKOFF_MAX)
            .read_buffer_bytes(
                (plan.message_bytes + ENVELOPE_BYTES).clamp(READ_BYTES_MIN, READ_BYTES_MAX),
            )
            .outbox_messages_max(OUTBOX_MESSAGES_MAX)
            .outbox_bytes_max(OUTBOX_BYTES_MAX)
            .proxy(Proxy::None)
            .tls_config(Arc::clone(&stage.trust))
            .connector(move |address| {
                let seat = Arc::clone(&on_road);
                async move { seat.stage.road.open(address, &seat.scissors).await }
            })
            .on_message(seat.receiver())
            .connect()?;
        // It was empty, and nobody else fills it.
        let _ = seat.client.set(client);
        Ok((seat, messages))
    }

    fn text(&self, template: &Template) -> String {
        template.fill(&self.fields())
    }

    fn fields(&self) -> Fields<'_> {
        let Stage { plan, marks, rooms, .. } = &*self.stage;
        Fields {
            n: self.number,
            room: &rooms[plan.room_of(self.number)].name,
            token: plan.token_of(self.number),
            run: marks.run(),
            ..Fields::default()
        }
    }

    fn room(&self) -> &Room {
        &self.stage.rooms[self.stage.plan.room_of(self.number)]
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// From now on copies are expected by this client.
    pub(crate) fn expect_copies(&self) {
        self.is_member.store(true, Ordering::Release);
        self.room().members.fetch_add(1, Ordering::AcqRel);
    }

    /// What is done with each message that comes.
    fn receiver(self: &Arc<Self>) -> impl FnMut(Frame) + Send + 'static {
        let seat = Arc::clone(self);
        let mut ledger = Ledger::default();
        let ready = seat.stage.plan.ready.as_ref().map(|ready| seat.text(ready));
        let ready = ready.map(|ready| Finder::new(&ready).into_owned());
        move |frame| {
            let now = Instant::now();
            let message = frame.payload();
            let tally = &seat.stage.tally;
            tally.bytes_received.add(message.len() as u64);
            if let Some(mark) = seat.stage.marks.find(message) {
                seat.receive(mark, now, &mut ledger);
                return;
            }
            tally.other.add(1);
            if ready.as_ref().is_some_and(|ready| ready.find(message).is_some()) {
                seat.get_ready();
            }
        }
    }

    fn receive(&self, mark: Mark, now: Instant, ledger: &mut Ledger) {
        let Stage { plan, tally, sending_at, .. } = &*self.stage;
        let is_meant = match plan.fan_out {
            FanOut::Unknown => true,
            FanOut::Echo => mark.sender == self.number,
            FanOut::Room => plan.room_of(mark.sender) == plan.room_of(self.number),
            FanOut::Others => {
                plan.room_of(mark.sender) == plan.room_of(self.number) && mark.sender != self.number
            }
        };
        if !is_meant || !self.is_member.load(Ordering::Acquire) {
            tally.stray.add(1);
            return;
        }
        match ledger.note(mark) {
            Copy::Duplicate => {
                tally.duplicates.add(1);
                return;
            }
            Copy::Late => tally.late.add(1),
            Copy::First => {}
        }
        tally.received.add(1);
        if let Some(sending_at) = sending_at.get() {
            let due_at = *sending_at + Duration::from_micros(mark.due_micros);
            tally.record_latency(self.number, now.saturating_duration_since(due_at));
        }
    }

    /// Sends the how manyth message of this client, which was due so long after the start.
    pub(crate) fn send(&self, seq: u64, due: Duration, fill: &str) {
        let Stage { plan, tally, marks, .. } = &*self.stage;
        let due_micros = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
        let mark = marks.write(Mark { sender: self.number, seq, due_micros });
        let mut fields = Fields { seq, mark: &mark, ..self.fields() };
        let bare = plan.message.fill(&fields);
        let missing = plan.message_bytes.saturating_sub(bare.len()).min(fill.len());
        fields.fill = &fill[..missing];
        let text = if missing > 0 { plan.message.fill(&fields) } else { bare };
        let bytes = text.len() as u64;
        // Before it is sent: its copies may be here before the next line.
        let copies = self.copies();
        tally.expected.add(copies);
        if self.post(text) {
            tally.sent.add(1);
            tally.bytes_sent.add(bytes);
        } else {
            tally.expected.subtract(copies);
            tally.unsent.add(1);
        }
    }

    /// How many copies of a message of this client should come.
    fn copies(&self) -> u64 {
        let members = || self.room().members.load(Ordering::Acquire) as u64;
        let is_member = || u64::from(self.is_member.load(Ordering::Acquire));
        match self.stage.plan.fan_out {
            FanOut::Echo => is_member(),
            FanOut::Room => members(),
            FanOut::Others => members().saturating_sub(is_member()),
            FanOut::Unknown => 0,
        }
    }

    fn post(&self, text: String) -> bool {
        let frame = Frame::new("").with_payload(text);
        self.client.get().is_some_and(|client| client.post(frame).is_ok())
    }

    /// Cuts the connection.
    pub(crate) fn cut(&self) {
        if self.scissors.cut() {
            self.stage.tally.cuts.add(1);
            *self.down_at.lock() = Some(Instant::now());
        }
    }

    pub(crate) async fn close(&self) {
        if let Some(client) = self.client.get() {
            client.close().await;
        }
    }

    /// Goes along with the client until its end.
    pub(crate) async fn live(self: Arc<Self>, mut messages: Messages) {
        let tally = &self.stage.tally;
        let mut sessions = 0_u64;
        let mut is_open = false;
        // The first attempt behind a loss has the loss as its cause.
        let mut is_lost = false;
        while let Some(event) = messages.next().await {
            match event {
                Event::Session { session, .. } => {
                    is_open = true;
                    self.greet(session, sessions);
                    sessions += 1;
                }
                Event::Disconnected { cause, .. } => {
                    (is_open, is_lost) = (false, true);
                    tally.open.subtract(1);
                    tally.disconnects.add(1);
                    tally.count_cause(&format!("connection lost: {cause}"));
                    self.down_at.lock().get_or_insert_with(Instant::now);
                }
                Event::Reconnecting { .. } if std::mem::take(&mut is_lost) => {}
                Event::Reconnecting { cause, .. } => {
                    tally.attempts_failed.add(1);
                    tally.count_cause(&cause.to_string());
                }
                Event::Unsent { .. } => {
                    tally.sent.subtract(1);
                    tally.unsent.add(1);
                }
                Event::Lost(_) => tally.unknown.add(1),
                Event::Ended { cause, .. } => {
                    tally.count_cause(&format!("ended: {cause}"));
                }
                // Messages have a callback; what is new in later versions tells nothing that is counted.
                Event::Message(_) | Event::Undecodable(_) | _ => {}
            }
        }
        if is_open {
            tally.open.subtract(1);
        }
        if self.is_member.load(Ordering::Acquire) {
            self.room().members.fetch_sub(1, Ordering::AcqRel);
        }
        tally.ended.add(1);
        self.stage.changed.notify_one();
    }

    /// The client is connected, having been so before or not.
    fn greet(&self, session: SessionStart, sessions_before: u64) {
        let tally = &self.stage.tally;
        tally.open.add(1);
        let down_at = self.down_at.lock().take();
        if sessions_before > 0 {
            if let Some(down_at) = down_at {
                tally.reconnect.lock().record(down_at.elapsed());
            }
            if session == SessionStart::Resumed {
                tally.sessions_resumed.add(1);
            } else {
                tally.sessions_renewed.add(1);
            }
        }
        if session != SessionStart::Resumed {
            for hello in &self.stage.plan.hello {
                if !self.post(self.text(hello)) {
                    tally.count_cause("a hello was not taken: the outbox is full");
                }
            }
        }
        if self.stage.plan.ready.is_none() {
            self.get_ready();
        }
    }

    fn get_ready(&self) {
        if !self.is_ready.swap(true, Ordering::AcqRel) {
            let tally = &self.stage.tally;
            tally.connect.lock().record(self.connect_due_at.elapsed());
            tally.ready.add(1);
            self.stage.changed.notify_one();
        }
    }
}
