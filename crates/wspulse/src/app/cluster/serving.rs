//! What other servers ask this one, beside what they lack of what it has said.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wspulse_core::cluster::{
    ENTRIES_MAX, FullBuffer, Listed, MembersOf, NodeReply, NodeRequest, NotQueued, Said,
    SessionRequest,
};
use wspulse_core::{CloseFrame, Disconnect};

use super::asking::listed;
use crate::app::connection::Connection;
use crate::app::server::Server;
use crate::cluster::Reply;
use crate::ground::panics;
use crate::membership::Kind;
use crate::settings::error::{BufferLimit, SendError};

/// How many requests of others are answered at a time: a few for each of 256 servers.
const AT_ONCE_MAX: usize = 768;

/// How many more of those that wait for clients, so that these keep nobody else out.
const WAITING_MAX: usize = 256;

/// A place for each request of another server that is being answered.
pub(super) struct Places {
    quick: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let of = |places| Arc::new(Semaphore::new(places));
        Self { quick: of(AT_ONCE_MAX), waiting: of(WAITING_MAX) }
    }
}

impl Places {
    fn take(&self, request: &NodeRequest) -> Option<OwnedSemaphorePermit> {
        let places = match request {
            NodeRequest::AskMembers { .. } => &self.waiting,
            NodeRequest::Find { .. }
            | NodeRequest::Send { .. }
            | NodeRequest::Kick { .. }
            | NodeRequest::KickUser { .. }
            | NodeRequest::Connections { .. }
            | NodeRequest::People { .. }
            | NodeRequest::Rooms
            | NodeRequest::Counts => &self.quick,
        };
        Arc::clone(places).try_acquire_owned().ok()
    }
}

impl Server {
    /// Another server asks. Who asks what is not known here, as of a later version, gets no answer. It
    /// is answered on a task of its own: to look at all connections takes a while, and codecs are the
    /// application's.
    pub(super) fn serve_node(&self, request: Bytes, reply: Reply) {
        let Some(attachment) = self.attachment() else { return };
        let node = attachment.node();
        if SessionRequest::is_meant(&request) {
            if let Some(request) = node.read(SessionRequest::decode(request)) {
                let place = Arc::clone(&attachment.places.quick).try_acquire_owned();
                self.serve_session(request, reply, place.ok());
            }
            return;
        }
        let Some(request) = node.read(NodeRequest::decode(request)) else { return };
        let Some(place) = attachment.places.take(&request) else {
            node.counts().requests_refused.fetch_add(1, Ordering::Relaxed);
            reply.send(NodeReply::Busy.encode());
            return;
        };
        let (server, bytes_max) = (self.clone(), node.message_bytes_max() / 2);
        self.spawn(async move {
            let _place = place;
            reply.send(server.answer(request, bytes_max).await.encode());
        });
    }

    async fn answer(&self, request: NodeRequest, bytes_max: usize) -> NodeReply {
        match request {
            NodeRequest::Find { id } => {
                let found = self.connection(&id).and_then(|it| listed(&it));
                found.map_or(NodeReply::NotFound, NodeReply::Found)
            }
            NodeRequest::Send { id, codec, said } => match self.connection(&id) {
                Some(connection) => self.answer_send(&connection, &codec, said),
                None => NodeReply::NotFound,
            },
            NodeRequest::Kick { id, close } => self.answer_kick(&id, close),
            NodeRequest::KickUser { user, close } => {
                let kicked = self.user(&*user).kick_with(close.code(), close.reason().to_owned());
                NodeReply::Kicked { connections: kicked as u64 }
            }
            NodeRequest::Connections { of } => self.answer_connections(&of, bytes_max),
            NodeRequest::People { room, after } => self.answer_people(&room, after, bytes_max),
            NodeRequest::Rooms => self.answer_rooms(bytes_max),
            NodeRequest::Counts => NodeReply::Counts {
                connections: self.connection_count() as u64,
                rooms: self.room_count() as u64,
                users: self.user_count() as u64,
            },
            NodeRequest::AskMembers { room, within_ms, codec, said } => {
                let within = Duration::from_millis(within_ms.into());
                self.answer_members(&room, &codec, &said, within, bytes_max).await
            }
        }
    }

