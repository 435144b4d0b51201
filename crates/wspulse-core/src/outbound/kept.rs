//! What a batch keeps of what is written, until its queue has it back.

use std::mem;

use super::run::Run;
use super::written::WrittenFrames;
use crate::encoded::EncodedFrame;

/// The frames of a batch that were written whole.
///
/// Nearly always that is one frame, or one run. These lie inline: memory of their own for each
/// member of a large room is not in the caches any more when it is that member's turn again.
#[derive(Debug)]
pub(super) enum Kept {
    Nothing,
    Frame(EncodedFrame),
    Run(Run),
    Parts(Box<WrittenFrames>),
}

impl Kept {
    pub(super) fn push(&mut self, frame: EncodedFrame) {
        match self {
            Self::Nothing => *self = Self::Frame(frame),
            Self::Frame(_) | Self::Run(_) | Self::Parts(_) => self.gather().push(frame),
        }
    }

    pub(super) fn push_run(&mut self, run: Run) {
        match self {
            Self::Nothing => *self = Self::Run(run),
            Self::Frame(_) | Self::Run(_) | Self::Parts(_) => self.gather().push_run(run),
        }
    }

    /// Everything in one place.
    pub(super) fn gather(&mut self) -> &mut WrittenFrames {
        loop {
            match self {
                Self::Parts(parts) => return parts,
                Self::Nothing | Self::Frame(_) | Self::Run(_) => {
                    let mut parts = Box::default();
                    mem::replace(self, Self::Nothing).append_to(&mut parts);
                    *self = Self::Parts(parts);
                }
            }
        }
    }

    /// Hands all of it over, and tells how many frames that were.
    pub(super) fn append_to(self, frames: &mut WrittenFrames) -> usize {
        let len_before = frames.len();
        match self {
            Self::Nothing => {}
            Self::Frame(frame) => frames.push(frame),
            Self::Run(run) => frames.push_run(run),
            Self::Parts(parts) => frames.append(*parts),
        }
        frames.len() - len_before
    }
}
