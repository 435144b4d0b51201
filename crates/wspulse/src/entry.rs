//! The ways in: HTTP requests that become connections.

pub mod http;
pub mod origin;
pub mod serve;
