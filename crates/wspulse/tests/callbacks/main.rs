//! When the application's code is called, and what it costs others if it blocks or panics.

mod awaited_words;
mod blocked;
mod held_threads;
mod last;
mod on_undecodable;
mod order;
mod order_under_flapping;
mod panicking;
mod panicking_streams;
mod rooms;
mod slow;
mod spent_budgets;
#[path = "../support/mod.rs"]
mod support;
