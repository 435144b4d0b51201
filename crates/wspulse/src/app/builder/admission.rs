//! The options that limit who gets in, as methods.

use http::StatusCode;

use super::ServerBuilder;
use crate::settings::options::UserLimit;
use crate::settings::options::admission::PerUser;

impl ServerBuilder {
    /// How many connections there may be, suspended ones included. Default: no limit; at least 1.
    ///
    /// A client for whom a *new* connection would be one too many is answered 503 `too many
    /// connections`. One that is admitted with the id of an existing connection is let in all the
    /// same: it resumes or replaces that one, and the number stays. Hence the connect function is
    /// asked even when there is no place left, for only it knows the id. Where no connection has
    /// an id of its [`Admission`](crate::Admission)'s, nothing can be resumed, and a full server
    /// refuses without asking.
    ///
    /// Connections that have ended, and still flush or run callbacks, have places of their own, four
    /// for each of these; beyond them a new connection is answered 503 with `Retry-After`. So a
    /// process needs more descriptors than this number. With or without a limit, at most four
    /// connections of one id may be ending beside the one that is there.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.options.admission.connections_max = Some(connections);
        self
    }

    /// How many connections there may be of clients with one IP address, suspended ones included.
    /// Default: no limit; at least 1. IPv6 addresses that share their first 64 bits count as one,
    /// since a single host commonly has as many as that to itself.
    ///
    /// A client for whom a *new* connection would be one too many is answered 429 `too many
    /// connections from this address`. One that is admitted with the id of an existing connection
    /// is let in, as with [`max_connections`](Self::max_connections), and takes its place along: a
    /// session counts where its client came from last.
    ///
    /// The address is what [`peer_addr`](Self::peer_addr) finds in the request, else the
    /// [`PeerAddr`](crate::PeerAddr) that the HTTP server has left in it, or axum's `ConnectInfo`
    /// with the feature `axum`. Where none of them tells it, the client is answered 500, with a
    /// line in the log that says what to do. Behind a proxy, set `peer_addr`: all clients have the
    /// proxy's address otherwise.
    pub const fn max_connections_per_addr(mut self, connections: usize) -> Self {
        self.options.admission.connections_per_addr_max = Some(connections);
        self
    }

    /// How many connections one [user](crate::Admission::user) may have, suspended ones included,
    /// and what happens to one more. Default: no limit; at least 1, at most 4,096. Connections of no
    /// user are not counted.
    ///
    /// A client that comes back to its own session, or replaces one of its user, takes no further
    /// place. As with [`max_connections`](Self::max_connections), those that have ended and are not
    /// done yet have places of their own, four for each of these; beyond them a new connection is
    /// answered 503 with `Retry-After`.
    ///
    /// ```
    /// use wspulse::{CloseCode, ServerBuilder, UserLimit};
    ///
    /// fn at_most_five_tabs(builder: ServerBuilder) -> ServerBuilder {
    ///     builder.max_connections_per_user(5, UserLimit::EndOldest(CloseCode::USER_LIMIT))
    /// }
    /// ```
    pub const fn max_connections_per_user(mut self, connections: usize, limit: UserLimit) -> Self {
        self.options.admission.per_user = Some(PerUser { connections_max: connections, limit });
        self
    }

    /// How many bytes a handshake's head may have: request line and headers, as HTTP/1.1 writes
    /// them. Default 16 KiB, at least 1 KiB, at most 1 MiB. Above it the answer is 431
    /// `Request Header Fields Too Large` (RFC 6585 §5), before anything else is looked at.
    ///
    /// Whatever reads the request has a bound of its own on what it buffers, which comes first:
    /// give [`Serve`](crate::serve::Serve::max_request_header_bytes) the same one.
    pub const fn max_request_header_bytes(mut self, bytes: usize) -> Self {
        self.options.admission.request_header_bytes_max = bytes;
        self
    }

    /// How many header fields a handshake may have. Default 100, at least 5, at most 1,024. Above
    /// it the answer is 431, as for
    /// [`max_request_header_bytes`](Self::max_request_header_bytes).
    pub const fn max_request_headers(mut self, headers: usize) -> Self {
        self.options.admission.request_headers_max = headers;
        self
    }

    /// What a client is answered if the connect function fails with an error that is no
    /// [`Rejection`](crate::Rejection), such as one of the database. Default: 500 `internal error`.
    /// The error's text goes to the log alone, at ERROR if the status is 500 or more.
    ///
    /// The Go library answers 401 `unauthorized`, which logs clients out while the database is
    /// down: `.reject_errors_with(StatusCode::UNAUTHORIZED)`.
    pub const fn reject_errors_with(mut self, status: StatusCode) -> Self {
        self.options.admission.error_status = Some(status);
        self
    }
}
