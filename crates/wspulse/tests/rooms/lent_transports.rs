//! Members of a large room are written to by others than their own tasks, with the transports that
//! those have left. Nobody may notice.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufStream, ReadBuf, duplex};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Connection, Delivery, ServerBuilder, TransportLost};

use crate::support::clients::{Client, dial, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::speaker::{Heard, Speaker, configured};
use crate::support::stage::Stage;

/// Enough for a room to be a large one.
const OTHERS: usize = 40;

/// A server with a large room of clients who read nothing.
async fn large_room(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Stage, Vec<Client>) {
    let stage = Stage::new(options);
    let mut others = Vec::new();
    for number in 0..OTHERS {
        others.push(dial(&stage.server, &format!("other-{number}")).await);
    }
    settle().await;
    (stage, others)
}

/// One more member of it, over this stream.
async fn join<S>(stage: &mut Stage, stream: S) -> Connection
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let parts = request_parts("/ws?room=lobby&id=ann");
    stage.server.handshake(parts).unwrap().connect().await.unwrap().attach(stream, &[]);
    settle().await;
    stage.names_so_far();
    stage.server.connection("ann").unwrap()
}

fn broadcast(stage: &Stage, number: usize) {
    stage.server.broadcast("lobby", numbered(number)).unwrap();
}

/// Fails at the first write after it was let in, if it is to, in one way or the other.
struct Failing(Failure);

#[derive(Clone, Copy)]
enum Failure {
    Error,
    Panic,
}

impl AsyncRead for Failing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Failing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {
            Failure::Error => Poll::Ready(Err(io::ErrorKind::HostUnreachable.into())),
            Failure::Panic => panic!("as it is told"),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_takes_in_part_its_own_task_finishes() {
    let (mut stage, _others) = large_room(|builder| builder).await;
    let (near, far) = duplex(5);
    join(&mut stage, near).await;
    let mut ann = TestClient::new(far);
    for number in 1..=3 {
        broadcast(&stage, number);
        settle().await;
    }
    assert_eq!(numbers(&mut ann, 3).await, [1, 2, 3]);
    // The task sleeps again, and others go on to write.
    broadcast(&stage, 4);
    assert_eq!(numbers(&mut ann, 1).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_holds_back_its_own_task_has_it_pass_on() {
    let (mut stage, _others) = large_room(|builder| builder).await;
    let (near, far) = duplex(5);
    join(&mut stage, BufStream::with_capacity(16, 4096, near)).await;
    let mut ann = TestClient::new(far);
    for number in 1..=3 {
        broadcast(&stage, number);
        settle().await;
    }
    assert_eq!(numbers(&mut ann, 3).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_is_lost_with_its_own_error() {
    let (mut stage, mut others) = large_room(|builder| builder.resume_window(WINDOW)).await;
    let ann = join(&mut stage, Failing(Failure::Error)).await;
    broadcast(&stage, 1);
    // What it has to be read may still come, for a while.
    let lost = stage.dropped().await;
    let TransportLost::Io(error) = &lost else { panic!("{lost:?}") };
    assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
    assert_eq!(ann.outbound_stats().pending, 1);
    assert_eq!(numbers(&mut others[OTHERS - 1], 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_costs_its_own_transport_alone() {
    let (mut stage, mut others) = large_room(|builder| builder.resume_window(WINDOW)).await;
    join(&mut stage, Failing(Failure::Panic)).await;
    for number in 1..=2 {
        broadcast(&stage, number);
    }
    let lost = stage.dropped().await;
    assert!(lost.to_string().contains("panicked"), "{lost}");
    assert_eq!(numbers(&mut others[OTHERS - 1], 2).await, [1, 2]);
}

/// Half of the window of 128 is as much as is asked for.
#[tokio::test(start_paused = true)]
async fn a_client_is_asked_how_far_it_has_got_when_others_have_written_so_much() {
    let (stage, _others) = large_room(configured).await;
    let (mut ann, _) = Speaker::begin(&stage.server, "/ws?room=lobby&id=ann").await;
    settle().await;
    let conn = stage.server.connection("ann").unwrap();
    for number in 1..=300 {
        broadcast(&stage, number);
        settle().await;
        let stats = conn.outbound_stats();
        assert!(stats.unacknowledged <= 128, "{stats:?}");
        if number % 64 == 0 {
            assert_eq!(stats.unacknowledged, 64, "{stats:?}");
            for _ in 0..64 {
                assert_eq!(ann.hear().await, Heard::Frame("n".to_owned()));
            }
            assert_eq!(ann.hear().await, Heard::Ask);
            ann.ack(number as u64).await;
            settle().await;
            assert_eq!(conn.outbound_stats().unacknowledged, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_written_than_may_be_on_its_way_whoever_writes() {
    let (mut stage, _others) = large_room(|builder| {
        builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce).delivery_window(8, 1 << 20)
    })
    .await;
    let (near, far) = duplex(64 * 1024);
    let conn = join(&mut stage, near).await;
    let mut ann = TestClient::new(far);
    for number in 1..=20 {
        broadcast(&stage, number);
        settle().await;
    }
    let stats = conn.outbound_stats();
    assert_eq!((stats.unacknowledged, stats.pending), (8, 12), "{stats:?}");
    let heard = numbers(&mut ann, 20).await;
    assert_eq!(heard, (1..=20).collect::<Vec<_>>());
}
