//! What asking the other servers of a cluster fails with.

use std::error::Error;
use std::fmt;

use wspulse_core::cluster::NodeId;
use wspulse_core::codec::EncodeError;
use wspulse_core::{Escaped, Frame};

use super::{BufferLimit, write_encode};

/// Why it cannot be said that a frame is in the send buffer of a connection of the cluster.
/// [`into_frame`](Self::into_frame) gives it back. Only after [`Unknown`](Self::Unknown) may it be
/// there all the same.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotSent {
    /// No server has a connection of this id: all that are known have said so. One that has said nothing
    /// for two minutes is not known any more, and not asked: if it was cut off and not gone, it may have it.
    NotFound {
        /// The frame.
        frame: Box<Frame>,
        /// The id.
        id: String,
    },
    /// No server that has answered has a connection of this id; these have not. The frame was sent to
    /// none of them.
    NotReached {
        /// The frame.
        frame: Box<Frame>,
        /// The id.
        id: String,
        /// Those that have not answered in time.
        silent: Vec<NodeId>,
        /// Those that could not be asked: they are not there, there is no connection to them, or they
        /// have too much to answer.
        gone: Vec<NodeId>,
    },
    /// The server that has the connection has not answered in time: the frame may be in the send
    /// buffer. To send it again may have it arrive twice.
    Unknown {
        /// The frame.
        frame: Box<Frame>,
        /// The id.
        id: String,
        /// The server.
        node: NodeId,
    },
    /// The connection's send buffer is full.
    Full {
        /// The frame.
        frame: Box<Frame>,
        /// The connection's server.
        node: NodeId,
        /// The bound that was reached.
        limit: BufferLimit,
    },
    /// Where the buffer is full, this frame would make others drop whose delivery is
    /// [promised](crate::ServerBuilder::delivery).
    BreaksPromise {
        /// The frame.
        frame: Box<Frame>,
        /// The connection's server.
        node: NodeId,
    },
    /// The codec cannot express the frame, or the frame's key is too long
    /// ([`KeyTooLong`](crate::KeyTooLong)).
    Encode {
        /// The frame.
        frame: Box<Frame>,
        /// The codec's error, or that of the key.
        source: EncodeError,
    },
    /// The connection's server does not know the codec of this one, or the connection's codec cannot
    /// express the frame.
    NotExpressed {
        /// The frame.
        frame: Box<Frame>,
        /// The connection's server.
        node: NodeId,
    },
    /// The frame is larger than what goes between servers. It was sent to none.
    TooLarge {
        /// The frame.
        frame: Box<Frame>,
        /// How many bytes would go there.
        bytes: usize,
        /// How many may.
        bytes_max: usize,
    },
}

/// Why it cannot be said that a connection of the cluster has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotKicked {
    /// No server has a connection of this id: all that are known have said so. One that has said nothing
    /// for two minutes is not known any more, and not asked: if it was cut off and not gone, it may have it.
    NotFound {
        /// The id.
        id: String,
    },
    /// No server that has answered has a connection of this id.
    Unknown {
        /// The id.
        id: String,
        /// Those that have not answered in time: one of them may have ended it.
        silent: Vec<NodeId>,
        /// Those that could not be asked: they are not there, there is no connection to them, or they
        /// have too much to answer.
        gone: Vec<NodeId>,
    },
}

impl NotSent {
    /// The frame.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::NotFound { frame, .. }
            | Self::NotReached { frame, .. }
            | Self::Unknown { frame, .. }
            | Self::Full { frame, .. }
            | Self::BreaksPromise { frame, .. }
            | Self::Encode { frame, .. }
            | Self::NotExpressed { frame, .. }
            | Self::TooLarge { frame, .. } => *frame,
        }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { id, .. } => write_not_found(f, id),
            Self::NotReached { id, silent, gone, .. } => {
                write_not_found(f, id)?;
                write_lacking(f, silent, gone)?;
                f.write_str("; the frame was not sent")
            }
            Self::Unknown { id, node, .. } => {
                let id = Escaped::new(id);
                write!(
                    f,
                    "wspulse: node {node} has connection {id} and does not say whether it has \
                     queued the frame; sent again, it may arrive twice"
                )
            }
            Self::Full { node, limit, .. } => {
                write!(f, "wspulse: send buffer full at {limit} on node {node}, frame not accepted")
            }
            Self::BreaksPromise { node, .. } => write!(
                f,
                "wspulse: Overflow::DropOldest is not allowed on node {node}, where delivery is \
                 promised"
            ),
            Self::Encode { frame, source } => {
                f.write_str("wspulse: ")?;
                write_encode(f, frame, source)
            }
            Self::NotExpressed { node, .. } => write!(
                f,
                "wspulse: node {node} cannot express the frame in the connection's codec; give all \
                 servers the same codecs"
            ),
            Self::TooLarge { bytes, bytes_max, .. } => write!(
                f,
                "wspulse: {bytes} bytes are too many for the cluster's other servers, which take \
                 {bytes_max}: split the frame"
            ),
        }
    }
}

impl Error for NotSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { source, .. } => Some(source.get_ref()),
            Self::NotFound { .. }
            | Self::NotReached { .. }
            | Self::Unknown { .. }
            | Self::Full { .. }
            | Self::BreaksPromise { .. }
            | Self::NotExpressed { .. }
            | Self::TooLarge { .. } => None,
        }
    }
}

impl fmt::Display for NotKicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { id } => write_not_found(f, id),
            Self::Unknown { id, silent, gone } => {
                write_not_found(f, id)?;
                write_lacking(f, silent, gone)
            }
        }
    }
}

impl Error for NotKicked {}

fn write_not_found(f: &mut fmt::Formatter<'_>, id: &str) -> fmt::Result {
    write!(f, "wspulse: connection {id:?} not found in the cluster")
}

/// Of many, the first three are named.
fn write_lacking(f: &mut fmt::Formatter<'_>, silent: &[NodeId], gone: &[NodeId]) -> fmt::Result {
    for (nodes, what) in [(silent, "did not answer"), (gone, "could not be asked")] {
        if let Some((first, others)) = nodes.split_first() {
            write!(f, "; {what}: {first}")?;
            others.iter().take(2).try_for_each(|node| write!(f, ", {node}"))?;
            if others.len() > 2 {
                write!(f, " and {} more", others.len() - 2)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_who_has_not_answered() {
        let node = |number| NodeId::new([number; NodeId::BYTES]);
        let (silent, gone) = ((1..6).map(node).collect(), vec![node(9)]);
        let text = NotKicked::Unknown { id: "ann".into(), silent, gone }.to_string();
        assert_eq!(
            text,
            "wspulse: connection \"ann\" not found in the cluster; \
             did not answer: 01010101010101010101010101010101, 02020202020202020202020202020202, \
             03030303030303030303030303030303 and 2 more; \
             could not be asked: 09090909090909090909090909090909"
        );
    }
}
