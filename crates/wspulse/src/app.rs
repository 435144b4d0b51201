//! What an application holds and gives: the handles, the builder, the callbacks.

pub(crate) mod builder;
pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod handler;
pub(crate) mod handoff;
mod presence;
pub(crate) mod request;
pub(crate) mod restored;
pub(crate) mod returning;
pub(crate) mod room;
pub(crate) mod server;
pub(crate) mod tap;
