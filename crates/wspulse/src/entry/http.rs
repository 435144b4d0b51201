//! From HTTP requests to connections.
#![expect(
    clippy::result_large_err,
    reason = "a refused request is answered with a whole response, which is moved once"
)]

pub(crate) mod authority;
mod exchange;
#[cfg(feature = "http2")]
mod extended_connect;
mod handshake;
mod response;
mod service;

/// Of the crate `http`, for a [`Rejection`](crate::Rejection) and a
/// [`ConnectRequest`](crate::ConnectRequest): whoever needs no more of it need not depend on it.
pub use ::http::{StatusCode, Version, header};
pub use service::{Accepted, Handshake, Response};
