//! Byte streams that carry WebSocket frames.

pub(crate) mod transport;
