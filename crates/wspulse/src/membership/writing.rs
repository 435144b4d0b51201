//! From a batch of frames to a transport, in as few system calls as there can be.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::AsyncWrite;
use wspulse_core::outbound::{
    Batch, Compressed, Form, JoinedFrames, SLICES_MAX, WrittenBeside, advance, gather,
};

use super::log::{Log, Segment};
use super::mailbox::{GivenBack, Visit};
use super::shared::ConnectionShared;
use crate::ground::ping_schedule::Mark;
use crate::observe::metrics::{DropReason, MessagesCompressed, MessagesSent};
use crate::settings::codecs::{CODECS_MAX, CodecId};
use crate::wire::transport::Transport;

thread_local! {
    /// What the connections of a thread have in common to write, by their codecs, as it is and compressed: a
    /// room may have members of several, one after the other. It is taken out for the length of one write, so
    /// that no borrow outlives it.
    static JOINED: [[Cell<JoinedFrames>; CODECS_MAX]; 2] = Default::default();
}

/// The most bytes that are joined: what a thread keeps between two bursts.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// What was done for a member of a large room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visited {
    /// Nothing was to be done, as it has all that it follows.
    HasAll,
    /// It has got what it lacked.
    Written,
    /// It does not follow. Whether there was anything to do.
    Apart { is_served: bool },
}

impl Visited {
    pub(super) const fn is_served(self) -> bool {
        match self {
            Self::HasAll => false,
            Self::Written => true,
            Self::Apart { is_served } => is_served,
        }
    }
}

impl ConnectionShared {
    /// Writes what waits, if its task sleeps and it can be done without it; else wakes the task.
    /// Tells whether there was anything to do.
    pub(crate) fn write_or_wake(&self) -> bool {
        let Some(mut loan) = self.mailbox.borrow_transport() else {
            return self.mailbox.wake_for_frames();
        };
        if self.mailbox.is_tapped() {
            self.write_loan_and_show(loan);
            return true;
        }
        let mut bytes_taken = 0;
        // Whatever it waits for, its own task will ask again.
        let mut cx = Context::from_waker(Waker::noop());
        let (transport, batch) = (&mut loan.transport, &mut loan.batch);
        let waiting = batch.len();
        let polled = poll_write_batch(transport, batch, &mut bytes_taken, self, &mut cx);
        let written = WrittenBeside { frames: waiting - loan.batch.len(), bytes: bytes_taken };
        let given_back = self.mailbox.end_loan(loan, polled, written, self.server.queued_bytes());
        self.count_given_back(given_back);
        true
    }

