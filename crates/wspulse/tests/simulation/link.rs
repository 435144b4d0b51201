//! A simulated TCP connection: it keeps order, and nothing else is sure. Bytes take their time, are
//! cut up anywhere, wait in a buffer of a certain size; and the connection ends in order, or with
//! an error at any byte, or is silent for ever.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a link is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// The longest that bytes are under way, each way.
    pub(crate) latency_ms_max: u64,
    /// How many bytes each way may be under way or unread.
    pub(crate) capacity_bytes: usize,
    /// The most bytes that one read or write takes.
    pub(crate) piece_bytes_max: usize,
    /// How long the client pauses after each read.
    pub(crate) client_pause: Duration,
}

/// One end of a link. Dropping it ends the connection in order.
#[derive(Debug)]
pub(crate) struct End {
    link: Link,
    side: Side,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A link seen from outside: to break it, and to read afterwards what the server wrote.
#[derive(Debug, Clone)]
pub(crate) struct Link(Arc<Mutex<Inner>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

#[derive(Debug)]
struct Inner {
    conditions: Conditions,
    rng: SmallRng,
    to_client: Direction,
    to_server: Direction,
    fate: Fate,
}

/// What has become of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Carries,
    /// Nothing arrives any more, and nobody is told.
    Silent,
    /// Both ends see an error.
    Broken,
}

#[derive(Debug, Default)]
struct Direction {
    under_way: VecDeque<Packet>,
    bytes_under_way: usize,
    /// When the writer's end arrives.
    finished_at: Option<Instant>,
    /// The reader has gone.
    is_abandoned: bool,
    /// How many more bytes the link takes this way before it breaks.
    breaks_after: Option<usize>,
    last_arrival: Option<Instant>,
    pauses_until: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Everything that was taken from the writer.
    taken: Vec<u8>,
}

#[derive(Debug)]
struct Packet {
    arrives_at: Instant,
    bytes: VecDeque<u8>,
}

/// What a read comes to.
enum Reading {
    Over(io::Result<()>),
    NotBefore(Instant),
    Waits,
}

impl Link {
    /// A link, and its ends at the client and at the server.
    pub(crate) fn new(conditions: Conditions, rng: SmallRng) -> (Self, End, End) {
        let link = Self(Arc::new(Mutex::new(Inner {
            conditions,
            rng,
            to_client: Direction::default(),
            to_server: Direction::default(),
            fate: Fate::Carries,
        })));
        let end = |side| End { link: link.clone(), side, timer: None };
        (link.clone(), end(Side::Client), end(Side::Server))
    }

    /// Nothing arrives any more, and neither end is told.
    pub(crate) fn fall_silent(&self) {
        self.lock().fate = Fate::Silent;
    }

    /// Both ends see an error, from now on.
    pub(crate) fn reset(&self) {
        self.lock().reset();
    }

    /// The link breaks once it has taken so many more bytes from the server, at least one.
    pub(crate) fn break_after(&self, bytes: usize) {
        assert!(bytes > 0, "a link that breaks at once is reset");
        self.lock().to_client.breaks_after = Some(bytes);
    }

    /// Everything that the server has written.
    pub(crate) fn written_by_server(&self) -> Vec<u8> {
        self.lock().to_client.taken.clone()
    }

