//! A client that lives by itself: it answers Pings, keeps what it hears, and comes back when told to.

use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::request;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, join, sink, split};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{CloseCode, CloseFrame, Frame};

use super::dial::open;
use super::inbox::{End, Inbox, shown};
use super::link::Link;
use super::{Received, TestClient, masked};

/// A WebSocket client of a [`TestServer`](super::TestServer), as a page has one: it has come the whole
/// way in, speaks frames in JSON, answers Pings and the server's Close, and keeps what it hears for
/// the assertions of the test. It comes back when it is [told to](Self::reconnect). Dropping it is
/// closing the tab: its stream ends without a word.
///
/// It does not speak `wspulse.1`. For what that promises, use the client of `wspulse-client` over a
/// [`Link`], with an [`Inbox`]. For a peer that is silent, slow or rude, use
/// [`TestClient`].
#[derive(Debug)]
pub struct LiveClient {
    inbox: Inbox,
    link: Link,
    request: request::Parts,
    says: mpsc::UnboundedSender<Bytes>,
    behaviour: Arc<Behaviour>,
    task: Option<AbortOnDropHandle<()>>,
}

/// What the test has told the client's task.
#[derive(Debug, Default)]
struct Behaviour {
    ignores_pings: AtomicBool,
    /// It has sent its Close, so the server's is the answer.
    is_closing: AtomicBool,
}

impl LiveClient {
    pub(super) fn new(
        inbox: Inbox,
        link: Link,
        request: request::Parts,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Self {
        let (says, said) = mpsc::unbounded_channel();
        let behaviour = Arc::default();
        let mut client = Self { inbox, link, request, says, behaviour, task: None };
        client.begin(stream, said);
        client
    }

    fn begin(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        said: mpsc::UnboundedReceiver<Bytes>,
    ) {
        self.inbox.begin();
        let (inbox, behaviour) = (self.inbox.clone(), Arc::clone(&self.behaviour));
        let life = live(stream, self.says.clone(), said, inbox, behaviour);
        self.task = Some(AbortOnDropHandle::new(tokio::spawn(life)));
    }

    /// Sends a frame. It is written as soon as the client has its turn; what a link that has failed
    /// does with it is the link's matter.
    ///
    /// # Panics
    ///
    /// If the client knows that it has no transport any more, or the frame cannot be encoded.
    #[track_caller]
    pub fn send(&self, frame: &Frame) {
        self.check_transport(Location::caller(), frame.event());
        self.inbox.note(format_args!("says {}", shown(frame)));
        let mut text = Vec::new();
        JsonCodec.encode(frame, &mut text).expect("the frame can be encoded");
        self.write(masked(0x81, &text));
    }

    /// Sends a frame with this payload.
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send); also if the payload is none of JSON.
    #[track_caller]
    pub fn send_json(&self, event: &str, payload: impl Serialize) {
        self.send(&Frame::new(event).json(&payload).expect("the payload is one of JSON"));
    }

    /// Writes bytes as they are, such as those of [`masked`] with something wrong in them.
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_raw(&self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.check_transport(Location::caller(), "bytes");
        self.inbox.note(format_args!("writes {} bytes", bytes.len()));
        self.write(bytes);
    }

    fn check_transport(&self, at: &Location<'_>, what: &str) {
        if self.inbox.has_ended() {
            self.inbox
                .fail(at, format_args!("has no transport to send {what} on: reconnect first"));
        }
    }

    fn write(&self, bytes: Bytes) {
        // Its receiver goes when the transport does, and then the bytes are lost as well.
        let _ = self.says.send(bytes);
    }

