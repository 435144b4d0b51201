//! Runs against servers in this process, each on a port of its own.

mod counts;
mod cuts;
mod handshakes;
mod latencies;
mod limits;
mod program;
mod rooms;
mod support;
