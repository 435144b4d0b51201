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
mod siege;

pub use attacked::Attacked;
pub use healthy::{Exchange, HealthyPair};
pub use siege::{KIB, MIB, Siege};

/// The code on the pages of `docs/` that this package's tests hold.
#[cfg(doctest)]
#[doc = include_str!("../../docs/proxies.md")]
#[doc = include_str!("../../docs/security.md")]
struct Pages;