    /// Waits for a frame of this event, and takes the first: [`Inbox::expect`].
    ///
    /// # Panics
    ///
    /// If none comes within [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn expect(&self, event: &str) -> impl Future<Output = Frame> {
        self.inbox.expect(event)
    }

    /// Waits for a frame of this event with this payload, and takes the first:
    /// [`Inbox::expect_json`].
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn expect_json(&self, event: &str, payload: impl Serialize) -> impl Future<Output = Frame> {
        self.inbox.expect_json(event, payload)
    }

    /// Waits for the next frame, whatever it is, and takes it: [`Inbox::next`].
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn next(&self) -> impl Future<Output = Frame> {
        self.inbox.next()
    }

    /// Asserts that no frame of this event is here, or comes within the next 100 ms:
    /// [`Inbox::refute`].
    ///
    /// # Panics
    ///
    /// If one is here, or comes.
    #[track_caller]
    pub fn refute(&self, event: &str) -> impl Future<Output = ()> {
        self.inbox.refute(event)
    }

    /// Waits for the server's Close frame and returns it; `None` for an empty one.
    ///
    /// # Panics
    ///
    /// If none comes within [`patience`](super::TestServer::patience), or the transport is lost.
    #[track_caller]
    pub fn expect_close(&self) -> impl Future<Output = Option<CloseFrame>> {
        let at = Location::caller();
        async move {
            match self.inbox.expect_end(at, "closed").await {
                End::Closed(frame) => frame,
                End::Lost(why) => self.inbox.fail(at, format_args!("was not closed: {why}")),
            }
        }
    }

    /// Waits until the transport ends without a Close frame, and says how.
    ///
    /// # Panics
    ///
    /// If it does not within [`patience`](super::TestServer::patience), or ends with a Close frame.
    #[track_caller]
    pub fn expect_lost(&self) -> impl Future<Output = String> {
        let at = Location::caller();
        async move {
            match self.inbox.expect_end(at, "cut off").await {
                End::Lost(why) => why,
                End::Closed(_) => self.inbox.fail(at, "was closed instead of being cut off"),
            }
        }
    }

    /// Says goodbye (1000) and waits for the server's answer.
    ///
    /// # Panics
    ///
    /// If it does not come within [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn close(self) -> impl Future<Output = ()> {
        let at = Location::caller();
        self.inbox.note("closes");
        self.behaviour.is_closing.store(true, Ordering::Relaxed);
        self.write(masked(0x88, &CloseCode::NORMAL.as_u16().to_be_bytes()));
        async move {
            // All of it, or its task would end here.
            let client = self;
            client.inbox.expect_end(at, "answered").await;
        }
    }

    /// Answers no Ping from now on, as a client that hangs.
    pub fn ignore_pings(&self) {
        self.behaviour.ignores_pings.store(true, Ordering::Relaxed);
    }

    /// Leaves the transport, if there is one, and comes with a new one by the same request: the
    /// session is resumed if it is there.
    ///
    /// # Panics
    ///
    /// If the server refuses it, or does not answer within [`patience`](super::TestServer::patience).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the old transport is gone and there may be no new one.
    #[track_caller]
    pub fn reconnect(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            if let Some(task) = self.task.take() {
                task.abort();
                // The old stream ends before the new one begins.
                let _ = task.await;
            }
            let stream = open(&self.inbox, &self.link, &self.request, at).await;
            let stream = stream.unwrap_or_else(|refused| {
                self.inbox.fail(at, format_args!("cannot come back: {refused}"))
            });
            let (says, said) = mpsc::unbounded_channel();
            self.says = says;
            self.behaviour = Arc::default();
            self.begin(stream, said);
        }
    }

    /// The link by which it is connected: cut it, silence it, restore it.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// What it has heard and no assertion has taken yet.
    pub const fn inbox(&self) -> &Inbox {
        &self.inbox
    }
}

/// Reads and writes side by side, so that neither waits for the other.
async fn live(
    stream: impl AsyncRead + AsyncWrite,
    says: mpsc::UnboundedSender<Bytes>,
    mut said: mpsc::UnboundedReceiver<Bytes>,
    inbox: Inbox,
    behaviour: Arc<Behaviour>,
) {
    let (read, mut write) = split(stream);
    let mut client = TestClient::new(join(read, sink()));
    let writing = async {
        while let Some(bytes) = said.recv().await {
            if let Err(error) = write.write_all(&bytes).await {
                inbox.note(format_args!("cannot write: {error}"));
                break;
            }
            let _ = write.flush().await;
        }
        // What the server says is still heard.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let end = hear(&mut client, &says, &inbox, &behaviour).await;
        inbox.end(end);
        // Until the server ends the stream, what was written is on its way.
        while let Ok(Received::Message(..) | Received::Ping(_) | Received::Pong(_)) =
            client.receive().await
        {}
    };
    let (mut writing, mut reading) = (pin!(writing), pin!(reading));
    tokio::select! {
        biased;
        () = &mut writing => {}
        () = &mut reading => {}
    }
}

/// Hears until the end of the transport.
async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut TestClient<S>,
    says: &mpsc::UnboundedSender<Bytes>,
    inbox: &Inbox,
    behaviour: &Behaviour,
) -> End {
    let answer = |bytes| drop(says.send(bytes));
    loop {
        match client.receive().await {
            Ok(Received::Message(kind, payload)) => {
                let length = payload.len();
                match JsonCodec.decode(InboundMessage::owned(kind, payload)) {
                    Ok(frame) => inbox.hear(frame),
                    Err(error) => {
                        inbox.note(format_args!("hears {length} bytes, no frame in JSON: {error}"));
                    }
                }
            }
            Ok(Received::Ping(payload)) => {
                if !behaviour.ignores_pings.load(Ordering::Relaxed) {
                    answer(masked(0x8a, &payload));
                }
            }
            Ok(Received::Pong(_)) => {}
            Ok(Received::Close(frame)) => {
                if !behaviour.is_closing.load(Ordering::Relaxed) {
                    let code = frame.as_ref().map(|frame| frame.code().as_u16().to_be_bytes());
                    answer(masked(0x88, code.as_ref().map_or(&[], |code| &code[..])));
                }
                return End::Closed(frame);
            }
            Ok(Received::End) => return End::Lost("its stream has ended".to_owned()),
            Err(error) => return End::Lost(error.to_string()),
        }
    }
}
