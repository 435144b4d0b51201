//! How connections and servers end, what is told of it, and what is left.

mod causes_are_told;
mod clients_that_never_hang_up;
mod close_frames;
mod drain;
mod ending_runtimes;
mod endless_streams;
mod ends_of_ones_own;
mod errors;
mod failed_writes;
mod kick_bypasses_resume;
mod leaks;
mod messages_behind_an_end;
mod shutdown;
mod stopped_farewells;
#[path = "../support/mod.rs"]
mod support;
