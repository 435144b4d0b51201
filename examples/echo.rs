//! Sends every WebSocket message back as it came: text as text, binary as binary. Conformance
//! suites talk to this one; it also shows a codec for messages that are no frames, and compresses for
//! clients that can read it.
//!
//! `cargo run --release --example echo -- 127.0.0.1:9001`

use tokio::net::TcpListener;
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage};
use wspulse::{Admission, Compression, Frame, MessageKind, Server};

/// Takes a message for a frame's payload and keeps its kind in the frame's event.
struct Verbatim;

const TEXT: &str = "text";
const BINARY: &str = "binary";

impl Codec for Verbatim {
    fn kind(&self, frame: &Frame) -> MessageKind {
        if frame.event() == TEXT { MessageKind::Text } else { MessageKind::Binary }
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame.payload());
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        let event = match message.kind() {
            MessageKind::Text => TEXT,
            MessageKind::Binary => BINARY,
        };
        Ok(Frame::new(event).with_payload(message.into_bytes()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let server = Server::builder_sync(|_| Ok(Admission::room("echo")))
        .codec(Verbatim)
        // Twice the largest message of the Autobahn suite.
        .max_message_size(32 * 1024 * 1024)
        // Twice what its most fragmented messages have.
        .max_message_fragments(128 * 1024)
        // Whatever their size, since suites ask for it.
        .compression(Compression::shared().min_bytes(0))
        .on_message(|connection, frame| {
            if let Err(error) = connection.send(frame) {
                tracing::warn!("{error}");
            }
        })
        .build()?;

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("echoing at ws://{}/", listener.local_addr()?);
    tokio::select! {
        ended = wspulse::serve(listener, server.clone()) => ended?,
        _ = tokio::signal::ctrl_c() => server.close().await,
    }
    Ok(())
}
