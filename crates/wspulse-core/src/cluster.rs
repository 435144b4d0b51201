//! What servers of one cluster tell each other, and what makes a lossy pipe between them reliable.
//!
//! Each server numbers what it says to each group, and keeps the last of it. Whoever hears a hole in
//! the numbers asks for what lies in it, from the server that said it; what that does not have any
//! more is told as a gap, exactly. As everything here, it decides and does nothing: messages go in and
//! out as bytes, time as an argument.

mod ids;

pub use ids::{GroupKey, NodeId, SHARDS};
