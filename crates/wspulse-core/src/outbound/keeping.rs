//! Whether a queue keeps what was written until it is acknowledged.

use super::retained::{Retained, Window};

/// What is kept of what was written.
#[derive(Debug)]
pub(super) enum Keeping {
    /// What a socket has taken is forgotten.
    Nothing,
    /// What is not acknowledged. Nothing was ever to be written so far: an idle session that has
    /// heard nothing holds nothing.
    Later(Bounds),
    Kept(Box<Retained>),
}

/// A [`Window`] in as few bytes as there are many queues. What is above 2^32 - 1 counts as that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    frames: u32,
    bytes: u32,
}

impl From<Window> for Bounds {
    fn from(Window { frames, bytes }: Window) -> Self {
        let saturated = |bound: usize| u32::try_from(bound).unwrap_or(u32::MAX);
        Self { frames: saturated(frames), bytes: saturated(bytes) }
    }
}

impl Bounds {
    pub(super) const fn frames(self) -> usize {
        self.frames as usize
    }

    pub(super) const fn bytes(self) -> usize {
        self.bytes as usize
    }
}

impl Keeping {
    pub(super) const fn is_something(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Later(_) | Self::Kept(_) => true,
        }
    }

    /// What is kept, if something may be.
    #[inline]
    pub(super) const fn kept(&self) -> Option<&Retained> {
        match self {
            Self::Nothing | Self::Later(_) => None,
            Self::Kept(retained) => Some(retained),
        }
    }

    #[inline]
    pub(super) fn kept_mut(&mut self) -> Option<&mut Retained> {
        match self {
            Self::Nothing | Self::Later(_) => None,
            Self::Kept(retained) => Some(retained),
        }
    }

    /// Makes the place for what is written, if it is to be kept.
    #[inline]
    pub(super) fn make(&mut self) -> Option<&mut Retained> {
        if let Self::Later(bounds) = self {
            *self = Self::Kept(Box::new(Retained::new(*bounds)));
        }
        self.kept_mut()
    }
}
