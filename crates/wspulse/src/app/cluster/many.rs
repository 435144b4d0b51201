//! What all servers of a cluster have together, as far as they answer.

use std::collections::BTreeMap;

use bytestring::ByteString;
use wspulse_core::cluster::{MembersOf, NodeId, NodeReply, NodeRequest};
use wspulse_core::{CloseCode, CloseFrame};

use super::Cluster;
use super::asking::{Asked, Asking, ClusterConnection, listed};
use crate::app::connection::Connection;

/// What the servers of a cluster have answered, this one among them. A server that does not answer
/// fails no call: what the others have said is here, and who is lacking. One that has said nothing for two
/// minutes is taken for gone and not asked; it is in none of these lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answers<T> {
    /// What those in `from` have answered, together.
    pub value: T,
    /// The servers that have answered, this one first.
    pub from: Vec<NodeId>,
    /// Those that have not answered in time. They may have done what they were asked for.
    pub silent: Vec<NodeId>,
    /// Those that could not be asked: they are not there, there is no connection to them, or they have
    /// too much to answer. They have done nothing.
    pub gone: Vec<NodeId>,
}

/// The members of a room, or the connections of a user, on all servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterConnections {
    /// The connections, suspended ones included, in no particular order: all that this server has, and of
    /// each other one up to 1,024.
    pub listed: Vec<ClusterConnection>,
    /// How many there are, also those that are not listed.
    pub count: usize,
    /// The servers that have more than they have told.
    pub truncated: Vec<NodeId>,
}

/// The rooms of a cluster that have members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterRooms {
    /// The rooms, in the order of their ids: all that this server has, and of each other one up to
    /// 1,024.
    pub listed: Vec<ClusterRoom>,
    /// The servers that have more than they have told. The members that they have in rooms of others
    /// may be lacking as well.
    pub truncated: Vec<NodeId>,
}

/// A room, as it is on all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterRoom {
    /// Its id.
    pub id: String,
    /// How many members it has, suspended ones included.
    pub members: usize,
}

/// How many a cluster has: sums of what its servers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterCounts {
    /// Connections, suspended ones included.
    pub connections: usize,
    /// Rooms that have members. One that has members on three servers counts as three.
    pub rooms: usize,
    /// Users who have connections. One who has connections on three servers counts as three.
    pub users: usize,
}

impl<T> Answers<T> {
    /// Whether all servers that are known have answered.
    pub const fn is_complete(&self) -> bool {
        self.silent.is_empty() && self.gone.is_empty()
    }
}

impl Cluster {
    /// The members of a room on all servers at this instant.
    ///
    /// ```
    /// # async fn look(cluster: wspulse::cluster::Cluster) {
    /// let members = cluster.connections("lobby").await;
    /// println!("{} are there, {} servers do not answer", members.value.count, members.silent.len());
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the answer.
    pub async fn connections(&self, room: &str) -> Answers<ClusterConnections> {
        let here = self.server.connections(room);
        self.list(&here, MembersOf::Room(room.into())).await
    }

    /// The connections of a user on all servers at this instant.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the answer.
    pub async fn user_connections(&self, user: &str) -> Answers<ClusterConnections> {
        let here = self.server.user(user).connections();
        self.list(&here, MembersOf::User(user.into())).await
    }

    async fn list(&self, here: &[Connection], of: MembersOf) -> Answers<ClusterConnections> {
        let of_here = |it| ClusterConnection::of(self.id(), it);
        let listed: Vec<_> = here.iter().filter_map(listed).map(of_here).collect();
        let here = ClusterConnections { count: listed.len(), listed, truncated: Vec::new() };
        let asking = self.ask_all(&NodeRequest::Connections { of }, self.within);
        let add = |all: &mut ClusterConnections, node, reply: NodeReply| {
            let is_truncated = reply.is_truncated();
            let NodeReply::Connections { count, listed } = reply else { return false };
            if is_truncated {
                all.truncated.push(node);
            }
            all.count += number(count);
            all.listed.extend(listed.into_iter().map(|it| ClusterConnection::of(node, it)));
            true
        };
        self.gather(asking, here, add).await
    }

