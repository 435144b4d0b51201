//! One connection, wherever in the cluster it is.

use bytestring::ByteString;
use wspulse_core::cluster::{FullBuffer, NodeId, NodeReply, NodeRequest, NotQueued, Said};
use wspulse_core::{CloseCode, CloseFrame, Frame, Outgoing};

use super::Cluster;
use super::asking::{Asked, ClusterConnection, listed};
use crate::settings::codecs::CodecId;
use crate::settings::error::{BufferLimit, NotKicked, NotSent, SendError};

/// Where a connection is, from [`Cluster::find`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// This is it.
    At(ClusterConnection),
    /// No server has one of this id: all that are known have said so. One that has said nothing for two
    /// minutes is not known any more, and not asked: if it was cut off and not gone, it may have one.
    Nowhere,
    /// No server that has answered has one of this id.
    Unknown {
        /// Those that have not answered in time.
        silent: Vec<NodeId>,
        /// Those that could not be asked: they are not there, there is no connection to them, or they
        /// have too much to answer.
        gone: Vec<NodeId>,
    },
}

/// A frame is in the send buffer of a connection, by [`Cluster::send`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// The connection's server.
    pub node: NodeId,
}

/// A connection has ended, by [`Cluster::kick`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kicked {
    /// The servers that had one of the id: more than one where clients gave the same id to several.
    pub nodes: Vec<NodeId>,
    /// Those that have not answered in time; they may have had one, and ended it.
    pub silent: Vec<NodeId>,
    /// Those that could not be asked; they may have one.
    pub gone: Vec<NodeId>,
}

impl Cluster {
    /// Which server has the connection of this id. This one is asked first, and if it has it nobody
    /// else is; then all others at once. Where several have one of the id, it is the one of the server
    /// that has answered first.
    ///
    /// It is where the connection was: it may have ended since.
    ///
    /// ```
    /// use wspulse::cluster::{Cluster, Found};
    ///
    /// async fn is_there(cluster: &Cluster, id: &str) -> Option<bool> {
    ///     match cluster.find(id).await {
    ///         Found::At(_) => Some(true),
    ///         Found::Nowhere => Some(false),
    ///         _ => None, // some have not answered
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the answer.
    pub async fn find(&self, id: &str) -> Found {
        if let Some(here) = self.server.connection(id).and_then(|it| listed(&it)) {
            return Found::At(ClusterConnection::of(self.id(), here));
        }
        self.find_elsewhere(id).await
    }

    async fn find_elsewhere(&self, id: &str) -> Found {
        let mut asking = self.ask_all(&NodeRequest::Find { id: id.into() }, self.within);
        let (mut silent, mut gone) = (Vec::new(), Vec::new());
        while let Some((node, asked)) = asking.next().await {
            match asked {
                Asked::Replied(NodeReply::Found(listed)) if *listed.id == *id => {
                    return Found::At(ClusterConnection::of(node, listed));
                }
                Asked::Replied(NodeReply::NotFound) => {}
                // Whatever else it replies is no answer to this.
                Asked::Replied(_) | Asked::Silent => silent.push(node),
                Asked::Gone => gone.push(node),
            }
        }
        if silent.is_empty() && gone.is_empty() {
            Found::Nowhere
        } else {
            Found::Unknown { silent, gone }
        }
    }

    /// Queues a frame for the connection of this id, wherever it is. With `Ok` it is in that
    /// connection's send buffer, as if [`Server::send`](crate::Server::send) had been called there.
    /// A connection that this server has gets it at once; else it is [looked for](Self::find), and the
    /// frame sent to the one server that has it, which encodes it for the connection's codec. It is
    /// never sent a second time.
    ///
    /// Two frames that are sent one after the other, the second once the first is `Ok`, arrive in that
    /// order; those that are sent at the same time, in any.
    ///
    /// ```
    /// use wspulse::Frame;
    /// use wspulse::cluster::{Cluster, NotSent};
    ///
    /// async fn remind(cluster: &Cluster, id: &str) {
    ///     match cluster.send(id, Frame::new("reminder")).await {
    ///         Ok(queued) => println!("node {} has it", queued.node),
    ///         Err(NotSent::Unknown { .. }) => {} // it may be there: not again
    ///         Err(error) => println!("not sent: {error}"),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotSent`]. After [`NotSent::Unknown`] alone the frame may be there all the same.
    ///
    /// # Cancel safety
    ///
    /// Nothing is sent before the first poll. Dropped after that, the frame may be sent or not.
    pub async fn send(&self, id: &str, frame: impl Into<Outgoing>) -> Result<Queued, NotSent> {
        let outgoing = frame.into();
        if let Some(connection) = self.server.connection(id) {
            match connection.send(outgoing.clone()) {
                Ok(()) => return Ok(Queued { node: self.id() }),
                Err(error) => {
                    if let Some(error) = not_sent_here(error, self.id()) {
                        return Err(error);
                    }
                }
            }
        }
        let (frame, request) = self.request_to_send(id, outgoing)?;
        let id = id.to_owned();
        let node = match self.find_elsewhere(&id).await {
            Found::At(there) => there.node,
            Found::Nowhere => return Err(NotSent::NotFound { frame, id }),
            Found::Unknown { silent, gone } => {
                return Err(NotSent::NotReached { frame, id, silent, gone });
            }
        };
        match self.ask_one(node, request).await {
            Asked::Replied(NodeReply::Queued) => Ok(Queued { node }),
            Asked::Replied(NodeReply::NotFound) => Err(NotSent::NotFound { frame, id }),
            Asked::Replied(NodeReply::NotQueued(why)) => Err(not_queued(why, frame, node)),
            Asked::Replied(_) | Asked::Silent => Err(NotSent::Unknown { frame, id, node }),
            Asked::Gone => {
                let (silent, gone) = (Vec::new(), vec![node]);
                Err(NotSent::NotReached { frame, id, silent, gone })
            }
        }
    }

