//! Panics where the application's code is polled or dropped beside its callbacks: streams, and what
//! a callback's future holds.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wspulse::testing::{Recorder, TestClient, request_parts};
use wspulse::{Connection, Disconnect, Server, TransportLost};

use crate::support::clients::{Client, close, dial, echoes, numbered};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::{echo, open_house};
use crate::support::logs::Logs;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Read,
    Write,
    Drop,
}

/// A stream that panics.
struct Faulty {
    inner: DuplexStream,
    fault: Fault,
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        assert!(self.fault != Fault::Read || polled.is_pending(), "boom");
        polled
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(self.fault != Fault::Write, "boom");
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        assert!(self.fault != Fault::Drop, "boom");
    }
}

async fn dial_faulty(server: &Server, id: &str, fault: Fault) -> Client {
    let parts = request_parts(&format!("/ws?id={id}"));
    let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
    let (ours, inner) = duplex(4096);
    accepted.attach(Faulty { inner, fault }, &[]);
    TestClient::new(ours)
}

/// The session outlives the fault, and the next transport brings what the first did not.
async fn resumes_after(fault: Fault) {
    let logs = Logs::capture();
    let (tell, mut losses) = mpsc::unbounded_channel();
    let builder = echo().resume_window(WINDOW);
    let server =
        builder.on_transport_drop(move |_, cause| tell.send(cause).unwrap()).build().unwrap();
    let mut client = dial_faulty(&server, "ann", fault).await;
    settle().await;
    client.send(&numbered(1)).await.unwrap();
    if fault == Fault::Drop {
        assert_eq!(client.frame().await.unwrap(), numbered(1));
        drop(client);
    }
    let cause = timeout(WINDOW, losses.recv()).await.expect("it is told").unwrap();
    if fault != Fault::Drop {
        let TransportLost::Io(error) = &cause else { panic!("{cause:?}") };
        assert_eq!(error.to_string(), "the stream panicked: boom");
    }
    server.send("ann", numbered(2)).unwrap();
    let mut again = dial(&server, "ann").await;
    let first = again.frame().await.unwrap();
    if fault == Fault::Write {
        assert_eq!(first, numbered(1), "the echo that was not written");
        assert_eq!(again.frame().await.unwrap(), numbered(2));
    } else {
        assert_eq!(first, numbered(2));
    }
    assert!(
        logs.one("ERROR", "a transport's stream panicked: boom").contains("panicking_streams.rs:")
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_when_read_costs_the_transport_only() {
    resumes_after(Fault::Read).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_when_written_costs_the_transport_only() {
    resumes_after(Fault::Write).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_when_dropped_costs_the_transport_only() {
    resumes_after(Fault::Drop).await;
}

/// Held by a callback's future.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boom");
    }
}

/// Panics when it is dropped, after it has returned.
struct BombAfterwards {
    _bomb: Bomb,
}

impl Future for BombAfterwards {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_whose_future_panics_when_dropped_is_caught_and_counted() {
    let recorder = Recorder::default();
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .metrics(recorder.clone())
        .on_message(|_, _| BombAfterwards { _bomb: Bomb })
        .on_disconnect(move |_: Connection, end| tell.send(end).unwrap())
        .build()
        .unwrap();
    let mut client = dial(&server, "ann").await;
    client.send(&numbered(1)).await.unwrap();
    assert_eq!(client.closed().await.unwrap(), Some(close(1011, "internal error")));
    let end = told.recv().await.unwrap();
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::HandlerPanicked(_))), "{end:?}");
    assert_eq!(recorder.count("callback_panicked lobby ann on_message"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_on_disconnect_whose_future_panics_when_dropped_lets_a_successor_begin() {
    let recorder = Recorder::default();
    let builder = echo().metrics(recorder.clone());
    let server = builder.on_disconnect(|_, _| BombAfterwards { _bomb: Bomb }).build().unwrap();
    let _old = dial(&server, "ann").await;
    let mut new = dial(&server, "ann").await;
    echoes(&mut new, 1).await;
    assert_eq!(recorder.count("callback_panicked lobby ann on_disconnect"), 1);
}
