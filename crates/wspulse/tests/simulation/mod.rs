//! A whole server under virtual time, with clients that come, go, dawdle and break off, and a
//! checker of what it promised.

pub(crate) mod client;
pub(crate) mod journal;
pub(crate) mod plan;
pub(crate) mod world;
