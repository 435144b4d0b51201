//! WebSockets over HTTP/2 (RFC 8441): what holds over HTTP/1.1 holds there too, and what is HTTP/2's own.

mod both;
mod handshakes;
#[path = "../support/mod.rs"]
mod support;
mod ways;
