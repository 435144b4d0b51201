//! Frames and the messages of `wspulse.1`, to bytes and back.

#[cfg(feature = "cbor")]
mod cbor_codec;
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
#[cfg(feature = "protobuf")]
mod protobuf_codec;
mod protocol_vectors;
#[cfg(all(feature = "cbor", feature = "msgpack", feature = "protobuf"))]
mod rules;
