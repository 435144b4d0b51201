//! Requests to the members of a room on all servers.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use wspulse_core::cluster::{
    MEMBERS_WITHIN_MAX, MemberReply, NodeId, NodeReply, NodeRequest, Said, Unreplied,
};
use wspulse_core::codec::EncodeError;
use wspulse_core::{EncodedFrame, Frame, Outgoing};

use super::Cluster;
use super::many::Answers;
use super::serving::fitting;
use crate::app::request::RoomRequest;
use crate::app::server::Server;
use crate::ground::panics;
use crate::settings::codecs::CodecId;
use crate::settings::error::{BroadcastError, RequestError};

/// A request to the members of a room on all servers, to be given the time that their replies may
/// take. Made by [`Cluster::request`].
#[derive(Debug, Clone)]
#[must_use = "a request is sent once it is given its time and awaited"]
pub struct ClusterRoomRequest {
    cluster: Cluster,
    room: String,
    outgoing: Outgoing,
}

/// What the members of a room have replied.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClusterReplies {
    /// Each member once, in no particular order: all of this server, and of each other one up to 1,024.
    pub replies: Vec<ClusterReply>,
    /// The servers that have asked more members than they tell of.
    pub truncated: Vec<NodeId>,
}

/// What one member has replied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterReply {
    /// The member's server.
    pub node: NodeId,
    /// The member's id.
    pub id: String,
    /// The reply, or why there is none.
    pub reply: Result<Frame, NoReply>,
}

/// Why there is no reply of a member.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoReply {
    /// None has come in time. The client may have handled the request.
    #[error("wspulse: no reply in time")]
    TimedOut,
    /// The connection has ended.
    #[error("wspulse: the connection ended before a reply came")]
    Closed,
    /// The request was not sent: the send buffer is full, the client has too many requests to reply to,
    /// or one of this id.
    #[error("wspulse: request not sent: the client has too much before it, or one of this id")]
    NotSent,
    /// The client has replied with an error.
    #[error("wspulse: the client has answered with an error")]
    Refused {
        /// The reply, whose event is that of errors.
        reply: Frame,
    },
    /// The request or the reply cannot be expressed in the codec of one of the two servers, or of the
    /// connection.
    #[error("wspulse: request or reply not expressed; give all servers the same codecs")]
    NotExpressed,
}

impl Cluster {
    /// Asks the members of a room on all servers, each of which answers for itself, as
    /// [`Room::request`](crate::Room::request) asks those of this one.
    ///
    /// ```
    /// # async fn vote(cluster: wspulse::cluster::Cluster) -> Result<(), Box<dyn std::error::Error>> {
    /// let question = wspulse::Frame::new("vote").json("lunch at noon?")?;
    /// let ten_seconds = std::time::Duration::from_secs(10);
    /// let votes = cluster.request("lobby", question).within(ten_seconds).await?;
    /// for member in votes.value.replies {
    ///     match member.reply {
    ///         Ok(reply) => println!("{}: {}", member.id, reply.to_json::<bool>()?),
    ///         Err(error) => println!("{}: {error}", member.id),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self, room: impl Into<String>, frame: Frame) -> ClusterRoomRequest {
        ClusterRoomRequest { cluster: self.clone(), room: room.into(), outgoing: frame.into() }
    }
}

impl ClusterRoomRequest {
    /// It is never compressed on its way to clients, as a frame that is sent [so](Frame::uncompressed).
    pub fn uncompressed(mut self) -> Self {
        self.outgoing = self.outgoing.uncompressed();
        self
    }

    /// Sends the request to those who are members at this instant, suspended ones included, and waits
    /// for their replies, for so long at the most, and up to five minutes. Other servers have the time
    /// of [`Cluster::within`] beyond that, to say what they have heard. A frame without an id has
    /// another one on each server.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Encode`] if a codec of this server cannot express the frame,
    /// [`BroadcastError::TooLarge`] if it is larger than what goes between servers,
    /// [`BroadcastError::ServerClosed`] after the server's end: then no member is sent anything.
    ///
    /// # Cancel safety
    ///
    /// Nothing is sent before the first poll. Dropped after that, the request is sent or not, and
    /// replies are dropped.
    pub async fn within(self, time: Duration) -> Result<Answers<ClusterReplies>, BroadcastError> {
        let Self { cluster, room, outgoing } = self;
        let time = time.min(MEMBERS_WITHIN_MAX);
        let server = &cluster.server;
        let (outgoing, request) = request_to_ask(&cluster, &room, outgoing, time)?;
        // Those of this server come first: what fails here is sent to nobody.
        let here = RoomRequest::new(server.room(&*room).local(), outgoing);
        let mut here = pin!(here.within(time));
        let begun = match poll_fn(|cx| Poll::Ready(here.as_mut().poll(cx))).await {
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(answered)) => Some(answered),
            Poll::Pending => None,
        };
        let asking = cluster.ask_all(&request, time.saturating_add(cluster.within));
        let answered = match begun {
            Some(answered) => answered,
            None => here.await?,
        };
        let of_here = answered.into_iter().map(|(member, reply)| ClusterReply {
            node: cluster.id(),
            id: member.id().to_owned(),
            reply: reply.map_err(NoReply::of),
        });
        let here = ClusterReplies { replies: of_here.collect(), truncated: Vec::new() };
        let add = |all: &mut ClusterReplies, node, reply: NodeReply| {
            let is_truncated = reply.is_truncated();
            let NodeReply::Members { codec, replies, .. } = reply else { return false };
            if is_truncated {
                all.truncated.push(node);
            }
            let codec = server.codec_named(&codec);
            all.replies.extend(replies.into_iter().map(|MemberReply { id, reply }| {
                let reply = read_reply(server, codec, reply);
                ClusterReply { node, id: id.to_string(), reply }
            }));
            true
        };
        Ok(cluster.gather(asking, here, add).await)
    }
}

