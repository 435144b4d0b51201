//! A chunk of input, read from the front.

/// The bytes given to one call of the decoder, and how far they are read.
#[derive(Debug)]
pub(super) struct Input<'a> {
    bytes: &'a mut [u8],
    /// Never beyond the end of `bytes`.
    consumed: usize,
}

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, consumed: 0 }
    }

    pub(super) const fn consumed(&self) -> usize {
        self.consumed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.consumed == self.bytes.len()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// Steps over `len` bytes, which must be there.
    pub(super) fn skip(&mut self, len: usize) {
        debug_assert!(len <= self.rest().len());
        self.consumed += len;
    }

    /// Takes up to `len` bytes: fewer if there are no more.
    pub(super) fn take(&mut self, len: u64) -> &mut [u8] {
        let rest = &mut self.bytes[self.consumed..];
        // A length that no `usize` holds is more than there can be.
        let len = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
        self.consumed += len;
        &mut rest[..len]
    }

    /// Steps over `before` bytes and takes `len` behind them if all of them are there, else none.
    #[inline]
    pub(super) fn take_behind(&mut self, before: usize, len: usize) -> Option<&mut [u8]> {
        let whole = self.bytes[self.consumed..].get_mut(before..before + len)?;
        self.consumed += before + len;
        Some(whole)
    }

    /// Takes `len` bytes if all of them are there, else none.
    #[inline]
    pub(super) fn take_whole(&mut self, len: u64) -> Option<&mut [u8]> {
        let whole = self.bytes[self.consumed..].get_mut(..usize::try_from(len).ok()?)?;
        self.consumed += whole.len();
        Some(whole)
    }
}
