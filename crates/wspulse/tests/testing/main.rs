//! The test kit, by what it promises: that tests of applications see what happens, and say so.

mod assertions;
mod broken_engines;
mod broken_logs;
mod cluster;
mod faults;
mod seeds;
mod times;
mod ways_in;
