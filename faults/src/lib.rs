//! Attacks on a real server process over real sockets.
//!
//! The server under attack ([`server`]) is a process of its own, so that its memory and its
//! descriptors can be read from outside and its end would be seen. A [`Siege`] is such a server
//! with two healthy clients that go on talking, whatever is done to it.

pub mod clients;
pub mod control;
pub mod load;
pub mod process;
pub mod server;
pub mod soak;

mod attacked;
mod healthy;
mod reserved;
mod siege;

pub use attacked::Attacked;
pub use healthy::{Exchange, HealthyPair};
pub use reserved::ReservedAddress;
pub use siege::{KIB, MIB, Siege};

/// The code on the pages of `docs/`. It is compiled here, since packages on a registry hold no
/// files from outside of their folder.
#[cfg(doctest)]
#[doc = include_str!("../../docs/auth.md")]
#[doc = include_str!("../../docs/callbacks.md")]
#[doc = include_str!("../../docs/clients.md")]
#[doc = include_str!("../../docs/deploys.md")]
#[doc = include_str!("../../docs/guarantees.md")]
#[doc = include_str!("../../docs/history.md")]
#[doc = include_str!("../../docs/metrics.md")]
#[doc = include_str!("../../docs/migration.md")]
#[doc = include_str!("../../docs/moving.md")]
#[doc = include_str!("../../docs/options.md")]
#[doc = include_str!("../../docs/overflow.md")]
#[doc = include_str!("../../docs/presence.md")]
#[doc = include_str!("../../docs/proxies.md")]
#[doc = include_str!("../../docs/requests.md")]
#[doc = include_str!("../../docs/rooms.md")]
#[doc = include_str!("../../docs/routing.md")]
#[doc = include_str!("../../docs/security.md")]
#[doc = include_str!("../../docs/tracing.md")]
#[doc = include_str!("../../docs/ways-in.md")]
#[doc = include_str!("../../docs/wire.md")]
struct Pages;
