//! The inbound half of the WebSocket protocol (RFC 6455 §5), without I/O.

mod decoder;
mod error;

pub use decoder::{Decoder, Flow, Sink};
pub use error::ProtocolError;
