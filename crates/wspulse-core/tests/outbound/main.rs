//! From the outbound queue to the socket: bounds, accounts, order.

mod bytes;
mod control_lane;
#[cfg(feature = "deflate")]
mod forms;
mod gather;
mod joined_frames;
mod marked_frames;
mod queue;
mod retained_frames;
mod runs;