    /// The rooms that have members on any server at this instant, with how many they have. Each server
    /// looks at each of its rooms.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the answer.
    pub async fn rooms(&self) -> Answers<ClusterRooms> {
        let here = self.server.rooms().into_iter().map(|room| (room.id().to_owned(), room.len()));
        let here = (here.collect::<BTreeMap<_, _>>(), Vec::new());
        let asking = self.ask_all(&NodeRequest::Rooms, self.within);
        let add = |(rooms, truncated): &mut (BTreeMap<String, usize>, Vec<_>), node, reply| {
            let is_truncated = NodeReply::is_truncated(&reply);
            let NodeReply::Rooms { listed, .. } = reply else { return false };
            if is_truncated {
                truncated.push(node);
            }
            for (room, members) in listed {
                *rooms.entry(room.to_string()).or_default() += number(members);
            }
            true
        };
        let Answers { value: (rooms, truncated), from, silent, gone } =
            self.gather(asking, here, add).await;
        let listed = rooms.into_iter().map(|(id, members)| ClusterRoom { id, members }).collect();
        Answers { value: ClusterRooms { listed, truncated }, from, silent, gone }
    }

    /// How many connections, rooms and users all servers have at this instant. Each server looks at
    /// each of its rooms and users; [`nodes`](Self::nodes) has the connections of each as they were a
    /// second ago, and asks nobody.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the answer.
    pub async fn counts(&self) -> Answers<ClusterCounts> {
        let here = ClusterCounts {
            connections: self.server.connection_count(),
            rooms: self.server.room_count(),
            users: self.server.user_count(),
        };
        let asking = self.ask_all(&NodeRequest::Counts, self.within);
        let add = |all: &mut ClusterCounts, _, reply| {
            let NodeReply::Counts { connections, rooms, users } = reply else { return false };
            all.connections += number(connections);
            all.rooms += number(rooms);
            all.users += number(users);
            true
        };
        self.gather(asking, here, add).await
    }

    /// Ends all connections of a user on all servers, past any resume window, with close code 1000 and
    /// the reason `kicked`. Those of this server are gone at the first poll. Answers how many they
    /// were.
    ///
    /// # Cancel safety
    ///
    /// Nothing is done before the first poll. Dropped after that, those of other servers may have ended
    /// or not.
    pub async fn kick_user(&self, user: &str) -> Answers<usize> {
        self.kick_user_with(user, CloseCode::NORMAL, "kicked").await
    }

    /// Kicks with a close code and reason of your own: 4000 to 4999 are for applications (RFC 6455
    /// §7.4.2). Up to 123 bytes of the reason are sent.
    ///
    /// # Cancel safety
    ///
    /// See [`kick_user`](Self::kick_user).
    pub async fn kick_user_with(
        &self,
        user: &str,
        code: CloseCode,
        reason: impl Into<ByteString>,
    ) -> Answers<usize> {
        let close = CloseFrame::new(code, reason);
        let here = self.server.user(user).kick_with(code, close.reason().to_owned());
        let request = NodeRequest::KickUser { user: user.into(), close };
        let asking = self.ask_all(&request, self.within);
        let add = |all: &mut usize, _, reply| {
            let NodeReply::Kicked { connections } = reply else { return false };
            *all += number(connections);
            true
        };
        self.gather(asking, here, add).await
    }

    /// Adds up what is replied. A reply that is none to this is as good as none.
    pub(super) async fn gather<T>(
        &self,
        mut asking: Asking,
        here: T,
        mut add: impl FnMut(&mut T, NodeId, NodeReply) -> bool,
    ) -> Answers<T> {
        let (silent, gone) = (Vec::new(), Vec::new());
        let mut all = Answers { value: here, from: vec![self.id()], silent, gone };
        while let Some((node, asked)) = asking.next().await {
            match asked {
                Asked::Replied(reply) => {
                    let is_one = add(&mut all.value, node, reply);
                    let nodes = if is_one { &mut all.from } else { &mut all.silent };
                    nodes.push(node);
                }
                Asked::Silent => all.silent.push(node),
                Asked::Gone => all.gone.push(node),
            }
        }
        all
    }
}

/// It is below 2⁴¹, as replies are read.
fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX / 1_024)
}
