//! What everything else stands on: locks, clocks, deadlines, addresses; nothing here knows of connections.

use std::pin::Pin;

pub(crate) mod address;
pub(crate) mod begun;
pub(crate) mod budget;
pub(crate) mod expiry;
pub(crate) mod panics;
pub(crate) mod ping_schedule;
pub(crate) mod queued_bytes;
pub(crate) mod reentrancy;
pub(crate) mod running_time;
pub(crate) mod runtimes;
pub(crate) mod shutdown;
pub(crate) mod sync;
pub(crate) mod throttle;
pub(crate) mod yielding;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
