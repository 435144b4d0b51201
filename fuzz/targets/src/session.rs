//! The life of a connection id, with the fuzzer's bytes for dice.

use crate::dice::Dice;
use crate::env::Env;
use crate::world::World;

/// Plays a life of a connection id against the session's model: what arrives, gets lost, expires
/// and in which order is the script's choice.
///
/// # Panics
///
/// If the library has a fault.
pub fn session(script: &[u8]) {
    World::new(Env::new(Dice::new(script))).live();
}
