//! Asking the other servers, each of them once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wspulse_core::cluster::{Listed, MEMBERS_WITHIN_MAX, NodeId, NodeReply, NodeRequest};

use super::Cluster;
use crate::app::connection::Connection;
use crate::cluster::RequestFailed;
use crate::cluster::node::Node;
use crate::membership::shared::ConnectionState;

/// How long another server has to answer. On a good network it takes milliseconds; a server that is
/// stopped for longer is told from one that is gone by nobody.
pub(super) const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// A connection of the cluster, as its server knew it when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterConnection {
    /// The server that has it.
    pub node: NodeId,
    /// Its id.
    pub id: String,
    /// Its home room; empty without one.
    pub room: String,
    /// Its user, if it has one.
    pub user: Option<String>,
    /// Whether it is connected or suspended.
    pub state: ConnectionState,
}

/// What has come of asking one server.
pub(super) enum Asked {
    Replied(NodeReply),
    /// It may have been asked, and what it has done is not known.
    Silent,
    /// It was not asked, or has done nothing.
    Gone,
}

/// Servers that are being asked.
pub(super) struct Asking(JoinSet<(NodeId, Asked)>);

impl Cluster {
    /// The same cluster, whose other servers have so long to answer: 1 s without this, up to five
    /// minutes.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self { within: time.min(MEMBERS_WITHIN_MAX), ..self.clone() }
    }

    /// Asks all servers that are known, at once, but for those that have said nothing for so long that
    /// they are gone.
    pub(super) fn ask_all(&self, request: &NodeRequest, within: Duration) -> Asking {
        let message = request.encode();
        let nodes: Vec<_> = self.node.with_inbox(|inbox| inbox.present().collect());
        let mut asking = JoinSet::new();
        for to in nodes {
            let asks = ask(Arc::clone(&self.node), to, message.clone(), within);
            asking.spawn(async move { (to, asks.await) });
        }
        Asking(asking)
    }

    pub(super) async fn ask_one(&self, to: NodeId, message: Bytes) -> Asked {
        ask(Arc::clone(&self.node), to, message, self.within).await
    }
}

impl Asking {
    /// The next that has answered, or will not; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<(NodeId, Asked)> {
        match self.0.join_next().await? {
            Ok(asked) => Some(asked),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => None,
        }
    }
}

async fn ask(node: Arc<Node>, to: NodeId, message: Bytes, within: Duration) -> Asked {
    let answer = timeout(within, node.request(to, message, within)).await;
    match answer {
        Ok(Ok(bytes)) => match node.read(NodeReply::decode(bytes)) {
            Some(NodeReply::Busy) => Asked::Gone,
            Some(reply) => Asked::Replied(reply),
            None => Asked::Silent,
        },
        Ok(Err(RequestFailed::NoNode { .. } | RequestFailed::Unavailable(_))) => Asked::Gone,
        Ok(Err(RequestFailed::Timeout { .. })) | Err(_) => Asked::Silent,
    }
}

impl ClusterConnection {
    pub(super) fn of(node: NodeId, listed: Listed) -> Self {
        let Listed { id, room, user, is_suspended } = listed;
        let state =
            if is_suspended { ConnectionState::Suspended } else { ConnectionState::Connected };
        let user = user.map(|user| user.to_string());
        Self { node, id: id.to_string(), room: room.to_string(), user, state }
    }
}

/// A connection of this server, as others are told of it; `None` once it has ended.
pub(super) fn listed(connection: &Connection) -> Option<Listed> {
    let is_suspended = match connection.state() {
        ConnectionState::Connected => false,
        ConnectionState::Suspended => true,
        ConnectionState::Closed => return None,
    };
    Some(Listed {
        id: connection.id().into(),
        room: connection.room_id().into(),
        user: connection.user_id().map(Into::into),
        is_suspended,
    })
}