    /// Whether what the server wrote reached the client, if that read it.
    pub(crate) fn carries(&self) -> bool {
        self.lock().fate == Fate::Carries
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    const fn directions(&mut self, side: Side) -> (&mut Direction, &mut Direction) {
        match side {
            Side::Client => (&mut self.to_client, &mut self.to_server),
            Side::Server => (&mut self.to_server, &mut self.to_client),
        }
    }

    fn reset(&mut self) {
        self.fate = Fate::Broken;
        self.to_client.wake();
        self.to_server.wake();
    }

    fn read(&mut self, side: Side, buffer: &mut ReadBuf<'_>, waker: &Waker) -> Reading {
        match self.fate {
            Fate::Carries => {}
            Fate::Silent => return Reading::Waits,
            Fate::Broken => return Reading::Over(Err(io::ErrorKind::ConnectionReset.into())),
        }
        let now = Instant::now();
        let piece = self.rng.random_range(1..=self.conditions.piece_bytes_max);
        let pause = self.conditions.client_pause;
        let (incoming, _) = self.directions(side);
        incoming.reader = Some(waker.clone());
        if let Some(resumes_at) = incoming.pauses_until.filter(|at| *at > now) {
            return Reading::NotBefore(resumes_at);
        }
        let Some(packet) = incoming.under_way.front_mut() else {
            return match incoming.finished_at {
                Some(at) if at <= now => Reading::Over(Ok(())),
                Some(at) => Reading::NotBefore(at),
                None => Reading::Waits,
            };
        };
        if packet.arrives_at > now {
            return Reading::NotBefore(packet.arrives_at);
        }
        let bytes = piece.min(packet.bytes.len()).min(buffer.remaining());
        packet.bytes.drain(..bytes).for_each(|byte| buffer.put_slice(&[byte]));
        if packet.bytes.is_empty() {
            incoming.under_way.pop_front();
        }
        incoming.bytes_under_way -= bytes;
        if side == Side::Client && !pause.is_zero() {
            incoming.pauses_until = Some(now + pause);
        }
        if let Some(writer) = incoming.writer.take() {
            writer.wake();
        }
        Reading::Over(Ok(()))
    }

    fn write(&mut self, side: Side, bytes: &[u8], waker: &Waker) -> Poll<io::Result<usize>> {
        let piece = self.rng.random_range(1..=self.conditions.piece_bytes_max);
        let arrives_at = self.next_arrival(side);
        let (fate, capacity) = (self.fate, self.conditions.capacity_bytes);
        let (_, outgoing) = self.directions(side);
        if fate == Fate::Broken || outgoing.is_abandoned {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let free = capacity - outgoing.bytes_under_way;
        let mut length = piece.min(bytes.len()).min(free);
        if length == 0 && !bytes.is_empty() {
            outgoing.writer = Some(waker.clone());
            return Poll::Pending;
        }
        if let Some(left) = &mut outgoing.breaks_after {
            length = length.min(*left);
            *left -= length;
        }
        let breaks = outgoing.breaks_after == Some(0);
        outgoing.taken.extend_from_slice(&bytes[..length]);
        outgoing.bytes_under_way += length;
        outgoing.last_arrival = Some(arrives_at);
        outgoing.under_way.push_back(Packet { arrives_at, bytes: bytes[..length].to_vec().into() });
        if fate == Fate::Carries
            && let Some(reader) = outgoing.reader.take()
        {
            reader.wake();
        }
        if breaks {
            self.reset();
        }
        Poll::Ready(Ok(length))
    }

    /// Later than what was written before.
    fn next_arrival(&mut self, side: Side) -> Instant {
        let latency_ms = self.rng.random_range(0..=self.conditions.latency_ms_max);
        let arrives_at = Instant::now() + Duration::from_millis(latency_ms);
        let (_, outgoing) = self.directions(side);
        outgoing.last_arrival.map_or(arrives_at, |last| last.max(arrives_at))
    }

    fn finish(&mut self, side: Side) {
        let arrives_at = self.next_arrival(side);
        let (_, outgoing) = self.directions(side);
        outgoing.finished_at.get_or_insert(arrives_at);
        outgoing.wake();
    }
}

impl Direction {
    fn wake(&mut self) {
        for waker in self.reader.take().into_iter().chain(self.writer.take()) {
            waker.wake();
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let reading = this.link.lock().read(this.side, buffer, cx.waker());
            let at = match reading {
                Reading::Over(result) => return Poll::Ready(result),
                Reading::Waits => return Poll::Pending,
                Reading::NotBefore(at) => at,
            };
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.link.lock().write(self.side, bytes, cx.waker())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.link.lock().write(self.side, &bytes, cx.waker())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.lock().finish(self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut inner = self.link.lock();
        if inner.fate == Fate::Silent {
            return;
        }
        inner.finish(self.side);
        let (incoming, _) = inner.directions(self.side);
        incoming.is_abandoned = true;
        incoming.wake();
    }
}
