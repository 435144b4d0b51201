//! What a crowd of clients is told and asked, one line of JSON each way.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A line on the crowd's standard input. Each is answered by a line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cluster) enum Errand {
    /// Where the nodes are, by their places; nobody is to come where there is none. Answered by `null`.
    Doors(Vec<Option<SocketAddr>>),
    /// They begin to come; answered by `null`.
    Come(Coming),
    /// They begin to send; answered by `null`.
    Send(Sending),
    /// They send no more, and begin to wait until all is handled or told as lost; answered by `null`.
    Hush,
    /// All transports are cut at once; answered by `null`.
    Cut,
    /// Answered by [`Crowd`].
    Look,
    /// Answered by the [`Sum`](crate::cluster::verdict::Sum) of what they have heard, of so much that was said.
    Hear(Vec<Speech>),
    /// Answered by [`Story`].
    Tell,
}

/// Who comes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::cluster) struct Coming {
    /// The number of the first; the others have those behind it.
    pub(in crate::cluster) first: u32,
    pub(in crate::cluster) clients: u32,
    /// How many numbers in a row are in one room.
    pub(in crate::cluster) members: u32,
    /// After so long without a sign of life they ask for one.
    pub(in crate::cluster) silence_ms: u64,
    /// So long an attempt to connect may take.
    pub(in crate::cluster) connect_ms: u64,
}

/// How much they send, all of one crowd together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::cluster) struct Sending {
    pub(in crate::cluster) frames_per_second: u32,
}

/// What a node has said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cluster) struct Speech {
    pub(in crate::cluster) mark: u32,
    /// To each room; none, if it cannot be asked any more.
    pub(in crate::cluster) said: Option<Vec<u64>>,
    /// Whether it was there to the end.
    pub(in crate::cluster) goes_on: bool,
}

/// Where they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::cluster) struct Crowd {
    /// Who is connected, with a session.
    pub(in crate::cluster) here: u32,
    /// Of these, how many at each node, by its place.
    pub(in crate::cluster) at: Vec<u32>,
    /// How often a session went on after its transport was lost.
    pub(in crate::cluster) resumed: u32,
    /// How often one was told that its session begins anew.
    pub(in crate::cluster) anew: u32,
    /// Who has not heard yet of all that it has sent, once they send no more.
    pub(in crate::cluster) waiting: u32,
    /// Of those whose client has ended, or had no session, why, each: none may.
    pub(in crate::cluster) failed: Vec<String>,
}

/// What has become of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::cluster) struct Story {
    /// How long each was away, each time, in milliseconds.
    pub(in crate::cluster) away_ms: Vec<u32>,
    pub(in crate::cluster) own: Vec<Own>,
}

/// What one has sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::cluster) struct Own {
    pub(in crate::cluster) client: u32,
    /// The numbers up to this one.
    pub(in crate::cluster) sent: u32,
    /// Those of which it was told that nobody will ever know what became of them.
    pub(in crate::cluster) told: Vec<u32>,
}

impl Crowd {
    pub(in crate::cluster) fn merge(&mut self, other: &Self) {
        self.here += other.here;
        self.at.resize(self.at.len().max(other.at.len()), 0);
        for (all, some) in self.at.iter_mut().zip(&other.at) {
            *all += some;
        }
        self.resumed += other.resumed;
        self.anew += other.anew;
        self.waiting += other.waiting;
        self.failed.extend_from_slice(&other.failed);
    }

    /// Whether so many are there, but for those that will never be.
    pub(in crate::cluster) fn are_here(&self, clients: u32) -> bool {
        self.here as usize + self.failed.len() >= clients as usize
    }
}
