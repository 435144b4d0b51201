#![doc = include_str!("../README.md")]

mod asked;
mod builder;
mod client;
mod connection;
mod engine;
mod interest;
mod log;
mod outgoing;
mod readers;
mod subjects;

pub use builder::{Builder, OptionError};
pub use engine::NatsEngine;
pub use log::{LogOptions, LogStorage};
