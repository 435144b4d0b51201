//! Whose frames are read, and what was agreed on with them.

/// What a frame's header must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// A client must mask its frames, and a server must not (RFC 6455 §5.1).
    pub(super) are_masked: bool,
    /// Messages may be compressed.
    pub(super) may_be_compressed: bool,
}

/// The rules and how many frames a message may have, in four bytes: every connection has a decoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedRules(u32);

const COMPRESSED: u32 = 1 << 31;
const UNMASKED: u32 = 1 << 30;
const FRAGMENTS: u32 = !(COMPRESSED | UNMASKED);

impl PackedRules {
    /// A client's frames, none compressed, any number of them.
    pub(super) const fn new() -> Self {
        Self(FRAGMENTS)
    }

    pub(super) fn with_fragments_max(self, fragments: usize) -> Self {
        let fragments = u32::try_from(fragments).unwrap_or(u32::MAX).min(FRAGMENTS);
        Self(self.0 & !FRAGMENTS | fragments)
    }

    #[cfg(feature = "deflate")]
    pub(super) const fn with_compressed(self) -> Self {
        Self(self.0 | COMPRESSED)
    }

    pub(super) const fn with_unmasked(self) -> Self {
        Self(self.0 | UNMASKED)
    }

    #[inline]
    pub(super) const fn fragments_max(self) -> u32 {
        self.0 & FRAGMENTS
    }

    #[inline]
    pub(super) const fn rules(self) -> Rules {
        Rules { are_masked: self.0 & UNMASKED == 0, may_be_compressed: self.0 & COMPRESSED != 0 }
    }
}
