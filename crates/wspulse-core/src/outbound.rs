//! What waits to be written: data frames in one queue, control frames in a small lane in front.

mod answers;
mod backlog;
mod batch;
mod compressed;
mod control;
mod form;
mod gather;
mod joined;
mod keeping;
mod kept;
mod marked;
mod moved;
mod queue;
mod retained;
mod room;
mod run;
mod stats;
mod written;

pub use answers::{NotKept, NotWritten, ResumedAt};
pub use batch::{Batch, Remainder};
pub use compressed::Compressed;
pub use control::{ControlLane, PingPayload};
#[cfg(feature = "deflate")]
pub use form::Deflated;
pub use form::Form;
pub use gather::{SLICES_MAX, advance, gather};
pub use joined::JoinedFrames;
pub use moved::MovedQueue;
pub use queue::{FRAME_LOSSES_MAX, OutboundQueue, Pushed, PushedMarked, QueueFull, Returned};
pub use retained::{Acknowledged, Doubt, Window, WrittenBeside};
pub use run::Run;
pub use stats::OutboundStats;

/// What happens to a frame that finds its queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// The oldest waiting frame makes room: for broadcasts, and while a session is suspended.
    DropOldest,
    /// The new frame is refused and goes back to its sender: for direct sends.
    RejectNewest,
    /// The new frame is refused, but what is being written takes no room from it: for broadcasts
    /// where no frame may be dropped.
    RejectBeyondWaiting,
    /// The new frame is refused, and not even volatile ones make room for it: for those that are
    /// volatile themselves.
    GiveWay,
}
