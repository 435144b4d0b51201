//! A text that all who have the page open write at once, by the CRDT of Yjs and its port `yrs`.
//!
//! ```text
//! cargo run -p example-text [-- 127.0.0.1:3000]
//! ```
//!
//! It speaks the protocol of `y-websocket`, so editors with that provider (`CodeMirror`, `ProseMirror`,
//! …) connect as they are. Whoever comes back is brought up to date by the CRDT: there is nothing to
//! resume. Who else is there, and where, is *awareness*: the server passes it on, and tells of the end.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use bytes::Bytes;
use parking_lot::Mutex;
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage};
use wspulse::{Admission, Connection, Frame, MessageKind, Server, ServerBuilder, origin};
use yrs::sync::{Message, SyncMessage};
use yrs::updates::decoder::Decode as _;
use yrs::updates::encoder::Encode as _;
use yrs::{Doc, ReadTxn as _, Transact as _, Update};

/// As long as the text and its history may become, in bytes: nobody fills the server's memory.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message of Yjs is a whole binary message, and a frame's payload as it is.
struct YMessages;

impl Codec for YMessages {
    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Binary
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame.payload());
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Ok(Frame::default().with_payload(message.into_bytes()))
    }
}

fn frame_of(message: &Message) -> Frame {
    Frame::default().with_payload(message.encode_v1())
}

/// What a client has said last of itself, as it came: its name, and where its cursor is.
type Awareness = Mutex<Bytes>;

#[derive(Default)]
struct Text {
    doc: Doc,
    written_bytes: usize,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The server asks for what it does not have, and tells who else is there.
fn greet(text: &Mutex<Text>, conn: &Connection) -> Outcome {
    let state = text.lock().doc.transact().state_vector();
    conn.send(frame_of(&Message::Sync(SyncMessage::SyncStep1(state))))?;
    for other in conn.room().connections().iter().filter(|other| *other != conn) {
        let last = other.data::<Awareness>().map(|last| last.lock().clone()).unwrap_or_default();
        if !last.is_empty() {
            conn.send(Frame::default().with_payload(last))?;
        }
    }
    Ok(())
}

/// What is no message of Yjs is an error, and changes nothing.
fn receive(text: &Mutex<Text>, conn: &Connection, frame: Frame) -> Outcome {
    match Message::decode_v1(frame.payload())? {
        Message::Sync(SyncMessage::SyncStep1(state)) => {
            let missing = text.lock().doc.transact().encode_state_as_update_v1(&state);
            conn.send(frame_of(&Message::Sync(SyncMessage::SyncStep2(missing))))?;
        }
        Message::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
            let mut text = text.lock();
            text.written_bytes += update.len();
            if text.written_bytes > TEXT_BYTES_MAX {
                return Err("the text is full".into());
            }
            text.doc.transact_mut().apply_update(Update::decode_v1(&update)?)?;
            conn.room().broadcast_except(conn, frame)?;
        }
        Message::Awareness(_) => {
            if let Some(last) = conn.data::<Awareness>() {
                *last.lock() = frame.payload().clone();
            }
            conn.room().broadcast(frame)?; // to itself as well: so it hears that the link lives
        }
        Message::AwarenessQuery | Message::Auth(_) | Message::Custom(..) => {}
    }
    Ok(())
}

/// Tells the others that whoever has gone has no cursor any more.
fn say_goodbye(conn: &Connection) -> Outcome {
    let last = conn.data::<Awareness>().map(|last| last.lock().clone()).unwrap_or_default();
    if let Message::Awareness(mut last) = Message::decode_v1(&last)? {
        for client in last.clients.values_mut() {
            (client.clock, client.json) = (client.clock.saturating_add(1), "null".into());
        }
        conn.room().broadcast(frame_of(&Message::Awareness(last)))?;
    }
    Ok(())
}

fn builder() -> ServerBuilder {
    let text = Arc::new(Mutex::new(Text::default()));
    let greeting = text.clone();
    // Your own check of a token belongs here, as in the example `jwt`.
    Server::builder_sync(|_request| Ok(Admission::room("text").data(Awareness::default())))
        .codec(YMessages)
        .on_connect(move |conn| drop(greet(&greeting, &conn)))
        .on_message(move |conn, frame| drop(receive(&text, &conn, frame)))
        .on_disconnect(|conn, _end| drop(say_goodbye(&conn)))
        .check_origin(origin::same_origin())
        .max_message_size(1024 * 1024)
}

fn app(server: Server) -> Router {
    let yjs = ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("yjs.min.js"));
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/yjs.js", get(yjs))
        .route_service("/ws/text", server)
}

#[tokio::main]
async fn main() -> Outcome {
    tracing_subscriber::fmt::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("open http://{}/", listener.local_addr()?);
    Ok(wspulse::serve(listener, app(builder().build()?)).await?)
}

#[cfg(test)]
mod tests;
