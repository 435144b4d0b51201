//! The client of wspulse, so far its state machine.
#![allow(dead_code, reason = "what drives the machine is still to come")]

mod event;
mod session;

pub use event::{Cause, EndCause, Event, SessionStart};
