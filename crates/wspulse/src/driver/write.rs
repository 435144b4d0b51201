//! From the outbound queue to the transport.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{Batch, SLICES_MAX, advance, gather};

use super::{Driver, now};
use crate::connection::ConnectionShared;
use crate::metrics::DropReason;
use crate::transport::Transport;

impl Driver {
    /// Writes what waits, until the socket takes no more or nothing is left. Tells whether that
    /// changed what there is to do.
    pub(super) fn drive_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut took_frame = false;
        while self.session.is_writable()
            && let Some(transport) = &mut self.transport
        {
            let connection = &*self.connection;
            let mut batch = connection.mailbox.take_batch();
            let waiting = batch.len();
            let was_empty = waiting == 0 && transport.lane.is_empty();
            let polled = poll_write_batch(transport, &mut batch, connection, cx);
            took_frame |= batch.len() < waiting;
            let evicted = connection.mailbox.give_back(batch);
            connection.count_dropped(evicted, DropReason::Evicted);
            match polled {
                // More may have come while that was written.
                Poll::Ready(Ok(())) if !was_empty => {}
                Poll::Ready(Ok(())) => {
                    self.session.handle_flushed();
                    self.settle();
                    return self.transport.is_none();
                }
                Poll::Ready(Err(error)) => {
                    self.lose_to(error);
                    return true;
                }
                Poll::Pending => {
                    self.session.handle_write_blocked(took_frame, now());
                    return false;
                }
            }
        }
        false
    }
}

/// Writes control frames and the batch, as many of them in one system call as go.
fn poll_write_batch(
    transport: &mut Transport,
    batch: &mut Batch,
    connection: &ConnectionShared,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let write_bytes_max = connection.server.options().write_bytes_max;
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = gather(&mut transport.lane, batch, &mut slices);
        if filled == 0 {
            if transport.needs_flush {
                ready!(Pin::new(&mut transport.stream).poll_flush(cx))?;
                transport.needs_flush = false;
            }
            return Poll::Ready(Ok(()));
        }
        let slices = bounded(&slices[..filled], write_bytes_max);
        let written = ready!(Pin::new(&mut transport.stream).poll_write_vectored(cx, slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        transport.needs_flush = true;
        let mut waiting = batch.len();
        advance(&mut transport.lane, batch, written, |frame| {
            waiting -= 1;
            record_sent(connection, frame, waiting);
        });
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

fn record_sent(connection: &ConnectionShared, frame: &EncodedFrame, waiting: usize) {
    let ConnectionShared { server, room, id, .. } = connection;
    let metrics = server.metrics();
    let capacity = server.options().send_buffer_frames;
    metrics.record(|hooks| hooks.message_sent(room, id, frame.payload().len()));
    metrics.record(|hooks| hooks.send_buffer_utilization(room, id, waiting, capacity));
}
