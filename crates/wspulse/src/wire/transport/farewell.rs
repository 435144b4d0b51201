//! Taking leave of a transport: the close frame, the peer's answer, the end.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::ready;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::task::consume_budget;
use tokio::time::Instant;
use wspulse_core::codec::InboundMessage;
use wspulse_core::outbound::Remainder;
use wspulse_core::websocket::{Decoder, Flow, Sink};
use wspulse_core::{CloseFrame, Dismissal};

use super::{Stream, Transport, Upgrade};
use crate::ground::running_time::RunningTimer;
use crate::ground::runtimes::Home;

/// What is still to be said on a transport that its session has parted with.
pub(crate) struct Farewell {
    pub(crate) transport: Transport,
    /// The rest of a frame that the transport has taken in part.
    pub(crate) remainder: Option<Remainder>,
    pub(crate) dismissal: Dismissal,
    pub(crate) deadline: Instant,
}

impl Farewell {
    /// Says it: finishes what is half written, sends the close frame, waits for the peer's close
    /// frame or the end of its stream, and drops the transport, at the deadline at the latest.
    pub(crate) async fn say(mut self) {
        // Whatever fails or takes too long, the transport is dropped all the same.
        let timer = RunningTimer::until(self.deadline);
        let _ = timer.bound(pin!(self.take_leave())).await;
    }

    async fn take_leave(&mut self) -> io::Result<()> {
        let (close, answer) = match std::mem::replace(&mut self.dismissal, Dismissal::Abort) {
            Dismissal::Close(frame) => (Some(frame), Answer::Due),
            Dismissal::Fail(frame) => (Some(frame), Answer::NotDue),
            Dismissal::Echo(frame) => (frame, Answer::Came),
            Dismissal::Abort => return Ok(()),
        };
        self.transport.lane.queue_close(close);
        self.write().await?;
        let peer_is_done = match answer {
            Answer::Came => true,
            Answer::Due => self.wait_for_close().await?,
            Answer::NotDue => false,
        };
        self.transport.stream.shutdown().await?;
        // A socket closed with unread bytes is reset, and a reset overtakes the close frame.
        if peer_is_done {
            // To linger no longer is no failure.
            let drained = RunningTimer::after(LINGER).bound(pin!(self.drain())).await;
            return drained.unwrap_or(Ok(()));
        }
        self.drain().await
    }

    async fn write(&mut self) -> io::Result<()> {
        let Transport { stream, lane, .. } = &mut self.transport;
        if let Some(remainder) = &self.remainder {
            stream.write_all(remainder.bytes()).await?;
        }
        while !lane.is_empty() {
            lane.stage();
            let written = stream.write(lane.bytes()).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            lane.advance(written);
            consume_budget().await;
        }
        stream.flush().await
    }

    /// Waits until the peer says nothing more, and tells whether its close frame said so.
    async fn wait_for_close(&mut self) -> io::Result<bool> {
        let Transport { stream, decoder, unread, .. } = &mut self.transport;
        let mut fed = match unread.take() {
            Some(mut unread) => decoder.feed(&mut unread.0, &mut Nobody),
            None => Ok(0),
        };
        loop {
            // The peer's close frame may have been read before this side's was sent.
            if fed.is_err() || decoder.has_ended() {
                return Ok(fed.is_ok());
            }
            if read(stream, |chunk| fed = decoder.feed(chunk, &mut Nobody)).await? == 0 {
                return Ok(false);
            }
            // A stream of the application's own may never say that it is not ready.
            consume_budget().await;
        }
    }

    async fn drain(&mut self) -> io::Result<()> {
        while read(&mut self.transport.stream, |_| {}).await? > 0 {
            consume_budget().await;
        }
        Ok(())
    }
}

/// Reads once, shows what came, and tells how many bytes that is: 0 at the end of the stream.
async fn read(stream: &mut Stream, mut see: impl FnMut(&mut [u8])) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut scratch);
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
        let filled = buffer.filled_mut();
        if polled.is_ready() && !filled.is_empty() {
            see(filled);
        }
        let filled = filled.len();
        SCRATCH.set(scratch);
        ready!(polled)?;
        Ok(filled).into()
    })
    .await
}

/// Waits for a transport that nobody wants any more, to tell its client why.
pub(crate) async fn turn_away(
    upgrade: Upgrade,
    close: CloseFrame,
    decoder: Decoder,
    deadline: Instant,
) {
    let told = async {
        let upgradable = upgrade.stream.await.ok()?;
        let transport = Transport::new(upgradable, (decoder, upgrade.agreed), Home::current());
        let dismissal = Dismissal::Close(close);
        let mut farewell = Farewell { transport, remainder: None, dismissal, deadline };
        farewell.take_leave().await.ok()
    };
    let _ = RunningTimer::until(deadline).bound(told).await;
}

/// The peer's close frame.
enum Answer {
    /// It is what the own one answers.
    Came,
    /// It is yet to come.
    Due,
    /// Nothing that the peer sends counts any more.
    NotDue,
}

/// How long a peer that has sent its close frame may take to hang up: long enough for what it sent
/// behind that frame, against the rules, to be read away; short enough for a shutdown not to wait
/// for clients that leave their sockets open.
const LINGER: Duration = Duration::from_secs(1);

/// Enough to throw away what a peer still sends.
const READ_BYTES: usize = 4096;

thread_local! {
    /// What all farewells of a thread read into. They may be many, and wait long: where a network has
    /// failed, everybody comes back at once, and no old transport answers.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Ignores everything: what counts is where the decoder ends.
struct Nobody;

impl Sink for Nobody {
    fn message(&mut self, _message: InboundMessage<'_>) -> Flow {
        Flow::Continue
    }

    fn ping(&mut self, _payload: &[u8]) {}

    fn pong(&mut self, _payload: &[u8]) {}

    fn close(&mut self, _frame: Option<CloseFrame>) {}
}
