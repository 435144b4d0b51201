//! The load generator: many WebSocket clients on one thread.
//!
//! It reads with one buffer for all of them and looks at no more of a message than it must, so that
//! a core of it keeps up with any server here; its own processor time is in every report.

mod client;
mod dialect;
mod exchange;
mod inflating;
mod streams;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

pub(crate) use client::Buffers;
use client::{Client, Fault};
pub(crate) use dialect::{COUNT_REQUEST, Dialect, RAW_EXTRA_BYTES, RAW_PAYLOAD_AT};
pub(crate) use exchange::Ticket;
pub(crate) use inflating::Offer;
pub(crate) use streams::{Clients, TOGETHER, Way, run_clients};
pub(crate) use wire::{is_pong, text_frame, unmask_first};

/// Where a fleet connects to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) dialect: Dialect,
    pub(crate) offer: Offer,
}

/// Whom a client says it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) room: String,
    pub(crate) id: String,
    /// What finds its session, if it has one and the server wants more than its id.
    pub(crate) ticket: Option<Ticket>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("client {client}: {source}")]
    Io { client: usize, source: io::Error },
    #[error("client {client}: the server closed the connection")]
    Closed { client: usize },
    #[error("client {client}: {what}")]
    Protocol { client: usize, what: String },
    #[error("{what}: not reached within {} s", .within.as_secs())]
    Late { what: String, within: Duration },
    #[error(transparent)]
    Poll(#[from] io::Error),
}

/// How many clients are connecting at a time: few enough not to overflow a listener's backlog of
/// 4,096, enough to keep any server busy.
pub(crate) const CONNECTING_MAX: usize = 512;

/// How many sockets there may be, but for those that are connecting: a process often may have no
/// more than 20,000 descriptors, and the server has as many as this program.
const SOCKETS_MAX: usize = 19_000;

/// Where clients come back from.
const OTHER_NETWORK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One read's worth: more than any window of messages of a scenario.
const SCRATCH_BYTES: usize = 256 * 1024;

/// How long to look for events before sleeping. Real clients are on other machines; here it is the
/// server that would pay for waking them, at each message that finds the load generator asleep, and
/// in a virtual machine that costs more than the message.
const AWAKE: Duration = Duration::from_millis(1);

/// Clients of one server.
#[derive(Debug)]
pub(crate) struct Fleet {
    target: Target,
    /// Where clients connect to, one after the other.
    ports: Vec<u16>,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// What fell silent and lies there still, by the place of the client that it was.
    silent: HashMap<usize, Client>,
    scratch: Vec<u8>,
    ready: usize,
    /// Where clients connect from, if the kernel is not to choose.
    source: Option<Ipv4Addr>,
    /// How long to look for events before sleeping.
    awake: Duration,
}

impl Fleet {
    pub(crate) fn new(target: Target) -> io::Result<Self> {
        Ok(Self {
            target,
            ports: vec![target.port],
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            silent: HashMap::new(),
            scratch: vec![0; SCRATCH_BYTES],
            ready: 0,
            source: None,
            awake: AWAKE,
        })
    }

    /// Has clients connect in turn to this server as well, which is of the same kind.
    pub(crate) fn spread_to(&mut self, port: u16) {
        self.ports.push(port);
    }

    /// From now on whoever would have connected to one of several servers connects to the next.
    pub(crate) fn turn_to_others(&mut self) {
        self.ports.rotate_left(1);
    }

    /// Has it sleep at once where nothing is to do: others want the core.
    pub(crate) fn share_core(&mut self) {
        self.awake = Duration::ZERO;
    }

    /// Connects a client for each identity and returns when all of them are in their rooms.
    pub(crate) fn connect(
        &mut self,
        identities: impl IntoIterator<Item = Identity>,
        buffers: Buffers,
        within: Duration,
    ) -> Result<(), LoadError> {
        self.connect_watching(identities, buffers, within, &mut |_, _| {})
    }

