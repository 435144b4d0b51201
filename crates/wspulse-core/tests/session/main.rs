//! The session's state machine, under a clock that is an argument.

mod awaited;
mod callback_order;
mod endless_times;
mod ends;
mod exchange;
mod expiry;
mod heartbeat;
mod inbound;
mod panics;
mod races;
mod rig;
mod stale_answers;
mod stalls;
mod suspension_limit;
mod token_bucket;
mod transitions;
