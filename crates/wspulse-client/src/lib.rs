#![doc = include_str!("../README.md")]

mod builder;
mod callbacks;
mod client;
mod compression;
mod driver;
mod error;
mod event;
mod inbox;
mod options;
mod session;
mod shared;
mod target;
mod transport;

pub use builder::ClientBuilder;
pub use client::{Client, Messages};
#[cfg(feature = "compression")]
pub use compression::Compression;
pub use error::{ConfigError, RequestError, SendError};
pub use event::{Cause, EndCause, Event, SessionStart};
pub use session::Sessions;
pub use target::{Target, TargetError};
/// What [`ClientBuilder::tls_config`] takes its configuration from.
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
#[cfg(feature = "rustls")]
pub use transport::Roots;
pub use transport::{Address, ByteStream, Proxy};
pub use wspulse_core::{Frame, MessageKind, PayloadError, PayloadFormat, codec};
