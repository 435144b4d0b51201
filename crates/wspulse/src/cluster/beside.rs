//! What is said beside a frame that is for several groups at once: to whom it goes as well, and to whom
//! it does not.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use wspulse_core::cluster::{GroupKey, Target};

/// The most bytes that may stand beside a frame.
pub(crate) const BESIDE_BYTES_MAX: usize = u16::MAX as usize;

/// Of a frame that is said to several groups, as one of them hears it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Beside {
    /// Who is in one of these has it from there.
    pub(crate) before: Vec<Target>,
    /// Who is in one of these does not get it.
    pub(crate) excluded: Vec<Target>,
}

impl Beside {
    /// Nothing, if there is nothing to say.
    pub(crate) fn encode(&self) -> Bytes {
        if self.before.is_empty() && self.excluded.is_empty() {
            return Bytes::new();
        }
        let mut to = BytesMut::with_capacity(self.bytes());
        to.put_u16(u16::try_from(self.before.len()).unwrap_or(u16::MAX));
        for target in self.before.iter().chain(&self.excluded) {
            match target {
                Target::Group(key) => to.put_slice(key.as_bytes()),
                // Nobody is in it that others are not.
                Target::Everybody => {}
            }
        }
        to.freeze()
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        2 + (self.before.len() + self.excluded.len()) * GroupKey::BYTES
    }

    /// `None` if it is not what [`encode`](Self::encode) has written.
    pub(crate) fn decode(mut from: Bytes) -> Option<Self> {
        if from.is_empty() {
            return Some(Self::default());
        }
        let before = usize::from(from.try_get_u16().ok()?);
        if !from.len().is_multiple_of(GroupKey::BYTES) || before * GroupKey::BYTES > from.len() {
            return None;
        }
        let keys = from.chunks_exact(GroupKey::BYTES).filter_map(|key| key.try_into().ok());
        let mut all: Vec<_> = keys.map(|key| Target::Group(GroupKey::new(key))).collect();
        let excluded = all.split_off(before);
        Some(Self { before: all, excluded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let target = |number| Target::Group(GroupKey::new([number; GroupKey::BYTES]));
        let beside = Beside { before: vec![target(1), target(2)], excluded: vec![target(3)] };
        let bytes = beside.encode();
        assert_eq!(bytes.len(), beside.bytes());
        assert_eq!(Beside::decode(bytes), Some(beside));
        assert_eq!(Beside::decode(Bytes::new()), Some(Beside::default()));
    }

    #[test]
    fn what_ends_early_is_none() {
        assert_eq!(Beside::decode(Bytes::from_static(&[0, 2, 1, 1])), None);
        assert_eq!(Beside::decode(Bytes::from_static(&[0, 1])), None);
    }
}
