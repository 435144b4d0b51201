//! A stream that holds back what it has taken, as one for TLS does, has the time to pass it on: a
//! steady reader behind it keeps its transport, and one that reads nothing has a bounded time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream, DuplexStream, duplex,
};
use tokio::time::{Instant, sleep};
use tokio_rustls::client::TlsStream as ClientStream;
use tokio_rustls::server::TlsStream as ServerStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wspulse::serve::tls::rustls::pki_types::ServerName;
use wspulse::testing::request_parts;
use wspulse::{Admission, ConnectionState, Frame, Server};

use crate::support::certificates::{OLD, client_config, server_config};
use crate::support::clock::WRITE_WAIT;

const KIB: usize = 1024;

/// The default of `min_write_rate`, in bytes a second.
const LEAST_RATE: usize = 4 * KIB;

/// What frames and their envelope add to a payload, and more.
const SLACK: Duration = Duration::from_secs(1);

/// With clients that answer no Ping, so with hardly any.
async fn serve<S>(stream: S) -> Server
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .heartbeat(Duration::from_mins(5), Duration::from_mins(10))
        .resume_window(Duration::from_mins(10))
        .check_origin(|_| true)
        .build()
        .expect("valid options");
    let handshake = server.handshake(request_parts("/")).expect("a handshake");
    handshake.connect().await.expect("admitted").attach(stream, &[]);
    server
}

fn send(server: &Server, payload_bytes: usize) {
    let frame = Frame::new("long").with_payload(format!("\"{}\"", "x".repeat(payload_bytes - 2)));
    server.send("ann", frame).expect("there is room");
}

/// A stream that keeps up to so many bytes back, and its other end, which holds next to nothing.
fn buffered(bytes: usize) -> (BufStream<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(KIB);
    (BufStream::with_capacity(KIB, bytes, near), far)
}

/// Reads at a steady rate until so many bytes have come, or the server gives the transport up.
async fn read_steadily(
    mut stream: impl AsyncRead + Unpin,
    bytes_per_second: usize,
    bytes: usize,
) -> usize {
    let mut got = 0;
    let mut buffer = vec![0; bytes_per_second / 8];
    while got < bytes {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => got += read,
            Ok(0) | Err(_) => break,
        }
        sleep(Duration::from_millis(125)).await;
    }
    got
}

/// How long a transport lasts of which nobody reads.
async fn time_to_suspension(server: &Server) -> Duration {
    let started = Instant::now();
    let connection = server.connection("ann").expect("within the window");
    while connection.state() != ConnectionState::Suspended {
        sleep(Duration::from_millis(100)).await;
    }
    started.elapsed()
}

fn time_for(bytes: usize, bytes_per_second: usize) -> Duration {
    Duration::from_micros((bytes * 1_000_000 / bytes_per_second) as u64)
}

/// Both ends of TLS over a wire that carries so many bytes a second, and hardly holds any.
async fn tls_over_a_wire(
    bytes_per_second: usize,
) -> (ServerStream<DuplexStream>, ClientStream<DuplexStream>) {
    let (near, near_wire) = duplex(KIB);
    let (far_wire, far) = duplex(KIB);
    let (mut from_near, mut to_near) = tokio::io::split(near_wire);
    let (mut from_far, mut to_far) = tokio::io::split(far_wire);
    tokio::spawn(async move { tokio::io::copy(&mut from_far, &mut to_near).await });
    tokio::spawn(async move {
        let mut buffer = vec![0; bytes_per_second / 8];
        while let Ok(read @ 1..) = from_near.read(&mut buffer).await {
            if to_far.write_all(&buffer[..read]).await.is_err() {
                break;
            }
            sleep(time_for(read, bytes_per_second)).await;
        }
        let _ = to_far.shutdown().await;
    });
    let name = ServerName::try_from("old.example").expect("a name");
    let (accepted, connected) = tokio::join!(
        TlsAcceptor::from(server_config(OLD)).accept(near),
        TlsConnector::from(Arc::new(client_config(OLD))).connect(name, far)
    );
    (accepted.expect("a handshake"), connected.expect("a handshake"))
}

/// rustls takes 64 KiB more than the wire, and these alone take longer than `write_wait`.
#[tokio::test(start_paused = true)]
async fn a_steady_reader_over_tls_gets_a_frame_to_its_last_byte() {
    let (ours, theirs) = tls_over_a_wire(5 * KIB).await;
    let server = serve(ours).await;
    send(&server, 100 * KIB);
    let got = read_steadily(theirs, 64 * KIB, 100 * KIB).await;
    assert!(got >= 100 * KIB, "{got} bytes came");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_steady_reader_over_tls_gets_a_frame_of_many_times_what_tls_holds_back() {
    let (ours, theirs) = tls_over_a_wire(5 * KIB).await;
    let server = serve(ours).await;
    send(&server, 600 * KIB);
    let got = read_steadily(theirs, 64 * KIB, 600 * KIB).await;
    assert!(got >= 600 * KIB, "{got} bytes came");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_steady_reader_gets_a_frame_that_a_buffer_has_taken_whole() {
    let (ours, theirs) = buffered(128 * KIB);
    let server = serve(ours).await;
    send(&server, 120 * KIB);
    let got = read_steadily(theirs, 8 * KIB, 120 * KIB).await;
    assert!(got >= 120 * KIB, "{got} bytes came");
    server.close().await;
}

/// It takes nothing of the second frame before the first has gone, which shows no progress.
#[tokio::test(start_paused = true)]
async fn a_steady_reader_gets_a_frame_that_waits_for_a_buffer_to_be_empty() {
    let (ours, theirs) = buffered(128 * KIB);
    let server = serve(ours).await;
    send(&server, 120 * KIB);
    sleep(Duration::from_millis(1)).await;
    send(&server, 120 * KIB);
    let got = read_steadily(theirs, 8 * KIB, 240 * KIB).await;
    assert!(got >= 240 * KIB, "{got} bytes came");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_nothing_has_the_time_of_what_its_stream_holds_back() {
    let (ours, _theirs) = buffered(128 * KIB);
    let server = serve(ours).await;
    send(&server, 120 * KIB);
    let elapsed = time_to_suspension(&server).await;
    let expected = WRITE_WAIT + time_for(120 * KIB, LEAST_RATE);
    assert!((expected..expected + SLACK).contains(&elapsed), "{elapsed:?}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_nothing_has_no_more_time_than_for_256_kib() {
    let (ours, _theirs) = buffered(2048 * KIB);
    let server = serve(ours).await;
    send(&server, 1024 * KIB);
    let elapsed = time_to_suspension(&server).await;
    let expected = WRITE_WAIT + time_for(256 * KIB, LEAST_RATE);
    assert!((expected..expected + SLACK).contains(&elapsed), "{elapsed:?}");
    server.close().await;
}

/// As plain TCP: it is flushed at once, whatever it was given.
#[tokio::test(start_paused = true)]
async fn a_reader_of_nothing_behind_a_stream_that_holds_nothing_back_has_the_write_wait() {
    let (ours, _theirs) = duplex(128 * KIB);
    let server = serve(ours).await;
    send(&server, 1024 * KIB);
    let elapsed = time_to_suspension(&server).await;
    assert!((WRITE_WAIT..WRITE_WAIT + SLACK).contains(&elapsed), "{elapsed:?}");
    server.close().await;
}
