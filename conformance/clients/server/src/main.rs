//! Sends every message back as it came, compressed to whoever agrees, whatever its size. Other libraries'
//! clients talk to it.

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
    let server = Server::builder_sync(|_| Ok(Admission::room("echo")))
        .codec(Verbatim)
        .compression(Compression::shared().min_bytes(0))
        .max_message_size(4 * 1024 * 1024)
        .on_message(|connection, frame| {
            if let Err(error) = connection.send(frame) {
                eprintln!("{error}");
            }
        })
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    wspulse::serve(listener, server).await?;
    Ok(())
}
