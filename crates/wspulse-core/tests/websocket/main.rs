//! From bytes to messages.

mod client_stream;
mod decoder;
mod decoder_against_tungstenite;
mod fragments;
mod readings;
