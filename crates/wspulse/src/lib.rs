//! A WebSocket room server whose sessions survive network drops.

mod builder;
mod connect;
mod connection;
mod driver;
mod error;
mod handler;
pub mod http;
mod mailbox;
mod meter;
pub mod metrics;
mod options;
pub mod origin;
mod panics;
mod registry;
mod room;
pub mod router;
mod server;
mod shutdown;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;

pub use builder::ServerBuilder;
pub use connect::{Admission, ConnectRequest, Rejection};
pub use connection::{Connection, ConnectionState};
pub use error::{BroadcastError, ConfigError, KickError, SendError, ServerClosed};
pub use handler::{Async, CallbackOutput, Plain};
pub use metrics::{CallbackKind, DropReason, MetricsCollector, NoopCollector};
pub use options::DuplicatePolicy;
pub use room::Room;
pub use router::Router;
pub use server::Server;
pub use wspulse_core::codec;
pub use wspulse_core::websocket::ProtocolError;
pub use wspulse_core::{
    CloseCode, CloseFrame, Disconnect, DisconnectReason, Frame, MessageKind, OutboundStats,
    PanicError, PayloadError, TransportLost,
};