    /// Pings, if its task sleeps and has left its transport for this beat; else wakes the task, which
    /// does it.
    pub(crate) fn ping_or_ring(&self, beat: Mark) {
        let Some((mut transport, written)) = self.mailbox.borrow_for_ping(beat) else { return };
        match transport.nonce {
            Some(nonce) => transport.lane.queue_ping(nonce.question(written)),
            None => transport.queue_ping(),
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes_taken = 0;
        let nothing = &mut Batch::default();
        let polled = poll_write_batch(&mut transport, nothing, &mut bytes_taken, self, &mut cx);
        self.mailbox.end_ping(transport, polled);
    }

    /// Writes the segment that it lacks of the log that it follows, or as
    /// [`write_or_wake`](Self::write_or_wake) does if it does not.
    pub(super) fn write_segment(&self, log: &Arc<Log>, segment: &mut Segment) -> Visited {
        let mut loan = match self.mailbox.visit(log, segment) {
            Visit::HasAll => return Visited::HasAll,
            Visit::Apart => return Visited::Apart { is_served: self.write_or_wake() },
            Visit::Lent(loan) => loan,
        };
        let mut cx = Context::from_waker(Waker::noop());
        let (transport, batch) = (&mut loan.transport, &mut loan.batch);
        let form = transport.form;
        segment.join(form);
        let (bytes, run) = (segment.bytes(form), segment.run());
        let mut bytes_taken = 0;
        let polled = match Pin::new(&mut transport.stream).poll_write(&mut cx, bytes) {
            Poll::Ready(Ok(taken)) if taken == bytes.len() => {
                batch.advance_whole(run);
                bytes_taken = taken;
                transport.note_taken(taken);
                record_sent(self, 0, || {
                    let compressed = segment.compressed(form);
                    Whole { messages: run.len(), payload_bytes: run.payload_bytes(), compressed }
                });
                poll_flush(transport, &mut cx)
            }
            Poll::Ready(Err(error)) => {
                batch.fill(run);
                Poll::Ready(Err(error))
            }
            begun @ (Poll::Ready(Ok(_)) | Poll::Pending) => {
                batch.fill(run);
                if let Poll::Ready(Ok(taken)) = begun {
                    let sent = advance_slices(transport, batch, taken);
                    note_sent(transport, batch, &mut bytes_taken, self, &sent);
                }
                poll_write_batch(transport, batch, &mut bytes_taken, self, &mut cx)
            }
        };
        let written = WrittenBeside { frames: run.len() - batch.len(), bytes: bytes_taken };
        let given_back = self.mailbox.end_loan(loan, polled, written, self.server.queued_bytes());
        self.count_given_back(given_back);
        Visited::Written
    }

    /// Counts what was dropped or replaced while a batch was being written.
    #[inline]
    pub(crate) fn count_given_back(&self, given_back: GivenBack) {
        if given_back.evicted > 0 {
            self.count_dropped(given_back.evicted, DropReason::Evicted);
        }
        if given_back.conflated > 0 {
            self.count_conflated(given_back.conflated);
        }
    }
}

/// Writes control frames and the batch, as many of them in one system call as go.
pub(crate) fn poll_write_batch(
    transport: &mut Transport,
    batch: &mut Batch,
    bytes_taken: &mut usize,
    connection: &ConnectionShared,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let write_bytes_max = connection.server.options().write_bytes_max;
    let codec = connection.mailbox.codec();
    while !(batch.is_empty() && transport.owes_nothing()) {
        let Poll::Ready(written) = poll_write_some(transport, batch, codec, write_bytes_max, cx)
        else {
            // One that holds nothing back says so at once; another says whether all has gone.
            let _ = poll_flush(transport, cx)?;
            return Poll::Pending;
        };
        let sent = written?;
        if sent.bytes == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        note_sent(transport, batch, bytes_taken, connection, &sent);
    }
    poll_flush(transport, cx)
}

/// Counts what one system call has taken.
#[inline]
fn note_sent(
    transport: &mut Transport,
    batch: &Batch,
    bytes_taken: &mut usize,
    connection: &ConnectionShared,
    sent: &Sent,
) {
    *bytes_taken += sent.bytes;
    transport.note_taken(sent.bytes);
    if sent.whole.messages > 0 {
        record_sent(connection, batch.len(), || sent.whole);
    }
}

fn poll_flush(transport: &mut Transport, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if transport.bytes_unflushed > 0 {
        ready!(Pin::new(&mut transport.stream).poll_flush(cx))?;
        transport.bytes_unflushed = 0;
    }
    Poll::Ready(Ok(()))
}

/// What one system call has taken.
struct Sent {
    bytes: usize,
    whole: Whole,
}

/// Messages that are whole by now.
#[derive(Clone, Copy, Default)]
struct Whole {
    messages: usize,
    payload_bytes: usize,
    compressed: Compressed,
}

/// One system call, after which the lane and the batch know what it took.
fn poll_write_some(
    transport: &mut Transport,
    batch: &mut Batch,
    codec: CodecId,
    bytes_max: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Sent>> {
    if transport.facts.owes_ping() {
        if batch.is_empty() && transport.lane.is_empty() {
            return poll_write_ping(transport, cx);
        }
        transport.put_ping_in_lane();
    }
    let joined = if batch.len() > 1 {
        poll_write_joined(transport, batch, codec, bytes_max, cx)
    } else {
        None
    };
    let bytes = match joined {
        Some(written) => match ready!(written)? {
            Joined::Whole(sent) => return Poll::Ready(Ok(sent)),
            Joined::InPart(bytes) => bytes,
        },
        None => ready!(poll_write_slices(transport, batch, bytes_max, cx))?,
    };
    Poll::Ready(Ok(advance_slices(transport, batch, bytes)))
}

/// So much is written of control frames and the batch.
#[inline]
fn advance_slices(transport: &mut Transport, batch: &mut Batch, bytes: usize) -> Sent {
    let (mut whole, form) = (Whole::default(), batch.form());
    advance(&mut transport.lane, batch, bytes, |frame| {
        whole.messages += 1;
        whole.payload_bytes += frame.payload_bytes();
        whole.compressed.add(frame, form);
    });
    Sent { bytes, whole }
}

/// A Ping that carries nothing (RFC 6455 §5.5.2).
const EMPTY_PING: [u8; 2] = [0x89, 0];

/// Writes a Ping that is alone. Not inlined: 45 of 1,615 instructions for each member of a broadcast.
#[inline(never)]
fn poll_write_ping(transport: &mut Transport, cx: &mut Context<'_>) -> Poll<io::Result<Sent>> {
    let bytes = ready!(Pin::new(&mut transport.stream).poll_write(cx, &EMPTY_PING))?;
    if bytes == EMPTY_PING.len() {
        transport.facts.take_ping();
    } else if bytes > 0 {
        // Its rest goes the way of all that is written in part.
        transport.put_ping_in_lane();
        transport.lane.stage();
        transport.lane.advance(bytes);
    }
    Poll::Ready(Ok(Sent { bytes, whole: Whole::default() }))
}

/// How much is written of a batch that others have too.
enum Joined {
    /// All that was offered. The lane and the batch know of it.
    Whole(Sent),
    /// So many bytes.
    InPart(usize),
}

/// With one slice for all data, as the kernel takes it in less time, for a batch that others have
/// too.
fn poll_write_joined(
    transport: &mut Transport,
    batch: &mut Batch,
    codec: CodecId,
    bytes_max: usize,
    cx: &mut Context<'_>,
) -> Option<Poll<io::Result<Joined>>> {
    let kind = usize::from(batch.form() != Form::Plain);
    let mut joined = JOINED.with(|joined| joined[kind][codec.place()].take());
    let Transport { stream, lane, .. } = transport;
    lane.stage();
    let control = lane.bytes();
    let data_bytes_max = bytes_max.saturating_sub(control.len()).min(JOINED_BYTES_MAX);
    let polled = joined.join(batch, data_bytes_max).map(|data| {
        let bytes_offered = control.len() + data.len();
        let stream = Pin::new(stream);
        let polled = if control.is_empty() {
            stream.poll_write(cx, data)
        } else {
            stream.poll_write_vectored(cx, &[IoSlice::new(control), IoSlice::new(data)])
        };
        polled.map_ok(|bytes| (bytes, bytes_offered))
    });
    let polled = polled.map(|polled| {
        polled.map_ok(|(bytes, bytes_offered)| {
            if bytes < bytes_offered {
                return Joined::InPart(bytes);
            }
            let control_bytes = transport.lane.bytes().len();
            transport.lane.advance(control_bytes);
            let run = joined.advance(batch);
            let (messages, payload_bytes) = (run.len(), run.payload_bytes());
            let whole = Whole { messages, payload_bytes, compressed: joined.compressed() };
            Joined::Whole(Sent { bytes, whole })
        })
    });
    JOINED.with(|place| place[kind][codec.place()].set(joined));
    polled
}

/// With one slice too where there is but one.
fn poll_write_slices(
    transport: &mut Transport,
    batch: &Batch,
    bytes_max: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let Transport { stream, lane, .. } = transport;
    let stream = Pin::new(stream);
    if lane.is_empty() {
        if batch.len() == 1
            && let Some(only) = batch.chunks().next()
        {
            return stream.poll_write(cx, only);
        }
    } else if batch.is_empty() {
        lane.stage();
        return stream.poll_write(cx, lane.bytes());
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let filled = gather(lane, batch, &mut slices);
    let stream = Pin::new(&mut transport.stream);
    match bounded(&slices[..filled], bytes_max) {
        [only] => stream.poll_write(cx, only),
        slices => stream.poll_write_vectored(cx, slices),
    }
}

/// As many of the slices as fit into `bytes_max`, but at least one.
fn bounded<'a, 'b>(slices: &'a [IoSlice<'b>], bytes_max: usize) -> &'a [IoSlice<'b>] {
    let mut bytes = 0;
    let fitting = slices.iter().take_while(|slice| {
        bytes += slice.len();
        bytes <= bytes_max
    });
    &slices[..fitting.count().max(1)]
}

/// So many wait still.
#[inline]
fn record_sent(connection: &ConnectionShared, waiting: usize, sent: impl FnOnce() -> Whole) {
    if connection.server.metrics().is_heard() {
        tell_sent(connection, waiting, sent());
    }
}

/// Apart: what a hook is told would be gathered where nobody listens as well.
#[cold]
#[inline(never)]
fn tell_sent(connection: &ConnectionShared, waiting: usize, sent: Whole) {
    let ConnectionShared { server, id, .. } = connection;
    let capacity = server.options().send_buffer_frames;
    let Whole { messages, payload_bytes, compressed } = sent;
    server.metrics().record(|hooks| {
        let room = connection.room();
        let sent = MessagesSent { room, id, messages, payload_bytes, waiting, capacity };
        hooks.messages_sent(&sent);
        if compressed.messages() > 0 {
            let compressed = MessagesCompressed {
                room,
                id,
                messages: compressed.messages(),
                payload_bytes: compressed.payload_bytes(),
                compressed_bytes: compressed.compressed_bytes(),
            };
            hooks.messages_compressed(&compressed);
        }
    });
}
