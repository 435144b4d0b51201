//! From bytes to messages.

mod client_stream;
#[cfg(feature = "deflate")]
mod compressed;
mod decoder;
mod decoder_against_tungstenite;
mod fragments;
mod readings;
