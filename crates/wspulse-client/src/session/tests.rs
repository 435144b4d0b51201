//! What cannot be seen from outside of the crate.

mod lies;
mod rules;
mod vectors;

use super::*;
