//! The inbound half of the WebSocket protocol (RFC 6455 §5), without I/O, and the frames that a client sends.

mod client_frame;
mod control;
mod decoder;
mod error;
mod header;
mod inflate;
mod input;
mod mask;
mod partial;
mod rules;
mod sink;
mod utf8;

pub use client_frame::ClientFrame;
pub use decoder::{Decoder, Progress};
pub use error::ProtocolError;
pub use inflate::compressed_bytes_max;
pub use sink::{Flow, Sink};
