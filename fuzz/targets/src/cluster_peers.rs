//! A server among hostile ones, with the fuzzer's bytes for dice.

use crate::dice::Dice;
use crate::hostile_peers::live;

/// Plays the life of a server among others that say anything, in any order: what is held, asked and
/// kept stays within its bounds, and nothing is due again at once.
///
/// # Panics
///
/// If the library has a fault.
pub fn cluster_peers(script: &[u8]) {
    live(&mut Dice::new(script));
}
