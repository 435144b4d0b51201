//! From HTTP requests to connections.

mod handshake;
mod response;
mod service;

pub use service::{Accepted, Handshake, Response};
