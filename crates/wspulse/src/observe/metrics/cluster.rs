//! What a server's part in its cluster comes to.

use std::iter::Sum;
use std::time::Duration;

/// What has passed between this server and the others since its start, and what there is at the moment.
/// For a server that is alone, all is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterReadings {
    /// Messages that were given to the engine, each with up to 64 frames.
    pub messages_sent: u64,
    /// Messages that were not, as there was no connection: what was in them is kept for those who ask.
    pub messages_unsent: u64,
    /// Frames that were heard from others.
    pub frames_heard: u64,
    /// Frames that came for groups that nobody is in here.
    pub frames_foreign: u64,
    /// Frames that others have said again, as they were lacking here.
    pub frames_repaired: u64,
    /// Questions to others for what was lacking.
    pub asked: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Requests of others that were refused, as 1,024 were being answered.
    pub requests_refused: u64,
    /// People of others in rooms with presence that were not taken, as one server has more than 16,384
    /// in one room: members are not told of them.
    pub people_refused: u64,
    /// Sessions that were left when this server was drained, and that another one keeps since.
    pub sessions_handed_over: u64,
    /// Those that none has taken in time.
    pub sessions_left_behind: u64,
    /// Sessions of other servers that were drained, kept here until their clients come.
    pub sessions_inherited: u64,
    /// Those that this one has not taken, as it has no place for them or was drained itself.
    pub sessions_refused: u64,
    /// Bytes of what was said that are kept for those who ask: up to 64 MiB, for a minute.
    pub kept_bytes: usize,
    /// Bytes of what was heard that are held for what lies before it: up to 64 MiB, for five seconds,
    /// or 20 while the server that has said it answers others.
    pub held_bytes: usize,
    /// Subscriptions that are in force, to groups and to parts of all groups: up to 4,096.
    pub subscriptions: usize,
    /// 1; in a sum, the servers that are of a cluster.
    pub servers: usize,
    /// Of these, those that have a connection to what carries messages.
    pub connected: usize,
    /// Other servers that are heard.
    pub peers: usize,
    /// Those that have said nothing for three seconds, as if they had died or were cut off: for two
    /// minutes, then they are gone.
    pub silent_peers: usize,
    /// How long nothing was heard of the one of all these that is silent for longest. Each tells once a
    /// second that it is there.
    pub longest_silence: Duration,
}

impl Sum for ClusterReadings {
    /// For a backend that is given several servers. The longest of the longest silences is the longest.
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            messages_sent: sum.messages_sent + one.messages_sent,
            messages_unsent: sum.messages_unsent + one.messages_unsent,
            frames_heard: sum.frames_heard + one.frames_heard,
            frames_foreign: sum.frames_foreign + one.frames_foreign,
            frames_repaired: sum.frames_repaired + one.frames_repaired,
            asked: sum.asked + one.asked,
            unreadable: sum.unreadable + one.unreadable,
            requests_refused: sum.requests_refused + one.requests_refused,
            people_refused: sum.people_refused + one.people_refused,
            sessions_handed_over: sum.sessions_handed_over + one.sessions_handed_over,
            sessions_left_behind: sum.sessions_left_behind + one.sessions_left_behind,
            sessions_inherited: sum.sessions_inherited + one.sessions_inherited,
            sessions_refused: sum.sessions_refused + one.sessions_refused,
            kept_bytes: sum.kept_bytes + one.kept_bytes,
            held_bytes: sum.held_bytes + one.held_bytes,
            subscriptions: sum.subscriptions + one.subscriptions,
            servers: sum.servers + one.servers,
            connected: sum.connected + one.connected,
            peers: sum.peers + one.peers,
            silent_peers: sum.silent_peers + one.silent_peers,
            longest_silence: sum.longest_silence.max(one.longest_silence),
        })
    }
}
