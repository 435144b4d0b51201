//! WebSockets over HTTP/2 (RFC 8441): what holds over HTTP/1.1 holds there too, and what is HTTP/2's own.

mod answers;
mod both;
mod deadlines;
mod ends;
mod floods;
mod flow;
mod handshakes;
#[path = "../compression/client.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod offering;
mod options;
mod others;
mod places;
mod raw;
#[path = "../support/mod.rs"]
mod support;
mod waiting;
mod ways;
