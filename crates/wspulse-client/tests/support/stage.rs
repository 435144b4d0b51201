//! A client in memory, and the far side of its transports, played by the test.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{CloseFrame, Role};
use wspulse_client::{Client, ClientBuilder, Event, Messages};

/// Longer than any delay of a test, under the paused clock.
pub(crate) const LONG: Duration = Duration::from_mins(10);

/// Shorter than what a client waits for by itself.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

/// Where a client's transports arrive.
pub(crate) struct Stage {
    transports: mpsc::UnboundedReceiver<DuplexStream>,
}

/// A client that connects to the stage, with these options.
pub(crate) fn connect(
    options: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Client, Messages, Stage) {
    let (builder, stage) = stage(Client::builder("ws://server.example/ws?room=lobby"));
    let (client, messages) = options(builder).connect().unwrap();
    (client, messages, stage)
}

/// Has a client's transports arrive at the stage.
pub(crate) fn stage(builder: ClientBuilder) -> (ClientBuilder, Stage) {
    let (sender, transports) = mpsc::unbounded_channel();
    let builder = builder.connector(move |_| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let sent = sender.send(far).map_err(|_| io::Error::other("the test has gone"));
        async move { sent.map(|()| near) }
    });
    (builder, Stage { transports })
}

impl Stage {
    /// The next attempt to connect, up to its request.
    pub(crate) async fn request(&mut self) -> Request {
        let transport = timeout(LONG, self.transports.recv()).await.expect("an attempt in time");
        let mut stream = transport.expect("the client is there");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "the client has hung up");
        }
        Request { stream, head: String::from_utf8(head).unwrap() }
    }

    pub(crate) async fn nothing(&mut self, time: Duration) {
        // The way to the stage is gone once the client has ended.
        let attempt = timeout(time, self.transports.recv()).await;
        assert!(!matches!(attempt, Ok(Some(_))), "the client connects");
    }

    /// Opens the next transport with `wspulse.1+json`, and says hello.
    pub(crate) async fn welcome(&mut self, hello: &str) -> Server {
        let mut server = self.request().await.accept("wspulse.1+json").await;
        server.say(hello).await;
        server
    }
}

/// A handshake that waits for its answer.
pub(crate) struct Request {
    stream: DuplexStream,
    pub(crate) head: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn protocols(&self) -> Vec<&str> {
        self.header("sec-websocket-protocol").map_or(vec![], |line| line.split(", ").collect())
    }

    /// Answers with this subprotocol; an empty one is none.
    pub(crate) async fn accept(self, protocol: &str) -> Server {
        let stream = self.accept_with(protocol, "").await;
        Server(WebSocketStream::from_raw_socket(stream, Role::Server, None).await)
    }

    /// Answers with these headers as well, each a whole line, and leaves the bytes to the test.
    pub(crate) async fn accept_with(mut self, protocol: &str, headers: &str) -> DuplexStream {
        let accept = derive_accept_key(self.header("sec-websocket-key").unwrap().as_bytes());
        let chosen = match protocol {
            "" => String::new(),
            protocol => format!("Sec-WebSocket-Protocol: {protocol}\r\n"),
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{chosen}{headers}\r\n"
        );
        self.stream.write_all(answer.as_bytes()).await.unwrap();
        self.stream
    }

    /// Refuses with a status line and headers.
    pub(crate) async fn refuse(mut self, status_and_headers: &str) {
        let answer = format!("HTTP/1.1 {status_and_headers}\r\nContent-Length: 0\r\n\r\n");
        self.stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// The far side of an open transport.
pub(crate) struct Server(pub(crate) WebSocketStream<DuplexStream>);

impl Server {
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message of any kind.
    pub(crate) async fn any(&mut self) -> Message {
        let message = timeout(LONG, self.0.next()).await.expect("a message in time");
        message.expect("the client is there").unwrap()
    }

    pub(crate) async fn heard(&mut self) -> Value {
        let message = self.any().await;
        let Message::Text(text) = message else { panic!("instead of a text: {message:?}") };
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn nothing(&mut self) {
        if let Ok(message) = timeout(MOMENT, self.0.next()).await {
            panic!("the client has written {message:?}");
        }
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.0.send(Message::Close(Some(frame))).await.unwrap();
    }

    /// Which code the client closes with.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        while let Some(message) = timeout(LONG, self.0.next()).await.expect("an end in time") {
            match message {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

/// A `hello` for these members; the others are unremarkable.
pub(crate) fn hello(session: &str, token: &str, members: &[(&str, u64)]) -> String {
    let mut hello = serde_json::json!({
        "session": session, "id": "ann", "token": token, "received": 0, "handled": 0, "replay": 0,
        "silence": 60_000, "window": 60_000, "message_max": 65_536,
    });
    for (name, value) in members {
        hello[*name] = Value::from(*value);
    }
    serde_json::json!(["hello", hello]).to_string()
}

/// The next event that is not about being disconnected.
pub(crate) async fn next(messages: &mut Messages) -> Event {
    loop {
        let event = timeout(LONG, messages.next()).await.expect("an event in time");
        let event = event.expect("an event before the end");
        if !matches!(event, Event::Disconnected { .. } | Event::Reconnecting { .. }) {
            return event;
        }
    }
}
