//! Models of what threads share, run under thousands of schedules by shuttle: the real server, its
//! tasks and locks included, with clients that live in memory. Time stands still in them, unless it is told to pass.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p wspulse --lib models::`. `WSPULSE_SCHEDULES=n` sets how
//! many schedules of each kind a model runs under. A failure prints its schedule, which
//! `shuttle::replay` plays again.

mod claims;
mod delivery;
mod drain;
mod expiry;
mod histories;
mod hooks;
mod lending;
mod mailbox;
mod memberships;
mod moves;
mod own_task;
mod presence;
mod registry;
mod requests;
mod rooms;
mod shutdown;
mod stage;
mod taps;
mod users;
