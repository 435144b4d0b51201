//! A server that tells everything it is told.

use tokio::sync::mpsc;
use tokio::time::timeout;
use wspulse::testing::TestClient;
use wspulse::{Connection, Disconnect, Frame, Server, ServerBuilder, TransportLost};

use super::clients::{Client, dial};
use super::clock::{TICK, WINDOW};
use super::house::open_house;

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
