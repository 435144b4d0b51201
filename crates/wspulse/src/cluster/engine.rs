//! What a cluster asks of whatever carries its messages.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wspulse_core::cluster::{GroupKey, LogPosition, NodeId};

use super::log::Log;

/// What an engine's asynchronous methods return.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages between the servers of a cluster, as well as it can: a NATS server, a Redis, a
/// test's memory.
///
/// It promises little. What one server publishes to one topic arrives in that order, as far as it
/// arrives. It may be lost, and may arrive twice; between two servers, and between two topics, there is
/// no order. What is more must not be built into an engine: the reliability above it, which finds what
/// is missing and asks for it, is the same for all of them. `wspulse::testing::cluster::conformance`
/// holds an engine to what is said here.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Begins: from now on what comes for this node is given to the sink, requests included, until
    /// [`close`](Self::close). It is called once, before all else. The node's topics are those of
    /// [`subscribe`](Self::subscribe) alone; what it publishes itself may come back to it or not.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if it cannot begin at all, such as for a wrong password. A network that is not
    /// there yet is no such error: the engine begins, says so by
    /// [`Sink::status`], and goes on trying.
    fn start(&self, node: NodeId, sink: Arc<dyn Sink>)
    -> EngineFuture<'_, Result<(), EngineError>>;

    /// Sends a message to all nodes that are subscribed to this topic. It never waits: not for a
    /// network that is slow, nor for one that is gone.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if it is known that it would not arrive, since there is no connection. An
    /// engine must not keep it for later: the servers will ask for what they lack.
    fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Unavailable>;

    /// Subscribes to these topics. Once the future is ready, what is published from then on arrives.
    /// A subscription outlives an interruption: the engine makes it again, before it tells
    /// [`EngineStatus::Connected`].
    ///
    /// # Errors
    ///
    /// [`EngineError`] if that is refused, or cannot be said as there is no connection: then it holds
    /// from the next one on all the same.
    fn subscribe(&self, filter: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>>;

    /// Ends a subscription, soon. What still comes is passed over.
    fn unsubscribe(&self, filter: TopicFilter);

    /// Asks one node, whose [`Sink::request`] is called, and waits for its reply for no longer than
    /// that.
    ///
    /// # Errors
    ///
    /// [`RequestFailed`], which tells a node that is known to be gone from one that does not answer.
    ///
    /// # Cancel safety
    ///
    /// The node may have been asked once this was polled; a reply is passed over.
    fn request(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>>;

    /// The logs of rooms, if it keeps some. Default: it does not, and no room of its cluster can be
    /// [logged](crate::ServerBuilder::logged_rooms).
    fn log(&self) -> Option<&dyn Log> {
        None
    }

    /// The most bytes that a message or a reply may have.
    fn message_bytes_max(&self) -> usize;

    /// Says what is still to be said, and ends: nothing is given to the sink afterwards.
    fn close(&self) -> EngineFuture<'_, ()>;
}

/// What an engine gives the server that it works for. None of it waits or blocks, so an engine may
/// call it wherever it reads.
pub trait Sink: Send + Sync + 'static {
    /// A message has come for a topic that was subscribed to, or for another one, which is passed
    /// over.
    fn message(&self, topic: Topic, message: Bytes);

    /// Something is in the log of a group that was subscribed to. It may come twice, late, or not at
    /// all. Default: it is passed over.
    fn logged(&self, key: GroupKey, position: LogPosition, entry: Bytes) {
        let _ = (key, position, entry);
    }

    /// Another node asks.
    fn request(&self, message: Bytes, reply: Reply);

    /// The engine has lost its connection, or has one again, or may have lost messages.
    fn status(&self, status: EngineStatus);
}

/// Where to a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// To nodes with members of this room, or connections of this user.
    Group(GroupKey),
    /// To all nodes, for all connections.
    Everybody,
    /// To all nodes, about the node that says it.
    Beats,
}

/// Which topics to listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicFilter {
    /// One.
    Topic(Topic),
    /// All groups whose [`GroupKey::shard`] is this.
    Shard(u16),
}

/// How an engine's connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineStatus {
    /// It has one, with all subscriptions in force. Messages may have been lost before.
    Connected,
    /// It has none, and tries to get one.
    Disconnected,
    /// It has one, and has lost messages that came too fast.
    Lost,
}

/// The way back to a node that has asked. Dropped, the node gets no answer.
pub struct Reply(Box<dyn FnOnce(Bytes) + Send>);

impl Reply {
    /// Of an engine: what is done with the answer, without waiting.
    pub fn new(send: impl FnOnce(Bytes) + Send + 'static) -> Self {
        Self(Box::new(send))
    }

    /// Answers.
    pub fn send(self, answer: Bytes) {
        (self.0)(answer);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// A message was not published, as there is no connection to those who carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no connection to the other servers of the cluster")]
pub struct Unavailable;

/// An engine cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the cluster's engine: {what}")]
pub struct EngineError {
    what: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EngineError {
    /// Of an engine: what was not possible, such as "cannot subscribe", and why.
    pub fn new(
        what: impl Into<String>,
        source: impl Into<Option<Box<dyn Error + Send + Sync>>>,
    ) -> Self {
        Self { what: what.into(), source: source.into() }
    }
}

/// Why a node has not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFailed {
    /// It is not there: it has ended, or cannot be reached by anybody.
    #[error("node {node} is not there")]
    NoNode {
        /// Who was asked.
        node: NodeId,
    },
    /// It has not answered in time. Whether it was asked is not known.
    #[error("node {node} has not answered within {within:?}")]
    Timeout {
        /// Who was asked.
        node: NodeId,
        /// How long it had.
        within: Duration,
    },
    /// It was not asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
