//! A client's bytes through the decoder, beside tungstenite.

use wspulse_core::websocket::Decoder;

use crate::dice::Dice;
use crate::readings::{compare, read_by_tungstenite, read_cut, read_whole};

/// In front of the stream: a byte that picks the limit, then throws for lengths and for pauses.
const LENGTHS_END: usize = 8;
const HEAD_BYTES: usize = 12;

/// Around the lengths where the form of a header changes, and none at all.
const LIMITS: [usize; 6] = [0, 20, 125, 126, 1_000, 70_000];

/// Reads a client's stream whole and cut into chunks with pauses, which must make no difference,
/// and has tungstenite read it, which must come to the same messages and the same verdict.
///
/// # Panics
///
/// If the library has a fault.
pub fn inbound(data: &[u8]) {
    let Some((head, stream)) = data.split_at_checked(HEAD_BYTES) else {
        return;
    };
    let message_bytes_max = LIMITS[usize::from(head[0]) % LIMITS.len()];
    let mut lengths = Dice::new(&head[1..LENGTHS_END]);
    let mut pauses = Dice::new(&head[LENGTHS_END..]);

    let whole = read_whole(stream, Decoder::new(message_bytes_max));
    let cut = read_cut(stream, Decoder::new(message_bytes_max), &mut lengths, &mut pauses);
    assert_eq!(cut, whole, "cut differently");
    let theirs = read_by_tungstenite(stream.to_vec(), message_bytes_max);
    compare(&whole, theirs, stream, message_bytes_max);
}
