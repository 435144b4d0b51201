//! Several servers in one process: a network in memory whose faults come from a seed, and the suite
//! that each [`Engine`](crate::cluster::Engine) must pass.
//!
//! - [`MemoryNetwork`] makes a [`MemoryEngine`] for each server, and fails as [`NetworkFaults`] say.
//! - [`conformance`] holds the [`Engines`] of a cluster to what [`Engine`](crate::cluster::Engine) asks.

mod conformance;
mod faults;
mod logs;
mod memory;
mod memory_log;
mod network;
mod state;

pub use conformance::{Engines, Interruption, conformance};
pub use faults::NetworkFaults;
pub use memory::MemoryEngine;
pub use network::MemoryNetwork;
