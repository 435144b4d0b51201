//! A connection whose response is written by hand.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Response;
use crate::wire::transport::{StreamSender, Upgradable};

/// A registered connection that waits for its byte stream. Dropping it is losing the transport.
#[must_use = "the connection waits for its stream"]
pub struct Accepted {
    pub(super) response: Response,
    pub(super) stream: StreamSender,
}

impl Accepted {
    /// The response to write, before the stream is handed over.
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// Hands the stream over, once the response is written, with the bytes that were read from it
    /// beyond the request's end.
    pub fn attach<S>(self, stream: S, unread: &[u8])
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        // It fails if the connection gave up waiting; the stream is then dropped.
        let _ = self.stream.send(Upgradable::new(stream, unread));
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("response", &self.response).finish_non_exhaustive()
    }
}
