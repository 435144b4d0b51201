//! A connection's task, from its first transport to its end.

pub(crate) mod driver;
