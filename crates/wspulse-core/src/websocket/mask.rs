//! Unmasking (RFC 6455 §5.3).

/// Unmasks `payload`; `mask` starts with the byte that is due for the payload's first.
#[inline]
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // As many bytes at a time as a vector register of every 64-bit processor holds.
    let (blocks, rest) = payload.as_chunks_mut::<16>();
    let word = u32::from_ne_bytes(mask);
    let block_mask = u128::from(word) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ block_mask).to_ne_bytes();
    }
    let (words, rest) = rest.as_chunks_mut();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
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
