//! A client's frames of HTTP/2 into a server, in memory and under virtual time, beside a client that
//! keeps to the rules.

mod frames;
mod service;

use std::cell::OnceCell;
use std::panic;
use std::sync::Once;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};
use wspulse::Frame;
use wspulse::serve::Http2;
use wspulse::testing::{Dialler, TestClient, memory_listener, request_head};

use frames::{Script, Streams};
use service::{Pages, Reading};

use crate::neighbour::Neighbour;

/// What everybody gets who waits for it, in virtual time: longer than any of the server's own timeouts.
const PATIENCE: Duration = Duration::from_mins(5);

/// The longest payload that a server may send to a client that has asked for no more.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Makes frames of the bytes, and writes them to a server, with time passing and bodies being read as the
/// bytes say. What the server answers must be frames; data must be read in the order that it was sent in;
/// no more requests may be answered at a time than there may be streams; the connection must end with its
/// client, and another client must be served on.
///
/// # Panics
///
/// If the library has a fault.
pub fn http2(data: &[u8]) {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    let mut script = Script::new(data);
    let Some(options) = script.byte() else { return };
    pardon_h2();
    RUNTIME.with(|runtime| {
        runtime.get_or_init(new_runtime).block_on(play(usize::from(options), script));
    });
}

/// In debug builds, h2 (0.4.20) asserts that it counts no stream when it is dropped. It does count those
/// whose client has hung up while data waited for its window. Nothing is wrong in that but the count.
fn pardon_h2() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_in_counts =
                panic.location().is_some_and(|at| at.file().ends_with("proto/streams/counts.rs"));
            let is_count = panic.payload_as_str().is_some_and(|text| text.contains("has_streams"));
            if !(is_in_counts && is_count) {
                hook(panic);
            }
        }));
    });
}

fn new_runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime")
}

/// One of these, and what is left of the number for the next choice.
const fn pick<T: Copy, const N: usize>(number: &mut usize, of: &[T; N]) -> T {
    let picked = of[*number % N];
    *number /= N;
    picked
}

async fn play(mut options: usize, mut script: Script<'_>) {
    let streams_max = pick(&mut options, &[1, 4, 256]);
    let window_bytes = pick(&mut options, &[1024, 16 * 1024]);
    let capacity_bytes = pick(&mut options, &[64 * 1024, 1000, 30]);
    let http2 = Http2::new().max_streams(streams_max).stream_window_bytes(window_bytes);

    let reading = Reading::new();
    let server = service::server(&reading);
    let (dialler, listener) = memory_listener();
    let pages = Pages::new(server.clone(), reading.clone());
    let serving = tokio::spawn(wspulse::serve(listener, pages).http2(http2).into_future());
    let neighbour = move_in(&dialler).await;

    let mut client = Client::connect(dialler.dial_with_capacity(capacity_bytes));
    client.write(PREFACE).await;
    let mut streams = Streams::default();
    while let Some(step) = streams.next_step(&mut script) {
        if step.is_arbitrary {
            reading.trust_no_order();
        }
        client.write(&step.bytes).await;
        reading.permit(step.reads);
        if step.yields {
            yield_now().await;
        }
        if !step.passes.is_zero() {
            sleep(step.passes).await;
        }
        assert!(reading.answering_max() <= streams_max as usize, "more requests than streams");
    }
    client.leave().await;
    move_out(neighbour).await;
    assert!(!serving.is_finished());
    serving.abort();
    let _ = serving.await;
    reading.permit(usize::MAX >> 4);
    timeout(PATIENCE, server.close()).await.expect("it closes");
    assert_eq!(server.connection_count(), 0);
}

// ---- the client that the frames come from ----

struct Client {
    /// `None` once the server has ended the connection.
    writing: Option<WriteHalf<DuplexStream>>,
    reading: JoinHandle<()>,
}

impl Client {
    fn connect(stream: DuplexStream) -> Self {
        let (reading, writing) = split(stream);
        Self { writing: Some(writing), reading: tokio::spawn(judge(reading)) }
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(writing) = &mut self.writing {
            let written = timeout(PATIENCE, writing.write_all(bytes)).await;
            if written.expect("the server reads, or ends").is_err() {
                self.writing = None;
            }
        }
    }

    /// Hangs up, and waits for the server to do so too.
    async fn leave(mut self) {
        if let Some(mut writing) = self.writing.take() {
            // It fails if the server was faster.
            let _ = writing.shutdown().await;
        }
        let read = timeout(PATIENCE, self.reading).await;
        read.expect("the server hangs up").expect("the server keeps the protocol");
    }
}

/// Reads frames to the end of the connection.
async fn judge(mut reading: ReadHalf<DuplexStream>) {
    loop {
        let mut header = [0; 9];
        if reading.read_exact(&mut header).await.is_err() {
            return;
        }
        let [high, middle, low, ..] = header;
        let payload_bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
        assert!(payload_bytes <= PAYLOAD_BYTES_MAX, "{header:?}");
        let mut payload = vec![0; payload_bytes];
        if reading.read_exact(&mut payload).await.is_err() {
            return;
        }
    }
}

// ---- the client beside it ----

/// Connects, and reads and answers from then on.
async fn move_in(dialler: &Dialler) -> Neighbour {
    let mut client = TestClient::new(dialler.dial());
    client.write_raw(request_head("/ws?echo").as_bytes()).await.expect("a connection");
    let head = client.read_response_head().await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    Neighbour::move_in(client)
}

/// Has a word echoed, and leaves.
async fn move_out(neighbour: Neighbour) {
    let mut client = neighbour.stop().await;
    let said = Frame::new("last");
    client.send(&said).await.expect("it is connected");
    let heard = timeout(PATIENCE, client.frame()).await.expect("in time");
    assert_eq!(heard.expect("an echo"), said);
}
