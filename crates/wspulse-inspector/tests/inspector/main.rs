//! The inspector as its page and strangers use it, in memory under tokio's paused clock.

mod actions;
mod guard;
mod lists;
mod live;
mod stage;
