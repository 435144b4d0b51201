//! What a metrics collector is told: what, when, how often, in which order.

mod concurrency;
mod delivery;
mod departures;
mod faults;
mod lifecycle;
mod presence;
mod readings;
#[path = "../support/mod.rs"]
mod support;
mod suspensions;
mod traffic;
mod watches;
