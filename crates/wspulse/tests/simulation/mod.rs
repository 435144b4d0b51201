//! A whole server under virtual time, with clients that come, go, dawdle, misbehave and break off
//! over links that delay, cut up and lose what they carry, and a checker of what it promised.

pub(crate) mod app;
pub(crate) mod checks;
pub(crate) mod client;
pub(crate) mod hooks;
pub(crate) mod journal;
pub(crate) mod link;
pub(crate) mod mischief;
pub(crate) mod moods;
pub(crate) mod plan;
pub(crate) mod trace;
pub(crate) mod world;