    fn answer_send(&self, connection: &Connection, codec: &str, said: Said) -> NodeReply {
        const NOT_EXPRESSED: NodeReply = NodeReply::NotQueued(NotQueued::NotExpressed);
        let Said { frame: encoded, overflow, beside: _ } = said;
        let Some(codec) = self.codec_named(codec) else { return NOT_EXPRESSED };
        let its_codec = connection.shared().mailbox.codec();
        let encoded = if codec == its_codec {
            encoded
        } else {
            let Some((frame, marks)) = self.read(codec, &encoded, overflow, None) else {
                return NOT_EXPRESSED;
            };
            let made = panics::catch(|| match &marks {
                None => self.codecs().encode(its_codec, &frame),
                Some(marks) => self.codecs().encode_marked(its_codec, &frame, marks),
            });
            let Ok(Ok(made)) = made else { return NOT_EXPRESSED };
            made
        };
        match connection.send_said(encoded, overflow) {
            Ok(()) => NodeReply::Queued,
            Err(SendError::NotFound { .. } | SendError::Closed { .. }) => NodeReply::NotFound,
            Err(SendError::Full { limit, .. }) => {
                NodeReply::NotQueued(NotQueued::Full(full(limit)))
            }
            Err(SendError::BreaksPromise { .. }) => NodeReply::NotQueued(NotQueued::BreaksPromise),
            Err(SendError::Encode { .. }) => NOT_EXPRESSED,
        }
    }

    fn answer_kick(&self, id: &str, close: CloseFrame) -> NodeReply {
        let connection = self.registry().find(id);
        let is_kicked = connection.is_some_and(|it| self.end(&it, Disconnect::Kicked(close)));
        if is_kicked { NodeReply::Kicked { connections: 1 } } else { NodeReply::NotFound }
    }

    fn answer_connections(&self, of: &MembersOf, bytes_max: usize) -> NodeReply {
        let connections = match of {
            MembersOf::Room(room) => self.connections(room),
            MembersOf::User(user) => self.user(&**user).connections(),
        };
        let told = connections.iter().filter_map(listed);
        let (count, listed) = fitting(told, connections.len(), Listed::bytes, bytes_max);
        NodeReply::Connections { count, listed }
    }

    fn answer_rooms(&self, bytes_max: usize) -> NodeReply {
        let rooms = self.registry().groups().occupied(Kind::Room);
        let told = rooms.iter().map(|it| (ByteString::from(&**it.name()), it.len() as u64));
        let bytes = |(name, _): &(ByteString, u64)| 12 + name.len();
        let (count, listed) = fitting(told, rooms.len(), bytes, bytes_max);
        NodeReply::Rooms { count, listed }
    }
}

/// As many as a reply holds, and how many there are: those that are told, unless some do not fit.
pub(super) fn fitting<T>(
    all: impl Iterator<Item = T>,
    count: usize,
    bytes: impl Fn(&T) -> usize,
    mut bytes_max: usize,
) -> (u64, Vec<T>) {
    let mut told = Vec::new();
    for it in all {
        let left = bytes_max.checked_sub(bytes(&it));
        let Some(left) = left.filter(|_| told.len() < ENTRIES_MAX) else {
            return (count.max(told.len() + 1) as u64, told);
        };
        bytes_max = left;
        told.push(it);
    }
    (told.len() as u64, told)
}

const fn full(limit: BufferLimit) -> FullBuffer {
    match limit {
        BufferLimit::Frames { capacity_frames } => FullBuffer::Frames(capacity_frames as u64),
        BufferLimit::Bytes { capacity_bytes } => FullBuffer::Bytes(capacity_bytes as u64),
        BufferLimit::ServerBytes { capacity_bytes } => {
            FullBuffer::ServerBytes(capacity_bytes as u64)
        }
    }
}
