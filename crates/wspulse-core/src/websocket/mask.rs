//! Unmasking (RFC 6455 §5.3).

/// Unmasks `payload`; `mask` starts with the byte that is due for the payload's first.
#[inline]
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let mask = [a, b, c, d, a, b, c, d];
    let word = u64::from_ne_bytes(mask);
    // Eight bytes at a time, which the compiler turns into vector instructions.
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Some(chunk) = chunk.first_chunk_mut() {
            *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// The mask for what comes `len` bytes later.
pub(super) fn advanced(mut mask: [u8; 4], len: usize) -> [u8; 4] {
    mask.rotate_left(len % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    fn unmasked_byte_by_byte(payload: &[u8]) -> Vec<u8> {
        payload.iter().zip(MASK.into_iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }

    #[test]
    fn every_length_is_unmasked_as_if_byte_by_byte() {
        for len in 0..70 {
            let payload: Vec<u8> = (0..len).collect();
            let mut unmasked = payload.clone();
            unmask(&mut unmasked, MASK);
            assert_eq!(unmasked, unmasked_byte_by_byte(&payload));
        }
    }

    #[test]
    fn a_payload_cut_anywhere_is_unmasked_as_if_whole() {
        let payload: Vec<u8> = (0..40).collect();
        for cut in 0..=payload.len() {
            let mut unmasked = payload.clone();
            let (head, tail) = unmasked.split_at_mut(cut);
            unmask(head, MASK);
            unmask(tail, advanced(MASK, cut));
            assert_eq!(unmasked, unmasked_byte_by_byte(&payload));
        }
    }
}
