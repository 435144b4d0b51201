//! What clients send that they must not.

use rand::RngExt;
use rand::rngs::SmallRng;
use wspulse::testing::masked;

/// What may follow on the same transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aftermath {
    /// The server has read whole messages and goes on.
    GoesOn,
    /// Nothing that the server could make sense of.
    Nothing,
}

/// Whole messages that no codec here decodes, or bytes that violate the protocol.
pub(crate) fn draw(rng: &mut SmallRng) -> (Vec<u8>, Aftermath) {
    let bytes = match rng.random_range(0..11) {
        0 => return (masked(0x81, b"{\"event\":").to_vec(), Aftermath::GoesOn),
        1 => return (masked(0x82, &[0xff; 40]).to_vec(), Aftermath::GoesOn),
        2 => (0..rng.random_range(1..200)).map(|_| rng.random()).collect(),
        3 => b"\x81\x05plain".to_vec(),
        4 => masked(0xc1, b"{}").to_vec(),
        5 => masked(0x83, b"{}").to_vec(),
        6 => masked(0x81, &[b'x'; 2_000]).to_vec(),
        7 => masked(0x81, b"{\"event\":\"\xff\"}").to_vec(),
        8 => masked(0x88, b"\x03").to_vec(),
        // Announced as 2^63 - 1 bytes long.
        9 => b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(),
        _ => {
            // Fragments of one message that never ends.
            let rest = (0..rng.random_range(1..300)).flat_map(|_| masked(0x00, b"x"));
            masked(0x01, b"").into_iter().chain(rest).collect()
        }
    };
    (bytes, Aftermath::Nothing)
}
