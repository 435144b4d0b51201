//! From bytes to messages.

#[cfg(feature = "deflate")]
mod compressed;
mod decoder;
mod decoder_against_tungstenite;
mod fragments;
mod random_stream;
mod readings;
