//! A server that tells everything it is told, and clients to talk to it.

#![allow(dead_code, reason = "every file of tests uses a part of it")]

pub(crate) mod reconnecting;

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, ConnectRequest, Connection, Disconnect, Frame, Rejection, Server, ServerBuilder,
    TransportLost,
};

pub(crate) type Client = TestClient<DuplexStream>;

/// A resume window for tests that are not about its length.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);

/// The resolution of the runtime's timers.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// What a callback was called with.
#[derive(Debug)]
pub(crate) enum Told {
    Connect(Connection),
    Message(Connection, Frame),
    Drop(Connection, TransportLost),
    Restore(Connection),
    Disconnect(Connection, Disconnect),
}

impl Told {
    /// The callback's name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Message(..) => "message",
            Self::Drop(..) => "drop",
            Self::Restore(_) => "restore",
            Self::Disconnect(..) => "disconnect",
        }
    }
}

/// A server with plain callbacks, and the channel that they tell.
pub(crate) struct Stage {
    pub(crate) server: Server,
    told: mpsc::UnboundedReceiver<Told>,
}

/// Lets everybody in: into the room of the query's `room`, else `lobby`, with the `id`, if any.
pub(crate) fn admit(request: &ConnectRequest) -> Admission {
    let admission = Admission::room(&*request.query("room").unwrap_or("lobby".into()));
    match request.query("id") {
        Some(id) => admission.id(&*id),
        None => admission,
    }
}

/// A builder whose connect function is [`admit`].
pub(crate) fn open_house() -> ServerBuilder {
    Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)))
}

impl Stage {
    /// A server with these options and callbacks that tell.
    pub(crate) fn new(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let [connect, message, lose, restore, disconnect] = [(); 5].map(|()| tell.clone());
        let builder = open_house()
            .on_connect(move |conn| drop(connect.send(Told::Connect(conn))))
            .on_message(move |conn, frame| drop(message.send(Told::Message(conn, frame))))
            .on_transport_drop(move |conn, cause| drop(lose.send(Told::Drop(conn, cause))))
            .on_transport_restore(move |conn, _| drop(restore.send(Told::Restore(conn))))
            .on_disconnect(move |conn, end| drop(disconnect.send(Told::Disconnect(conn, end))));
        let server = options(builder).build().expect("the options are valid");
        Self { server, told }
    }

    /// A server with default options: no resume window.
    pub(crate) fn plain() -> Self {
        Self::new(|builder| builder)
    }

    /// A server with [`WINDOW`].
    pub(crate) fn resuming() -> Self {
        Self::new(|builder| builder.resume_window(WINDOW))
    }

    /// Connects a client with this id to the room `lobby`; the connection is up when it returns.
    pub(crate) async fn join(&mut self, id: &str) -> (Client, Connection) {
        let client = dial(&self.server, id).await;
        let connection = self.connected().await;
        (client, connection)
    }

    /// Connects a client over a stream that holds so few bytes.
    pub(crate) async fn join_narrow(&mut self, id: &str, bytes: usize) -> (Client, Connection) {
        let target = format!("/ws?id={id}");
        let client = TestClient::connect_with_capacity(&self.server, &target, bytes).await;
        let connection = self.connected().await;
        (client.expect("admitted"), connection)
    }

    /// Brings a client back; its session is resumed when it returns.
    pub(crate) async fn rejoin(&mut self, id: &str) -> (Client, Connection) {
        let client = dial(&self.server, id).await;
        let connection = self.restored().await;
        (client, connection)
    }

    /// What the next callback was called with.
    pub(crate) async fn next(&mut self) -> Told {
        self.told.recv().await.expect("the server lives")
    }

    /// What was told already, by name.
    pub(crate) fn names_so_far(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.told.try_recv().ok()).map(|told| told.name()).collect()
    }

    pub(crate) async fn connected(&mut self) -> Connection {
        let told = self.next().await;
        let Told::Connect(connection) = told else { panic!("on_connect was due, {told:?} came") };
        connection
    }

    pub(crate) async fn message(&mut self) -> Frame {
        let told = self.next().await;
        let Told::Message(_, frame) = told else { panic!("on_message was due, {told:?} came") };
        frame
    }

    pub(crate) async fn dropped(&mut self) -> TransportLost {
        let told = self.next().await;
        let Told::Drop(_, cause) = told else { panic!("on_transport_drop was due, {told:?} came") };
        cause
    }

    pub(crate) async fn restored(&mut self) -> Connection {
        let told = self.next().await;
        let Told::Restore(connection) = told else {
            panic!("on_transport_restore was due, {told:?} came")
        };
        connection
    }

    pub(crate) async fn disconnected(&mut self) -> Disconnect {
        let told = self.next().await;
        let Told::Disconnect(_, end) = told else { panic!("on_disconnect was due, {told:?} came") };
        end
    }

    /// Asserts that, with every task idle, nothing more is told.
    pub(crate) async fn is_silent(&mut self) {
        if let Ok(told) = timeout(TICK, self.next()).await {
            panic!("nothing was due, {told:?} came");
        }
    }
}

/// Connects a client with this id to the room `lobby`.
pub(crate) async fn dial(server: &Server, id: &str) -> Client {
    TestClient::connect(server, &format!("/ws?id={id}")).await.expect("admitted")
}

/// A frame that carries a number.
pub(crate) fn numbered(number: usize) -> Frame {
    Frame::new("n").json(&number).expect("numbers are JSON")
}

/// The number in a frame.
pub(crate) fn number(frame: &Frame) -> usize {
    assert_eq!(frame.event(), "n");
    frame.to_json().expect("a numbered frame")
}

/// The numbers of the next frames that a client receives.
pub(crate) async fn numbers(client: &mut Client, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(number(&client.frame().await.expect("a frame")));
    }
    numbers
}

/// Asserts that, with every task idle, no frame comes.
pub(crate) async fn hears_nothing(client: &mut Client) {
    if let Ok(received) = timeout(TICK, client.receive()).await {
        panic!("nothing was due, {received:?} came");
    }
}

/// Lets every other task do what it can do at this instant of virtual time.
pub(crate) async fn settle() {
    tokio::time::sleep(TICK).await;
}

/// A moment less than a time.
pub(crate) fn shortly_before(time: Duration) -> Duration {
    time.checked_sub(2 * TICK).expect("times in tests are longer than that")
}

/// Asserts that a Ping that was due came so long after another, or after the transport.
#[track_caller]
pub(crate) fn assert_ping_passed(since: Instant, interval: Duration) {
    let passed = since.elapsed();
    let due = interval..=interval + interval / 30;
    assert!(due.contains(&passed), "{passed:?} passed, not {due:?}");
}

/// Asserts how much virtual time has passed, to the resolution of the timers.
#[track_caller]
pub(crate) fn assert_passed(since: Instant, expected: Duration) {
    let passed = since.elapsed();
    let difference = passed.abs_diff(expected);
    assert!(difference <= 2 * TICK, "{passed:?} passed, not {expected:?}");
}