    /// As [`connect`](Self::connect), and shows what the clients get meanwhile.
    pub(crate) fn connect_watching(
        &mut self,
        identities: impl IntoIterator<Item = Identity>,
        buffers: Buffers,
        within: Duration,
        on_delivery: &mut impl FnMut(usize, &[u8]),
    ) -> Result<(), LoadError> {
        let deadline = Instant::now() + within;
        let mut identities = identities.into_iter();
        let connecting_max = self.target.dialect.connecting_max();
        let mut more = true;
        while more || self.ready < self.clients.len() {
            while more && self.clients.len() - self.ready < connecting_max {
                match identities.next() {
                    Some(identity) => self.begin(&identity, buffers)?,
                    None => more = false,
                }
            }
            if Instant::now() > deadline {
                let what = format!("{} of {} clients ready", self.ready, self.clients.len());
                return Err(LoadError::Late { what, within });
            }
            self.turn(Duration::from_millis(100), on_delivery)?;
        }
        Ok(())
    }

    /// Handles what has come, waiting up to `timeout` for something; shows `on_delivery` each
    /// application payload with the client that got it.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        on_delivery: &mut impl FnMut(usize, &[u8]),
    ) -> Result<(), LoadError> {
        self.handle(timeout, on_delivery, &mut |index, _, fault| Err(fault.of(index)))
    }

    /// As [`turn`](Self::turn), with clients that the server closes: each answers, and `on_close` is
    /// shown what it was told.
    pub(crate) fn turn_parting(
        &mut self,
        timeout: Duration,
        on_delivery: &mut impl FnMut(usize, &[u8]),
        on_close: &mut impl FnMut(usize, &[u8]),
    ) -> Result<(), LoadError> {
        self.handle(timeout, on_delivery, &mut |index, client, fault| match fault {
            Fault::Told(close) => {
                on_close(index, &close);
                client.part(&close).map_err(|fault| fault.of(index))
            }
            Fault::Io(_) | Fault::Closed | Fault::Protocol(_) => Err(fault.of(index)),
        })
    }

    fn handle(
        &mut self,
        timeout: Duration,
        on_delivery: &mut impl FnMut(usize, &[u8]),
        on_fault: &mut impl FnMut(usize, &mut Client, Fault) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        self.wait(timeout)?;
        for event in &self.events {
            let Token(index) = event.token();
            let Some(client) = self.clients.get_mut(index) else { continue };
            let was_ready = client.is_ready();
            let dialect = self.target.dialect;
            if event.is_writable() {
                client.on_writable().map_err(|fault| fault.of(index))?;
            }
            if event.is_readable() || event.is_read_closed() {
                let read = client
                    .on_readable(dialect, &mut self.scratch, |payload| on_delivery(index, payload));
                if let Err(fault) = read {
                    on_fault(index, client, fault)?;
                }
            }
            if !was_ready && client.is_ready() {
                self.ready += 1;
                if self.silent.len() + self.clients.len() > SOCKETS_MAX
                    && let Some(old) = self.silent.remove(&index)
                {
                    old.reset()?;
                }
            }
        }
        Ok(())
    }

    /// Has a client send an application payload.
    pub(crate) fn send(&mut self, client: usize, payload: &[u8]) -> Result<(), LoadError> {
        let dialect = self.target.dialect;
        self.clients[client].send(dialect, payload).map_err(|fault| fault.of(client))
    }

    /// Has a client write bytes that were prepared by [`prepared`](Self::prepared). Tells how many
    /// bytes are still to go out because the server takes no more for now.
    pub(crate) fn write(&mut self, client: usize, bytes: &[u8]) -> Result<usize, LoadError> {
        self.clients[client].write(bytes).map_err(|fault| fault.of(client))
    }

    /// A message as a client sends it over the wire.
    pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        wire::encode(wire::TEXT, &[message], &mut bytes);
        bytes
    }

    /// `times` messages of this client with this payload, as they go over the wire.
    pub(crate) fn prepared(&self, client: usize, payload: &[u8], times: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..times {
            self.clients[client].prepare(self.target.dialect, payload, &mut bytes);
        }
        bytes
    }

    /// Stops reading what comes for this client.
    pub(crate) fn stop_reading(&mut self, client: usize) -> io::Result<()> {
        self.clients[client].stop_reading(self.poll.registry())
    }

    /// From now on all clients but the first `spared` read what comes, but answer nothing, as if
    /// their applications stood still: whatever they get is not acknowledged.
    pub(crate) fn stop_answering(&mut self, spared: usize) {
        self.clients[spared..].iter_mut().for_each(Client::stop_answering);
    }

    /// From now on of the compressed messages those of one client in so many are inflated, and of all others
    /// what came is shown.
    pub(crate) fn inflate_one_in(&mut self, clients: usize) {
        let others = self.clients.iter_mut().enumerate().filter(|(index, _)| index % clients != 0);
        others.for_each(|(_, client)| client.stop_inflating());
    }

    /// How many bytes all messages had on the wire that clients have read, headers included.
    pub(crate) fn message_bytes(&self) -> u64 {
        self.clients.iter().map(Client::message_bytes).sum()
    }

    /// Cuts off all clients but the first `spared`, with a reset. Tells who they have to be to come
    /// back to their sessions.
    pub(crate) fn cut(&mut self, spared: usize) -> io::Result<Vec<Identity>> {
        self.ready = self.ready.min(spared);
        let identity_of = |client: Client| {
            let identity = client.identity();
            client.reset().map(|()| identity)
        };
        self.clients.drain(spared..).map(identity_of).collect()
    }

    /// All clients but the first `spared` fall silent, without a word to the server, which their
    /// sockets go on to take bytes from. Tells who they have to be to come back.
    ///
    /// Whoever comes back first takes the place of the first of them, and so on. The server takes the
    /// old socket for sound, and gets no answer on it: it is kept. Only where there would be too many
    /// sockets are those given up whose clients are back. They come from another address, as devices
    /// do that have changed networks: beside as many sockets from the same one, the kernel would look
    /// long for a port that is free.
    pub(crate) fn fall_silent(&mut self, spared: usize) -> io::Result<Vec<Identity>> {
        self.ready = self.ready.min(spared);
        let mut identities = Vec::with_capacity(self.clients.len() - spared);
        for (place, mut client) in (spared..).zip(self.clients.drain(spared..)) {
            client.stop_reading(self.poll.registry())?;
            identities.push(client.identity());
            self.silent.insert(place, client);
        }
        self.source = Some(OTHER_NETWORK);
        Ok(identities)
    }

    /// How many clients have got something that the server has not asked about since, or that they
    /// have not answered.
    pub(crate) fn owing(&self) -> usize {
        self.clients.iter().filter(|client| client.owes_answer()).count()
    }

    /// When a client has read its 101.
    pub(crate) fn opened_at(&self, client: usize) -> Option<Instant> {
        self.clients[client].opened_at()
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Waits for events, at first without sleeping.
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let awake_until = Instant::now() + self.awake.min(timeout);
        loop {
            self.look(Duration::ZERO)?;
            if !self.events.is_empty() {
                return Ok(());
            }
            if Instant::now() >= awake_until {
                break;
            }
        }
        if timeout > self.awake { self.look(timeout) } else { Ok(()) }
    }

    fn look(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            // Whoever stops this program and lets it go on, as a debugger does, has nothing to say.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            looked => looked,
        }
    }

    /// Has a client connect, and does not wait for it.
    pub(crate) fn begin(&mut self, identity: &Identity, buffers: Buffers) -> Result<(), LoadError> {
        let index = self.clients.len();
        let io = |source| LoadError::Io { client: index, source };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[index % self.ports.len()]));
        let mut client =
            Client::connect(address, self.source, self.target, identity, buffers).map_err(io)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(client.socket(), Token(index), interest).map_err(io)?;
        self.clients.push(client);
        Ok(())
    }
}
