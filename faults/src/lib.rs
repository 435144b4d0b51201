//! Attacks on a real server process over real sockets.
//!
//! The server under attack ([`server`]) is a process of its own, so that its memory and its
//! descriptors can be read from outside and its end would be seen. A [`Siege`] is such a server
//! with two healthy clients that go on talking, whatever is done to it.

pub mod clients;
pub mod cluster;
pub mod control;
pub mod load;
pub mod process;
pub mod server;
pub mod soak;

mod attacked;
mod child;
mod healthy;
mod reserved;
mod siege;

pub use attacked::Attacked;
pub use healthy::{Exchange, HealthyPair};
pub use reserved::ReservedAddress;
pub use siege::{KIB, MIB, Siege};