fn request_to_ask(
    cluster: &Cluster,
    room: &str,
    outgoing: Outgoing,
    within: Duration,
) -> Result<(Outgoing, NodeRequest), BroadcastError> {
    let codecs = cluster.server.codecs();
    let encoded = match outgoing.marks() {
        None => codecs.encode(CodecId::DEFAULT, &outgoing.frame),
        Some(marks) => codecs.encode_marked(CodecId::DEFAULT, &outgoing.frame, marks),
    };
    let encoded = match encoded {
        Ok(encoded) => encoded,
        Err(source) => {
            let frame = Box::new(outgoing.frame);
            return Err(BroadcastError::Encode { frame, codec: None, source });
        }
    };
    let codec = codecs.default_codec().name().unwrap_or_default().into();
    let (bytes, bytes_max) = (encoded.payload_bytes(), cluster.node.speaker().frame_bytes_max());
    if bytes + room.len() > bytes_max {
        let frame = Box::new(outgoing.frame);
        return Err(BroadcastError::TooLarge { frame, bytes, bytes_max });
    }
    let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
    let said = Said::new(encoded);
    Ok((outgoing, NodeRequest::AskMembers { room: room.into(), within_ms, codec, said }))
}

fn read_reply(
    server: &Server,
    codec: Option<CodecId>,
    reply: Result<Said, Unreplied>,
) -> Result<Frame, NoReply> {
    let read = |said: Said| codec.and_then(|codec| server.decode(codec, &said.frame));
    match reply {
        Ok(said) => read(said).ok_or(NoReply::NotExpressed),
        Err(Unreplied::TimedOut) => Err(NoReply::TimedOut),
        Err(Unreplied::Closed) => Err(NoReply::Closed),
        Err(Unreplied::NotSent) => Err(NoReply::NotSent),
        Err(Unreplied::NotExpressed) => Err(NoReply::NotExpressed),
        Err(Unreplied::Refused(said)) => Err(match read(said) {
            Some(reply) => NoReply::Refused { reply },
            None => NoReply::NotExpressed,
        }),
    }
}

impl NoReply {
    fn of(error: RequestError) -> Self {
        match error {
            RequestError::TimedOut { .. } => Self::TimedOut,
            RequestError::Closed { .. } => Self::Closed,
            RequestError::Overloaded { .. }
            | RequestError::DuplicateId { .. }
            | RequestError::NotSent(_) => Self::NotSent,
            RequestError::Refused { reply } => Self::Refused { reply: *reply },
        }
    }
}

impl Server {
    /// Asks the members that this server has for another one.
    pub(super) async fn answer_members(
        &self,
        room: &str,
        codec: &str,
        said: &Said,
        within: Duration,
        bytes_max: usize,
    ) -> NodeReply {
        let room = self.room(room).local();
        let frame = self.codec_named(codec).and_then(|codec| self.decode(codec, &said.frame));
        let answered = match frame {
            Some(frame) => {
                let asking = room.request(frame);
                let is_uncompressed = said.frame.is_uncompressed();
                let asking = if is_uncompressed { asking.uncompressed() } else { asking };
                asking.within(within).await.ok()
            }
            None => None,
        };
        let of_member = |id: &str, reply| MemberReply { id: id.into(), reply };
        let replies: Vec<_> = if let Some(answered) = answered {
            let replies = answered.into_iter();
            replies.map(|(member, it)| of_member(member.id(), self.put_reply(it))).collect()
        } else {
            let members = room.connections().into_iter();
            members.map(|it| of_member(it.id(), Err(Unreplied::NotExpressed))).collect()
        };
        let codec = self.codecs().default_codec().name().unwrap_or_default().into();
        let asked = replies.len();
        let (count, replies) = fitting(replies.into_iter(), asked, MemberReply::bytes, bytes_max);
        NodeReply::Members { count, codec, replies }
    }

    fn put_reply(&self, reply: Result<Frame, RequestError>) -> Result<Said, Unreplied> {
        let encode = |frame: &Frame| -> Result<Said, Unreplied> {
            let encode = || self.codecs().encode(CodecId::DEFAULT, frame);
            let encoded: Result<Result<EncodedFrame, EncodeError>, _> = panics::catch(encode);
            let encoded = encoded.ok().and_then(Result::ok).ok_or(Unreplied::NotExpressed)?;
            Ok(Said::new(encoded))
        };
        match reply.map_err(NoReply::of) {
            Ok(frame) => encode(&frame),
            Err(NoReply::Refused { reply }) => Err(Unreplied::Refused(encode(&reply)?)),
            Err(NoReply::TimedOut) => Err(Unreplied::TimedOut),
            Err(NoReply::Closed) => Err(Unreplied::Closed),
            Err(NoReply::NotSent) => Err(Unreplied::NotSent),
            Err(NoReply::NotExpressed) => Err(Unreplied::NotExpressed),
        }
    }
}
