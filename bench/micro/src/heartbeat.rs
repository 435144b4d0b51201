//! Idle connections, which nobody writes to but the server's heartbeat.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Builder;
use tokio::time::sleep;
use wspulse::testing::masked;
use wspulse::{Admission, Server};

use crate::server::attach;

const CONNECTIONS: usize = 1000;
const PING_INTERVAL: Duration = Duration::from_secs(10);
const FINAL_PONG: u8 = 0x8a;

/// A transport whose peer answers each Ping and says nothing else.
#[derive(Debug)]
struct Idle {
    pong: Arc<[u8]>,
    pongs_due: usize,
    reader: Option<Waker>,
    pings: Arc<AtomicUsize>,
}

impl AsyncRead for Idle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pongs_due == 0 {
            match &mut self.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        self.pongs_due -= 1;
        buf.put_slice(&self.pong);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Idle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pings.fetch_add(1, Ordering::Relaxed);
        self.pongs_due += 1;
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// An operation is one Ping and its Pong, the runtime's part in it included; a round is those of
/// 1,000 connections. The clock is one that moves by itself.
pub(crate) fn heartbeat(rounds: usize) -> usize {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O opens nothing").block_on(async {
        let pings = Arc::new(AtomicUsize::new(0));
        let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
            .heartbeat(PING_INTERVAL, 3 * PING_INTERVAL)
            .build()
            .expect("its options are within their bounds");
        let pong: Arc<[u8]> = Arc::from(&*masked(FINAL_PONG, &[]));
        for _ in 0..CONNECTIONS {
            let (pong, pings) = (pong.clone(), pings.clone());
            attach(&server, Idle { pong, pongs_due: 0, reader: None, pings }).await;
        }
        let intervals = u32::try_from(rounds).expect("rounds are run one by one");
        sleep(PING_INTERVAL * intervals + PING_INTERVAL / 2).await;
        let pings = pings.load(Ordering::Relaxed);
        // Each is a little late.
        assert!(pings * 30 >= rounds * CONNECTIONS * 29, "{pings} pings");
        assert_eq!(server.connection_count(), CONNECTIONS, "all have answered");
        pings
    })
}
