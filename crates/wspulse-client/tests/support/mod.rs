//! What the tests share: the far side of a client's links, played or real.

#![allow(dead_code, reason = "every binary uses a part of it")]

pub(crate) mod real;
pub(crate) mod road;
pub(crate) mod stage;
