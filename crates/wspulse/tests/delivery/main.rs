//! What was sent arrives, in order, as often as was promised.

mod asking;
mod at_least_once;
mod at_least_once_cuts;
mod buffering_streams;
mod ends;
mod exactly_once;
mod exactly_once_cuts;
mod exactly_once_panics;
mod exactly_once_tokens;
mod long_frames;
mod outbound_order;
mod resumed_writes;
mod stale_answers;
#[path = "../support/mod.rs"]
mod support;
mod unanswered_questions;
mod wire_counts;
