//! Frames and the messages of `wspulse.1`, to bytes and back.

mod json_buffers;
mod json_codec;
mod json_properties;
mod json_reference;
#[cfg(feature = "msgpack")]
mod msgpack_codec;
#[cfg(feature = "msgpack")]
mod msgpack_properties;
#[cfg(feature = "msgpack")]
mod payload_formats;
mod protocol_vectors;
