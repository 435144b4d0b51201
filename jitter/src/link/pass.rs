//! One way of a link: late, narrow, standing still, as its plan says.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::plan::{Plan, Way};

/// How many chunks are on their way before the sender has to wait.
const CHUNKS: usize = 256;

/// A narrow link may be ahead of its rate by so much.
const TICK: Duration = Duration::from_millis(5);

/// Passes bytes on until an end has no more, or takes no more.
pub(super) async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    plan: &Plan,
    begin: Instant,
    quiet: &CancellationToken,
) {
    let (late, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let read = async move {
        let mut buffer = vec![0; plan.chunk_bytes];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if late.send((Instant::now() + plan.delay, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let stall = plan.stall.filter(|stall| stall.way == way);
    let write = async {
        let mut free_at = begin;
        while let Some((due_at, chunk)) = due.recv().await {
            sleep_until(due_at).await;
            if let Some(stall) = stall {
                stand_still(begin + stall.after, stall.lasts, quiet).await;
            }
            if let Some(rate) = plan.bytes_per_second {
                let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                free_at = free_at.max(Instant::now()) + Duration::from_secs(1) * bytes / rate;
                // Timers go by milliseconds, which small chunks would wait for each.
                if free_at.duration_since(Instant::now()) > TICK {
                    sleep_until(free_at).await;
                }
            }
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    // What was read is still written, the other way round nothing is left to do.
    tokio::pin!(read, write);
    tokio::select! {
        () = &mut write => {}
        () = &mut read => write.await,
    }
}

async fn stand_still(from: Instant, lasts: Duration, quiet: &CancellationToken) {
    let until = from + lasts;
    let now = Instant::now();
    if from <= now && now < until {
        tokio::select! {
            () = sleep_until(until) => {}
            () = quiet.cancelled() => {}
        }
    }
}
