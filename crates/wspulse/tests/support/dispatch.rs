//! A connection whose frames a router dispatches, and a journal of what ran.

use std::sync::Arc;
use std::sync::Mutex;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{Message, Role};
use wspulse::router::{Context, Middleware, Next, Router};
use wspulse::testing::request_parts;
use wspulse::{Admission, Connection, Frame, Server, ServerBuilder};

/// A client with the connection that it has on the server.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    socket: WebSocketStream<DuplexStream>,
}

impl Client {
    /// Connects to a server of its own that has no callbacks.
    pub(crate) async fn alone() -> Self {
        Self::of(Server::builder_sync(|_| Ok(Admission::room("r")))).await
    }

    /// Connects to a new server, as `c` in room `r`.
    pub(crate) async fn of(server: ServerBuilder) -> Self {
        Self::admitted(server, Admission::room("r").id("c")).await
    }

    pub(crate) async fn admitted(server: ServerBuilder, admission: Admission) -> Self {
        let server = server.build().expect("the options are valid");
        let handshake = server.handshake(request_parts("/")).expect("the handshake is valid");
        let accepted = handshake.admit(admission).await.expect("there is room");
        let (ours, theirs) = duplex(4096);
        accepted.attach(theirs, &[]);
        let connection = server.all_connections().pop().expect("it is registered");
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        Self { connection, socket }
    }

    pub(crate) async fn dispatch(&self, router: &Router, frame: Frame) {
        router.dispatch(self.connection.clone(), frame).await;
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the server reads");
    }

    /// The next message from the server.
    pub(crate) async fn receive(&mut self) -> Message {
        self.socket
            .next()
            .await
            .expect("the stream is open")
            .expect("the server keeps the protocol")
    }

    /// The next message from the server, as JSON.
    pub(crate) async fn receive_json(&mut self) -> serde_json::Value {
        let message = self.receive().await;
        serde_json::from_str(message.to_text().expect("a text message")).expect("JSON")
    }
}

/// A list that handlers and middleware write to.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    entries: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.entries.lock().unwrap().push(entry.into());
    }

    /// A handler that makes a note.
    pub(crate) fn handler(&self, entry: &'static str) -> impl Fn() + Send + Sync + 'static {
        let journal = self.clone();
        move || journal.note(entry)
    }

    /// Middleware that makes a note before and after the rest of the chain.
    pub(crate) fn around(&self, name: &'static str) -> impl Middleware + use<> {
        let journal = self.clone();
        move |context: Context, next: Next| {
            let journal = journal.clone();
            async move {
                journal.note(format!("{name} before"));
                let result = next.run(context).await;
                journal.note(format!("{name} after"));
                result
            }
        }
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }
}
