//! Many servers as one: what an [`Engine`] carries between them.
//!
//! An engine is a lossy pipe, such as a NATS server: it may lose messages, deliver them twice, and
//! mix up those of different servers. What makes it reliable stands above it, and is the same for all
//! engines. `wspulse::testing::cluster` has one in memory, whose faults are drawn
//! from a seed, and a suite that each engine must pass.

mod attention;
pub(crate) mod beside;
mod engine;
mod log;
pub(crate) mod node;
pub(crate) mod speaker;
mod wanted;

pub use crate::app::cluster::{
    Answers, Cluster, ClusterConnection, ClusterConnections, ClusterCounts, ClusterNode,
    ClusterPeople, ClusterPerson, ClusterReplies, ClusterReply, ClusterRoom, ClusterRoomRequest,
    ClusterRooms, Found, Gap, GapIn, Kicked, NoReply, Queued,
};
pub use crate::observe::metrics::ClusterReadings;
pub use crate::settings::error::{NotKicked, NotSent};
pub use engine::{
    Engine, EngineError, EngineFuture, EngineStatus, Reply, RequestFailed, Sink, Topic,
    TopicFilter, Unavailable,
};
pub use log::{AppendFailed, AppendId, Log, LogEntry, LogRead, LogStart, ReadFailed};
pub use wspulse_core::cluster::{GroupKey, LogPosition, Missed, NodeId, NodeState, SHARDS};