    /// The request by which another server is to send this, as it is sent.
    fn request_to_send(
        &self,
        id: &str,
        outgoing: Outgoing,
    ) -> Result<(Box<Frame>, bytes::Bytes), NotSent> {
        let (frame, marks) = outgoing.into_parts();
        let frame = Box::new(frame);
        let codecs = self.server.codecs();
        let encoded = match &marks {
            None => codecs.encode(CodecId::DEFAULT, &frame),
            Some(marks) => codecs.encode_marked(CodecId::DEFAULT, &frame, marks),
        };
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(source) => return Err(NotSent::Encode { frame, source }),
        };
        let overflow = marks.and_then(|marks| marks.overflow);
        let said = Said { overflow, ..Said::new(encoded) };
        let codec = codecs.default_codec().name().unwrap_or_default().into();
        let request = NodeRequest::Send { id: id.into(), codec, said }.encode();
        let (bytes, bytes_max) = (request.len(), self.node.message_bytes_max());
        if bytes > bytes_max {
            return Err(NotSent::TooLarge { frame, bytes, bytes_max });
        }
        Ok((frame, request))
    }

    /// Ends the connection of this id, wherever it is, past any resume window, with close code 1000 and
    /// the reason `kicked`. If this server has it, no other is asked. Else all others are, at once, and
    /// each ends the one that it has; this waits for all of them.
    ///
    /// # Errors
    ///
    /// [`NotKicked`] if no server that has answered has it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is done before the first poll. Dropped after that, it may have ended or not.
    pub async fn kick(&self, id: &str) -> Result<Kicked, NotKicked> {
        self.kick_with(id, CloseCode::NORMAL, "kicked").await
    }

    /// Kicks with a close code and reason of your own, by which the client can tell why: 4000 to
    /// 4999 are for applications (RFC 6455 §7.4.2). Up to 123 bytes of the reason are sent.
    ///
    /// # Errors
    ///
    /// See [`kick`](Self::kick).
    ///
    /// # Cancel safety
    ///
    /// See [`kick`](Self::kick).
    pub async fn kick_with(
        &self,
        id: &str,
        code: CloseCode,
        reason: impl Into<ByteString>,
    ) -> Result<Kicked, NotKicked> {
        let close = CloseFrame::new(code, reason);
        let (mut silent, mut gone) = (Vec::new(), Vec::new());
        if self.server.kick_with(id, code, close.reason().to_owned()).is_ok() {
            return Ok(Kicked { nodes: vec![self.id()], silent, gone });
        }
        let mut nodes = Vec::new();
        let mut asking = self.ask_all(&NodeRequest::Kick { id: id.into(), close }, self.within);
        while let Some((node, asked)) = asking.next().await {
            match asked {
                Asked::Replied(NodeReply::Kicked { .. }) => nodes.push(node),
                Asked::Replied(NodeReply::NotFound) => {}
                Asked::Replied(_) | Asked::Silent => silent.push(node),
                Asked::Gone => gone.push(node),
            }
        }
        let id = || id.to_owned();
        if !nodes.is_empty() {
            Ok(Kicked { nodes, silent, gone })
        } else if silent.is_empty() && gone.is_empty() {
            Err(NotKicked::NotFound { id: id() })
        } else {
            Err(NotKicked::Unknown { id: id(), silent, gone })
        }
    }
}

/// `None` if it has ended this very moment: it may be elsewhere by now.
fn not_sent_here(error: SendError, node: NodeId) -> Option<NotSent> {
    match error {
        SendError::Closed { .. } | SendError::NotFound { .. } => None,
        SendError::Full { frame, limit } => Some(NotSent::Full { frame, node, limit }),
        SendError::BreaksPromise { frame, .. } => Some(NotSent::BreaksPromise { frame, node }),
        SendError::Encode { frame, source } => Some(NotSent::Encode { frame, source }),
    }
}

fn not_queued(why: NotQueued, frame: Box<Frame>, node: NodeId) -> NotSent {
    let limit = match why {
        NotQueued::Full(FullBuffer::Frames(bound)) => {
            BufferLimit::Frames { capacity_frames: saturated(bound) }
        }
        NotQueued::Full(FullBuffer::Bytes(bound)) => {
            BufferLimit::Bytes { capacity_bytes: saturated(bound) }
        }
        NotQueued::Full(FullBuffer::ServerBytes(bound)) => {
            BufferLimit::ServerBytes { capacity_bytes: saturated(bound) }
        }
        NotQueued::BreaksPromise => return NotSent::BreaksPromise { frame, node },
        NotQueued::NotExpressed => return NotSent::NotExpressed { frame, node },
    };
    NotSent::Full { frame, node, limit }
}

fn saturated(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
