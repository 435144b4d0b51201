//! The inbound half of the WebSocket protocol (RFC 6455 §5), without I/O.

mod control;
mod decoder;
mod error;
mod header;
mod input;
mod mask;
mod partial;
mod utf8;

pub use decoder::{Decoder, Flow, Progress, Sink};
pub use error::ProtocolError;
