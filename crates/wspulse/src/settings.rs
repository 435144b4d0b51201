//! What a server is told at its start, in checked values.

pub(crate) mod announcement;
pub(crate) mod codecs;
pub(crate) mod compression;
pub(crate) mod connect;
pub(crate) mod error;
pub(crate) mod options;
pub(crate) mod representations;
pub(crate) mod room_options;
pub(crate) mod token;
