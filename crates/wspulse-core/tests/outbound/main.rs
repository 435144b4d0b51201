//! From the outbound queue to the socket: bounds, accounts, order.

mod bytes;
mod control_lane;
mod gather;
mod joined_frames;
mod marked_frames;
mod queue;
mod retained_frames;
mod runs;
