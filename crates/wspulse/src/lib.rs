//! A WebSocket room server whose sessions survive network drops.
//!
//! A [`Server`] is built from a connect function, which says who may come into which room and
//! under which id, and from callbacks. Clients become [`Connection`]s and exchange [`Frame`]s; a
//! room is a string.
//!
//! ```no_run
//! use std::time::Duration;
//! use wspulse::{Admission, Rejection, Server, origin};
//!
//! let server = Server::builder(|request| async move {
//!     let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
//!     Ok(Admission::room("lobby").id(user))
//! })
//! .on_message(|conn, frame| async move {
//!     let _ = conn.room().broadcast(frame.with_event("said").with_id(""));
//! })
//! .check_origin(origin::same_origin())
//! .resume_window(Duration::from_secs(30))
//! .build()?;
//!
//! let app: axum::Router = axum::Router::new().route_service("/ws", server.clone());
//! # Ok::<(), wspulse::ConfigError>(())
//! ```
//!
//! A server is a service: axum mounts it with `route_service`, not with `route` and `get`.
//!
//! # Ways in
//!
//! All of these are served best by [`serve`](serve()), or behind a proxy, where strangers connect.
//!
//! - **A tower service:** [`Server`] implements [`tower_service::Service`] for HTTP requests, so
//!   axum mounts it with `route_service`, and [`Server::serve`] answers a request of hyper's.
//! - **From inside a handler** that has authenticated the client: [`Server::upgrade`] with an
//!   [`Admission`] of its own.
//! - **Any other framework or byte stream:** [`Server::handshake`], then
//!   [`connect`](http::Handshake::connect) or [`admit`](http::Handshake::admit), then write the
//!   [`response`](http::Accepted::response) and [`attach`](http::Accepted::attach) the stream.
//!
//! # Where things are
//!
//! - Options and callbacks are methods of [`ServerBuilder`]; each says its default and bounds.
//! - Handlers by event, with extractors and middleware: [`router`].
//! - What becomes of a frame: [`Connection::outbound_stats`], [`DropReason`]. What ends a transport
//!   or a connection: [`TransportLost`], [`Disconnect`].
//! - Metrics: [`MetricsCollector`]. Origin checks: [`origin`].
//! - Logs go through [`tracing`](https://docs.rs/tracing): without a subscriber, such as
//!   `tracing_subscriber::fmt::init()`, there are none.
#![cfg_attr(feature = "testing", doc = "- Servers, clients and links for your tests: [`testing`].")]
//!
//! # What is guaranteed
//!
//! Frames that one task sends to a connection arrive in that order; all members of a room get its
//! broadcasts in one order. Every accepted frame is sent, dropped with a reason, or pending. A
//! client that comes back within the [resume window](ServerBuilder::resume_window), under the same
//! id, gets its session and what waited. Past the socket, delivery is at most once, or at least
//! once where the server [promises](ServerBuilder::delivery) it.
//!
//! # Features
//!
//! All are off by default and only add: `axum`, the client's address under `axum::serve`; `cbor`,
//! `msgpack` and `protobuf`, the codecs of those names; `compression`, permessage-deflate; `http2`,
//! WebSockets over HTTP/2; `rustls`, TLS for [`serve`](serve()), without cryptography; `testing`,
//! servers, clients and links for the tests of applications.

mod app;
pub mod cluster;
mod entry;
mod ground;
mod membership;
#[cfg(all(test, shuttle))]
mod models;
mod observe;
pub mod router;
mod settings;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use entry::{http, origin, serve};
pub use observe::departures::{Departure, DepartureKind};
pub use observe::metrics;

pub use app::builder::ServerBuilder;
pub use app::connection::{Connection, ConnectionReadings};
pub use app::handler::{Async, CallbackOutput, ConnectFuture, Plain};
pub use app::request::{Request, RoomRequest};
pub use app::restored::Restored;
pub use app::returning::Returning;
pub use app::room::{Append, Audience, LoggedFrame, Room, User};
pub use app::server::{FanOut, Server, Watch};
pub use app::tap::{Direction, Tap, Tapped};
pub use entry::serve::serve;
pub use ground::address::PeerAddr;
pub use membership::presence::person::{
    Person, PersonId, PresenceChanges, PresenceSnapshot, PresenceState,
};
pub use membership::shared::ConnectionState;
pub use observe::metrics::{
    CallbackKind, DropReason, GroupKind, Limit, MetricsCollector, NoopCollector,
};
pub use router::Router;
#[cfg(feature = "compression")]
pub use settings::compression::Compression;
pub use settings::connect::{Admission, ConnectRequest, QueryError, Rejection};
pub use settings::error::{
    AppendError, BroadcastError, BufferLimit, ConfigError, HistoryError, JoinError, KickError,
    NotAcknowledged, PresenceError, RenewError, RequestError, RequestLimit, SendError,
    ServerClosed,
};
pub use settings::options::{Delivery, DuplicatePolicy, IdScope, RoomChange, UserLimit};
pub use settings::room_options::RoomOptions;
pub use wspulse_core::codec;
pub use wspulse_core::websocket::ProtocolError;
pub use wspulse_core::{
    CloseCode, CloseFrame, Disconnect, DisconnectReason, Escaped, Frame, InboundRate,
    InvalidCloseCode, KEY_BYTES_MAX, KeyTooLong, Marks, MessageKind, OutboundStats, Outgoing,
    OverRate, Overflow, PanicError, PayloadError, PayloadFormat, Rate, TransportLost,
};

/// The examples of the README and of the pages, run as tests. Those of `docs/testing.md` are parts of
/// a crate, `examples/template`.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident: $path:literal,)*) => { $(#[doc = include_str!($path)] struct $name;)* };
    }

    pages! {
        Readme: "../README.md",
        Auth: "../docs/auth.md",
        Callbacks: "../docs/callbacks.md",
        Cluster: "../docs/cluster.md",
        Codecs: "../docs/codecs.md",
        Compression: "../docs/compression.md",
        Deploys: "../docs/deploys.md",
        Heartbeats: "../docs/heartbeats.md",
        History: "../docs/history.md",
        Inspector: "../docs/inspector.md",
        Machine: "../docs/machine.md",
        Moving: "../docs/moving.md",
        Overflow: "../docs/overflow.md",
        Presence: "../docs/presence.md",
        Proxies: "../docs/proxies.md",
        Requests: "../docs/requests.md",
        Rooms: "../docs/rooms.md",
        Routing: "../docs/routing.md",
        Security: "../docs/security.md",
        Tour: "../docs/tour.md",
        Tracing: "../docs/tracing.md",
        WaysIn: "../docs/ways-in.md",
    }
}
