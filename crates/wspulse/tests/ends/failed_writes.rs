//! A write that fails takes nothing away from what the peer has said before: that is still read
//! and handled, and its close frame is the cause that is told.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use wspulse::testing::{masked, request_head, request_parts};
use wspulse::{
    Admission, CloseCode, Connection, Disconnect, Frame, Server, ServerBuilder, TransportLost,
};

const MESSAGES: usize = 300;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// Three hundred messages and a close frame with code 1000.
fn burst() -> Vec<u8> {
    let mut burst = messages();
    burst.extend_from_slice(&masked(CLOSE, &1000_u16.to_be_bytes()));
    burst
}

fn messages() -> Vec<u8> {
    masked(TEXT, br#"{"event":"say"}"#).repeat(MESSAGES)
}

/// What the server tells of its one connection.
struct Told {
    handled: Arc<AtomicUsize>,
    end: mpsc::UnboundedReceiver<Disconnect>,
}

/// A server that answers each message by a broadcast, after `pause`.
fn server(
    pause: Duration,
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Server, Told) {
    let handled = Arc::new(AtomicUsize::new(0));
    let (ends, end) = mpsc::unbounded_channel();
    let counter = Arc::clone(&handled);
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_message(move |conn: Connection, frame: Frame| {
            let counter = Arc::clone(&counter);
            async move {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                conn.room().broadcast(frame).expect("the server is open");
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
        .on_disconnect(move |_, disconnect| ends.send(disconnect).expect("the test waits"))
        .check_origin(|_| true);
    let server = configure(builder).build().expect("valid options");
    (server, Told { handled, end })
}

impl Told {
    async fn end(&mut self) -> (usize, TransportLost) {
        let end = self.end.recv().await.expect("it ends");
        let Disconnect::TransportLost(cause) = end else { panic!("{end}") };
        (self.handled.load(Ordering::Relaxed), cause)
    }
}

/// A peer that has said something and whose end of the stream is gone.
struct Gone {
    said: Vec<u8>,
    then: Then,
}

/// What reading comes to behind what was said.
enum Then {
    End,
    Silence,
    Failure,
}

impl AsyncRead for Gone {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { said, then } = self.get_mut();
        if said.is_empty() {
            return match then {
                Then::End => Poll::Ready(Ok(())),
                Then::Silence => Poll::Pending,
                Then::Failure => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
        let taken = said.len().min(buf.remaining()).min(1000);
        buf.put_slice(&said.drain(..taken).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gone {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn attach(server: &Server, said: Vec<u8>, then: Then) {
    let handshake = server.handshake(request_parts("/")).expect("it is valid");
    let accepted =
        handshake.admit(Admission::room("lobby").id("ann")).await.expect("the server is open");
    accepted.attach(Gone { said, then }, &[]);
}

fn assert_closed_normally(cause: &TransportLost) {
    let TransportLost::PeerClosed(Some(frame)) = cause else { panic!("{cause}") };
    assert_eq!(frame.code(), CloseCode::NORMAL);
}

/// Sends all of this behind the handshake, over TCP, and is gone.
async fn say_and_go(said: &[u8]) -> (usize, TransportLost) {
    let (server, mut told) = server(Duration::ZERO, |builder| builder);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = tokio::spawn(wspulse::serve(listener, server.clone()).into_future());
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let head = request_head("/").into_bytes();
    client.write_all(&[&head, said].concat()).await.expect("connected");
    drop(client);
    let end = told.end().await;
    serving.abort();
    server.close().await;
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_whose_socket_is_closed_behind_it_is_handled_whole() {
    for _ in 0..20 {
        let (handled, cause) = say_and_go(&burst()).await;
        assert_eq!(handled, MESSAGES);
        assert_closed_normally(&cause);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_message_behind_a_burst_takes_nothing_from_it() {
    let half = &masked(TEXT, br#"{"event":"say"}"#)[..9];
    let first_fragment = masked(0x01, br#"{"event":"#);
    for rest in [half, &first_fragment] {
        for _ in 0..10 {
            let (handled, cause) = say_and_go(&[&messages(), rest].concat()).await;
            assert_eq!(handled, MESSAGES);
            assert!(matches!(cause, TransportLost::EndOfStream | TransportLost::Io(_)), "{cause}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_said_before_a_write_to_it_failed_is_handled_and_its_close_is_the_cause() {
    let (server, mut told) = server(Duration::ZERO, |builder| builder);
    attach(&server, burst(), Then::End).await;
    let (handled, cause) = told.end().await;
    assert_eq!(handled, MESSAGES);
    assert_closed_normally(&cause);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_has_its_time_for_what_can_still_be_read() {
    let (server, mut told) = server(Duration::from_secs(15), |builder| builder);
    attach(&server, burst(), Then::End).await;
    let (handled, cause) = told.end().await;
    assert_eq!(handled, MESSAGES);
    assert_closed_normally(&cause);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_is_the_cause_where_the_peer_has_not_said_why() {
    for then in [Then::End, Then::Failure] {
        let (server, mut told) = server(Duration::ZERO, |builder| builder);
        attach(&server, messages(), then).await;
        let (handled, cause) = told.end().await;
        assert_eq!(handled, MESSAGES);
        let TransportLost::Io(error) = &cause else { panic!("{cause}") };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_after_a_failed_write_is_given_up_after_the_write_wait() {
    let (server, mut told) =
        server(Duration::ZERO, |builder| builder.write_wait(Duration::from_secs(7)));
    attach(&server, messages(), Then::Silence).await;
    let started = Instant::now();
    let (handled, cause) = told.end().await;
    assert_eq!(handled, MESSAGES);
    assert!(matches!(cause, TransportLost::Io(_)), "{cause}");
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_when_a_write_failed_go_to_the_next_transport() {
    let (server, _told) =
        server(Duration::ZERO, |builder| builder.resume_window(Duration::from_mins(1)));
    attach(&server, Vec::new(), Then::Silence).await;
    server.send("ann", Frame::new("kept")).expect("there is room");
    sleep(Duration::from_secs(11)).await;
    let mut back = wspulse::testing::TestClient::connect(&server, "/").await.expect("101");
    assert_eq!(back.frame().await.expect("connected").event(), "kept");
    server.close().await;
}
