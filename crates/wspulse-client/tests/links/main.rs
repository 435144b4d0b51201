//! Links that break, stall or never come up, and how the client comes back.

mod coming_back;
mod compression;
mod compression_answers;
mod full_sockets;
mod late_attempts;
mod plain_servers;
mod silence;
#[path = "../support/mod.rs"]
mod support;
mod tcp;
