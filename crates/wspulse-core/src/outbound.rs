//! What waits to be written: data frames in one queue, control frames in a small lane in front.

mod control;
mod gather;
mod joined;
mod queue;

pub use control::ControlLane;
pub use gather::{SLICES_MAX, advance, gather};
pub use joined::JoinedFrames;
pub use queue::{Batch, OutboundQueue, OutboundStats, Pushed, QueueFull, Remainder};

/// What happens to a frame that finds its queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// The oldest waiting frame makes room: for broadcasts, and while a session is suspended.
    DropOldest,
    /// The new frame is refused and goes back to its sender: for direct sends.
    RejectNewest,
}
