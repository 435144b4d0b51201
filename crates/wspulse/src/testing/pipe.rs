//! A transport in memory: two ways of bytes, which fail as those of a network do.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link::{Fault, Way};

/// One end of a transport in memory, a stream of bytes. Dropping it ends the transport, as the end
/// of a process does.
#[derive(Debug)]
pub struct LinkStream {
    transport: Arc<Mutex<Transport>>,
    /// The way that this end writes to.
    out: Way,
}

/// Both ways of a transport.
#[derive(Debug)]
pub(super) struct Transport {
    up: Lane,
    down: Lane,
    is_reset: bool,
}

/// One way of a transport.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<u8>,
    waiting_bytes_max: usize,
    /// Nothing more will be written.
    is_shut: bool,
    /// Nobody will read any more.
    is_unread: bool,
    flow: Flow,
    passed_bytes: u64,
    plan: Plan,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What passes a way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Flow {
    #[default]
    Whole,
    ByteByByte,
    Nothing,
}

/// When this way fails by itself.
#[derive(Debug, Default, Clone, Copy)]
enum Plan {
    #[default]
    Never,
    /// Once so many more bytes were read.
    After { bytes: usize, fault: Fault },
    /// Before the last byte of what is written next.
    InNextWrite { fault: Fault },
}

impl Transport {
    /// The client's end and the server's, with so many bytes each way that may wait.
    pub(super) fn open(waiting_bytes_max: usize) -> (Arc<Mutex<Self>>, LinkStream, LinkStream) {
        let lane = || Lane { waiting_bytes_max, ..Lane::default() };
        let transport = Self { up: lane(), down: lane(), is_reset: false };
        let transport = Arc::new(Mutex::new(transport));
        let end = |out| LinkStream { transport: Arc::clone(&transport), out };
        let (client, server) = (end(Way::Up), end(Way::Down));
        (transport, client, server)
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// How many bytes were read at the end of this way.
    pub(super) const fn passed_bytes(&self, way: Way) -> u64 {
        match way {
            Way::Up => self.up.passed_bytes,
            Way::Down => self.down.passed_bytes,
        }
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Reset | Fault::Down => {
                self.is_reset = true;
                self.up.waiting.clear();
                self.down.waiting.clear();
            }
            Fault::Silence => {
                self.up.flow = Flow::Nothing;
                self.down.flow = Flow::Nothing;
            }
            Fault::Stall(way) => self.lane(way).flow = Flow::Nothing,
            Fault::HalfClose(way) => self.lane(way).is_shut = true,
            Fault::ByteByByte => {
                for lane in [&mut self.up, &mut self.down] {
                    if lane.flow == Flow::Whole {
                        lane.flow = Flow::ByteByByte;
                    }
                }
            }
        }
        self.wake();
    }

    pub(super) fn fail_after(&mut self, way: Way, bytes: usize, fault: Fault) {
        if bytes == 0 {
            self.fail(fault);
        } else {
            self.lane(way).plan = Plan::After { bytes, fault };
        }
    }

    pub(super) fn fail_in_next_write(&mut self, way: Way, fault: Fault) {
        self.lane(way).plan = Plan::InNextWrite { fault };
    }

    /// Whatever waits goes on, as a network sends again what it has lost.
    pub(super) fn restore(&mut self) {
        for lane in [&mut self.up, &mut self.down] {
            lane.flow = Flow::Whole;
            lane.plan = Plan::Never;
        }
        self.wake();
    }

    fn wake(&mut self) {
        for lane in [&mut self.up, &mut self.down] {
            lane.wake_reader();
            lane.wake_writer();
        }
    }

    fn poll_read(
        &mut self,
        way: Way,
        cx: &Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let lane = self.lane(way);
        if lane.flow == Flow::Nothing || (lane.waiting.is_empty() && !lane.is_shut) {
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(fault) = lane.read(into) {
            self.fail(fault);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        way: Way,
        cx: &Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        // Whoever has gone answers with a reset, which has to come through.
        let is_told = self.up.flow != Flow::Nothing && self.down.flow != Flow::Nothing;
        let lane = self.lane(way);
        if lane.is_shut || (lane.is_unread && is_told) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let wanted: usize = pieces.iter().map(|piece| piece.len()).sum();
        let room = lane.waiting_bytes_max.saturating_sub(lane.waiting.len());
        if wanted > 0 && room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = wanted.min(room);
        lane.write(pieces, taken);
        Poll::Ready(Ok(taken))
    }
}

impl Lane {
    /// Reads what may be read; returns what happens once it was.
    fn read(&mut self, into: &mut ReadBuf<'_>) -> Option<Fault> {
        let mut bytes = self.waiting.len().min(into.remaining());
        if self.flow == Flow::ByteByByte {
            bytes = bytes.min(1);
        }
        if let Plan::After { bytes: left, .. } = self.plan {
            bytes = bytes.min(left);
        }
        let (front, back) = self.waiting.as_slices();
        let from_front = bytes.min(front.len());
        into.put_slice(&front[..from_front]);
        into.put_slice(&back[..bytes - from_front]);
        self.waiting.drain(..bytes);
        self.passed_bytes += bytes as u64;
        self.wake_writer();
        let Plan::After { bytes: left, fault } = self.plan else { return None };
        let left = left - bytes;
        self.plan = if left == 0 { Plan::Never } else { Plan::After { bytes: left, fault } };
        (left == 0).then_some(fault)
    }

    fn write(&mut self, pieces: &[IoSlice<'_>], bytes: usize) {
        if let (Plan::InNextWrite { fault }, 1..) = (self.plan, bytes) {
            let passes = self.waiting.len() + (bytes - 1).max(1);
            self.plan = Plan::After { bytes: passes, fault };
        }
        let mut left = bytes;
        for piece in pieces {
            let (taken, _) = piece.split_at(left.min(piece.len()));
            self.waiting.extend(taken);
            left -= taken.len();
        }
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.transport.lock().poll_read(self.out.opposite(), cx, into)
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.transport.lock().poll_write(self.out, cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.transport.lock().poll_write(self.out, cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut transport = self.transport.lock();
        let lane = transport.lane(self.out);
        lane.is_shut = true;
        lane.wake_reader();
        Poll::Ready(Ok(()))
    }
}

impl Drop for LinkStream {
    fn drop(&mut self) {
        let mut transport = self.transport.lock();
        transport.lane(self.out).is_shut = true;
        transport.lane(self.out.opposite()).is_unread = true;
        transport.wake();
    }
}
